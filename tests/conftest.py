"""Fixtures of tests on real processes. Whatever a test starts must be gone after its module."""

import os
import sys
from pathlib import Path

import bytecode
import polling
import psutil
import pytest
from gone import wait_gone
from hypothesis import settings

os.environ.setdefault("RAY_AUTH_TOKEN", "token-of-the-tests")
if sys.dont_write_bytecode:
    # Each process of each cluster would compile all it imports: a `ray.init` took twice as long. Beside the sources
    # nothing is written all the same.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = bytecode.directory()

from leaks import assert_no_objects_left

import ray
from ray._core.worker import object_ref
from ray._core.worker.core import CoreWorker

ray.cloudpickle.register_pickle_by_value(polling)  # tasks of tests wait, too, and workers cannot import it
_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item):
    """Before any fixture ends: what a test that passed has put into shared memory is freed, by everybody."""
    core = object_ref._core
    is_real = isinstance(core, CoreWorker)  # tests of the public face put a double there
    if is_real and core.mode == "driver" and not item.stash.get(_failed, False):
        assert_no_objects_left(core)


def pytest_terminal_summary(terminalreporter):
    """What this machine could not do, test by test, with the reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("not run on this machine")
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")


settings.register_profile("suite", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("suite")


@pytest.fixture(scope="module")
def cluster():
    """A local cluster of two CPUs, shared by the tests of a module."""
    context = ray.init(num_cpus=2, object_store_memory=256 * 1024 * 1024)
    arena = Path(f"/dev/shm/ray-{context.address_info['node_id'][:16]}.arena")
    assert arena.exists()
    processes = psutil.Process().children(recursive=True)
    yield
    ray.shutdown()
    assert wait_gone(processes, timeout=10) == []
    assert not arena.exists()
