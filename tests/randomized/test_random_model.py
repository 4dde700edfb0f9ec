"""Random operations on a real cluster against a model: no wrong result, no hang, nothing left behind.

RAY_MODEL_SECONDS says how long (10; a minute in `.ci/run`), RAY_MODEL_SEED which run to repeat; else it is another one
each time, which is printed. With RAY_MODEL_GCS_KILLS the GCS is killed every so many seconds meanwhile, and nobody may
notice. `make model` takes ten minutes; RUNS.md has what came of that.
"""

import collections
import contextlib
import gc
import os
import random
import time

import pytest
from gcs_killer import KEEPING, Killer
from world import World, wait_until

import ray
from ray._core.worker import object_ref
from ray.cluster_utils import Cluster

SECONDS = float(os.environ.get("RAY_MODEL_SECONDS", "10"))
KILLS_S = float(os.environ.get("RAY_MODEL_GCS_KILLS", "0"))
SEED = int(os.environ.get("RAY_MODEL_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


@pytest.fixture
def cluster():
    keeping = {"_system_config": KEEPING} if KILLS_S else {}
    cluster = Cluster(True, True, {"num_cpus": 4, "object_store_memory": 80 << 20, **keeping})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def leftovers():
    """What this driver still knows of its tasks and objects."""
    core = object_ref._core
    with core.lock:
        core.refs.drain()
        tables = {
            "tasks": core.submitter.tasks,
            "queues": core.submitter._queues,
            "leases": core.submitter.leases.held,
            "objects": core.objects,
            "streams": core.streams._open,
            "lent": core.lending._lent_to,
            "borrowed": core.lending._borrowed_from,
        }
        objects = [(key.hex(), entry.local, entry.held, entry.lent, entry.owner) for key, entry in core.objects.items()]
        found = {name: len(table) for name, table in tables.items() if table}
        lent_to = [(worker_id.hex(), worker_id in core._peers) for worker_id in core.lending._lent_to]
        return found and {**found, "they are": objects, "lent to, still connected": lent_to}


def in_use():
    """Resources of the cluster that somebody holds."""
    total, free = ray.cluster_resources(), ray.available_resources()
    return {name: total[name] - free.get(name, 0) for name in total if total[name] != free.get(name, 0)}


@pytest.mark.timeout(SECONDS + 180)
def test_whatever_is_done_to_a_cluster_nothing_comes_out_wrong_or_stays(cluster, tmp_path, capsys):
    with capsys.disabled():
        print(f" [RAY_MODEL_SEED={SEED}, {SECONDS:g} s]", end="", flush=True)
    story = collections.deque(maxlen=400)
    began_s = time.monotonic()
    world = World(cluster, random.Random(SEED), tmp_path, lambda text: story.append((time.monotonic() - began_s, text)))
    killer = Killer(cluster.head_node, SEED, KILLS_S) if KILLS_S else None
    try:
        with killer or contextlib.nullcontext():
            while time.monotonic() < began_s + SECONDS:
                for _ in range(world.rng.randrange(20, 80)):
                    world.step()
                world.settle()
                story.append((time.monotonic() - began_s, "--- settled"))
                assert killer is None or killer.problem is None
            world.finish()
        gc.collect()  # errors and their tracebacks hold refs in cycles
        assert wait_until(lambda: not leftovers()), leftovers()
        assert wait_until(lambda: not in_use()), in_use()
        with capsys.disabled():
            print(f" [{world.count} operations, {killer.kills if killer else 0} kills]", end="")
    except BaseException:
        print(f"RAY_MODEL_SEED={SEED}", *(f"{at_s:8.3f} {text}" for at_s, text in story), sep="\n")
        raise
