"""Worker output reaches the driver although the GCS or the agent was away meanwhile."""

import os
import signal
import sys
import time

import psutil
import pytest

import ray
from ray.cluster_utils import Cluster

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file
DEADLINE_S = 30


@pytest.fixture
def head(monkeypatch):
    """The head of a cluster whose GCS can be restarted; the test is connected as a driver without deduplication."""
    monkeypatch.setenv("RAY_DEDUP_LOGS", "0")
    monkeypatch.setenv("RAY_COLOR_PREFIX", "0")
    arguments = {"num_cpus": 1, "_system_config": {"gcs_storage": "sqlite"}}
    cluster = Cluster(initialize_head=True, connect=True, head_node_args=arguments)
    yield cluster.head_node
    ray.shutdown()
    cluster.shutdown()


@ray.remote
def say(text):
    print(text)
    return os.getppid()


def _wait_for(capsys, *texts):
    said, end_at_s = "", time.monotonic() + DEADLINE_S
    while not all(text in said for text in texts):
        assert time.monotonic() < end_at_s, said
        said += capsys.readouterr().out
        time.sleep(0.01)
    return said


def test_lines_printed_while_the_gcs_is_away_come_once_it_is_back(head, capsys):
    ray.get(say.remote("before"))
    _wait_for(capsys, "before")
    head.kill_gcs_server()
    ray.get(say.remote("meanwhile"))
    head.start_gcs_server()
    ray.get(say.remote("after"))
    said = _wait_for(capsys, "meanwhile", "after")
    assert said.count("meanwhile") == 1


def test_an_agent_that_was_killed_is_started_again_and_ships_what_comes_then(head, capsys):
    zygote = ray.get(say.remote("before"))
    _wait_for(capsys, "before")
    agents = [each for each in psutil.Process(zygote).children() if each.cmdline()[0] == "ray::Agent"]
    assert len(agents) == 1
    os.kill(agents[0].pid, signal.SIGKILL)
    end_at_s = time.monotonic() + DEADLINE_S
    said = number = 0
    while not said:
        assert time.monotonic() < end_at_s
        number += 1
        ray.get(say.remote(f"after {number}"))
        said = "after" in capsys.readouterr().out
        time.sleep(0.1)
