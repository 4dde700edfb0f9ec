"""kill -9 of the GCS, again and again, while the quickstart's program starts, runs and ends: it prints the same.

A part of it in CI, with a kill every 0.3 s; `make faults` runs all of it, with one every two seconds.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gcs_killer import KEEPING, PERIOD_S, Killer

from ray.cluster_utils import Cluster

PROGRAM = Path(__file__).parents[2] / "examples" / "map_reduce_stdlib.py"
IS_LONG = "FAULTS_SECONDS" in os.environ
ARGUMENTS = [] if IS_LONG else ["--limit", "100", "--batch", "4"]
SEED = int(os.environ.get("FAULTS_SEED", "1"))


@pytest.fixture
def cluster():
    cluster = Cluster(True, False, {"num_cpus": 2, "object_store_memory": 128 << 20, "_system_config": KEEPING})
    yield cluster
    cluster.shutdown()


def run(cluster):
    """What the program prints, without how long it took."""
    command = [sys.executable, str(PROGRAM), "--address", cluster.address, *ARGUMENTS]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
    return done.stdout.rpartition(",")[0]


@pytest.mark.timeout(600)
def test_its_result_is_the_same(cluster, capsys):
    expected = run(cluster)
    assert "syntax nodes" in expected
    with Killer(cluster.head_node, SEED, PERIOD_S if IS_LONG else 0.3) as killer:
        while True:
            assert run(cluster) == expected
            if killer.kills >= 2:
                break
    with capsys.disabled():
        print(f" [{killer.kills} kills]", end="")
