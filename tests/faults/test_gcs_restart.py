"""gcs_server is killed and started again: nothing that it acknowledged is lost, and what runs does not notice."""

import os
import signal
import sys

import pytest

import ray
from ray._core.common import messages as m
from ray.cluster_utils import Cluster
from ray.experimental import internal_kv

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file


@pytest.fixture
def head():
    """The head of a cluster whose GCS keeps its tables in a file; the test is connected as a driver."""
    arguments = {"num_cpus": 2, "_system_config": {"gcs_storage": "sqlite"}}
    cluster = Cluster(initialize_head=True, connect=True, head_node_args=arguments)
    yield cluster.head_node
    ray.shutdown()
    cluster.shutdown()


@ray.remote
class Counter:
    def __init__(self):
        self.value = 0

    def add(self):
        self.value += 1
        return self.value

    def pid(self):
        return os.getpid()


@ray.remote
def echo(value):
    return value


def restart(head) -> None:
    head.kill_gcs_server()
    head.start_gcs_server()


def states() -> dict[str, int]:
    infos = ray._private.worker.global_worker.core_worker.ask_gcs(m.ListActors()).actors
    return {state: sum(info.state == state for info in infos) for state in {info.state for info in infos}}


def test_tasks_and_actor_calls_go_on_while_it_is_away(head):
    counter = Counter.remote()
    assert ray.get([counter.add.remote(), echo.remote(1)]) == [1, 1]
    head.kill_gcs_server()
    assert ray.get([counter.add.remote(), echo.remote(2)]) == [2, 2]
    head.start_gcs_server()
    assert ray.get([counter.add.remote(), echo.remote(3)]) == [3, 3]


def test_names_keys_nodes_and_jobs_are_there_again(head):
    named = Counter.options(name="named", lifetime="detached", namespace="space").remote()
    pid = ray.get(named.pid.remote())
    internal_kv._internal_kv_put(b"key", b"value")
    restart(head)
    assert ray.get(ray.get_actor("named", namespace="space").pid.remote()) == pid
    assert internal_kv._internal_kv_get(b"key") == b"value"
    assert [node["Alive"] for node in ray.nodes()] == [True]
    assert ray.cluster_resources()["CPU"] == 2
    with pytest.raises(ValueError, match="taken"):
        Counter.options(name="named", namespace="space").remote()


def test_each_creation_in_flight_happens_exactly_once(head):
    counters = []
    for _ in range(3):
        counters += [Counter.remote() for _ in range(4)]
        restart(head)
    assert ray.get([counter.add.remote() for counter in counters], timeout=60) == [1] * 12
    assert states() == {"ALIVE": 12}


def test_a_death_while_it_is_away_is_found_out(head):
    counter = Counter.options(max_restarts=1, max_task_retries=1).remote()
    mortal = Counter.remote()
    pids = ray.get([counter.pid.remote(), mortal.pid.remote()])
    head.kill_gcs_server()
    for pid in pids:
        os.kill(pid, 9)
    head.start_gcs_server()
    assert ray.get(counter.add.remote(), timeout=30) == 1
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(mortal.add.remote(), timeout=30)


def test_an_actor_of_whose_end_the_gcs_tells_late_is_dead_and_not_unavailable(head):
    counter = Counter.remote()
    pid = ray.get(counter.pid.remote())
    gcs = head.all_processes["gcs_server"][0].process.pid
    os.kill(gcs, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGSTOP)  # the call is there when it ends, unanswered
        call = counter.add.remote()
        os.kill(pid, signal.SIGKILL)
        assert ray.wait([call], timeout=0.7) == ([], [call]), "told before anybody could know"
    finally:
        os.kill(gcs, signal.SIGCONT)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(call, timeout=20)


def test_a_task_that_waits_for_a_group_hears_of_its_removal_by_a_new_gcs(head):
    group = ray.util.placement_group([{"CPU": 100}])
    inside = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group)
    waiting = echo.options(scheduling_strategy=inside).remote(1)
    assert ray.wait([waiting], timeout=0.2) == ([], [waiting])
    restart(head)
    ray.util.remove_placement_group(group)
    with pytest.raises(ray.exceptions.TaskPlacementGroupRemoved):
        ray.get(waiting, timeout=30)
