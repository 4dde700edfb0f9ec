"""The simulated cluster: the same seed has the same history, and the invariants hold on every history."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.cluster import Cluster
from simulation.loop import SimLoop
from simulation.patches import real_modules_on_virtual_time
from simulation.scenario import run_seed

FRESH = int(os.environ.get("SIMULATION_FRESH_SEEDS", "3"))
"""Seeds that nobody has run before."""


def hundred_tasks(seed: int) -> str:
    """One GCS, two raylets and a driver that runs a hundred tasks; the hash of what happened."""
    loop, ended = SimLoop(seed), []
    cluster = Cluster(loop)

    async def program(core) -> None:
        refs = [core.task({"sleep": 0.005, "token": number, "needs": {"CPU": 10_000}}) for number in range(100)]
        assert [await core.get_one(ref) for ref in refs] == list(range(100))
        ended.append(loop.now_s)

    with real_modules_on_virtual_time(loop):
        cluster.start_gcs()
        nodes = [cluster.start_node(host, {"CPU": 2}) for host in (cluster.head, cluster.network.add_host("other"))]
        assert loop.run(5.0, lambda: all(node.is_ready for node in nodes))
        cluster.start_driver("driver", nodes[0], program)
        assert loop.run(60.0, lambda: bool(ended))
        loop.bury()
    assert cluster.ledger.tasks_run == 100
    assert ended[0] < 1.0  # virtual seconds: four workers had something to do all the time
    return loop.history_hash


def test_one_seed_is_one_history():
    assert hundred_tasks(1) == hundred_tasks(1) != hundred_tasks(2)


def test_histories_do_not_depend_on_the_interpreter():
    """Neither on the hashes of strings nor on addresses: a seed that fails in CI fails everywhere."""
    here = Path(__file__).parent.parent
    script = "from simulation.scenario import run_seed; print(*(run_seed(seed)[0] for seed in (16, 18)))"
    env = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", script], cwd=here, env=env, capture_output=True, check=True, text=True)
    assert done.stdout.split() == [run_seed(seed)[0] for seed in (16, 18)]


FOUND = {
    101931: "An actor ended the process that owned what tasks had left there.",
    802668: "A raylet said twice that it had no room for an actor, and two others made it.",
    903362: "The GCS heard of an actor's death before its start, and took the next one on that node for too late.",
    300511: "A surplus worker ended with an idle lease; its worker, which owned what others held, was killed with it.",
}
"""Seeds that failed once, and why. What a seed tells changes with the simulator: stories are in test_regressions."""


@pytest.mark.parametrize("seed", [*range(30), *FOUND])
def test_fixed_seeds(seed):
    run_seed(seed)


@pytest.mark.parametrize("number", range(FRESH))
def test_fresh_seeds(number, capsys):
    seed = random.SystemRandom().randrange(1 << 40)
    try:
        run_seed(seed)
    except BaseException:
        with capsys.disabled():
            print(f"\nReplay: cd tests && PYTHONPATH=../src python -m simulation {seed}")
        raise
