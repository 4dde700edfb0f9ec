"""The hottest paths do not grow unnoticed: bytecodes per call, by benchmarks/bytecodes.py, against generous bounds.

A bound is a fifth to a quarter above what was counted with Python 3.11 (later ones execute fewer). Who exceeds one has
added work to every call of every user: look at `python benchmarks/bytecodes.py` and docs/performance.md first.
"""

import os
import sys
from pathlib import Path

import pytest

import ray

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import bytecodes

BOUNDS = {"actor": (3000, 1850), "task": (3400, 1950), "put": (780, 0), "returns": (290, 95), "refs": (50, 0)}
"""By path: caller, worker. "returns" and "refs": for each value, or ref, of many."""


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(bytecodes.__file__).parent), prepend=os.pathsep)  # for the workers
        ray.init(num_cpus=1, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.mark.parametrize("path", BOUNDS)
def test_a_call_executes_no_more_bytecodes_than_it_may(path):
    caller, worker = bytecodes.measure(path)
    most = BOUNDS[path]
    assert caller.per_call() > most[0] / 3, "the caller was hardly counted"
    assert caller.per_call() <= most[0], caller.bytecodes.most_common(10)
    assert worker.per_call() <= most[1], worker.bytecodes.most_common(10)
    assert (worker.per_call() > most[1] / 3) == (most[1] > 0), "the worker was hardly counted"
