"""What the cluster tells a driver: errors that nobody read, workers that died.

Source: Ray docs, "Fault tolerance" and "Configuring logging".
"""

import re

import pytest
from driving import drive

from ray._core.common.messages import NodeInfo
from ray._core.raylet.exit_report import unexpected_exit
from ray._core.raylet.workers import Worker

UNREAD = "Unhandled error (suppress with 'RAY_IGNORE_UNHANDLED_ERRORS=1'): ray::bad()"
TASKS = """
@ray.remote
def bad(ref=None):
    raise ValueError("nobody looks")
@ray.remote
def ok():
    return 1
def wait_failed():
    from ray.util import state
    while not state.list_tasks(filters=[("name", "=", "bad"), ("state", "=", "FAILED")]):
        time.sleep(0.01)
"""


def _unread(err):
    return [line for line in err if UNREAD in line]


@pytest.mark.parametrize(
    "dropping",
    [
        "ref = bad.remote(); wait_failed(); del ref; ray.get(ok.remote())",
        "bad.remote(); wait_failed()",
    ],
    ids=["dropped after it failed", "dropped before it failed"],
)
def test_an_error_whose_ref_is_dropped_unread_is_logged(dropping):
    _, err = drive(TASKS + dropping)
    assert len(_unread(err)) == 1
    assert "ValueError: nobody looks" in err


@pytest.mark.parametrize(
    "reading",
    [
        "ray.wait([ref])",
        "\ntry:\n    ray.get(ref)\nexcept ValueError:\n    pass\n",
        "\ntry:\n    ray.get(bad.remote(ref))\nexcept ValueError:\n    pass\n",
        "\ntry:\n    ref.future().result()\nexcept ValueError:\n    pass\n",
    ],
    ids=["wait", "get", "as an argument", "future"],
)
def test_an_error_that_somebody_has_seen_is_not_logged(reading):
    _, err = drive(TASKS + f"ref = bad.remote(); {reading}\ndel ref\nray.get(ok.remote())")
    assert err == []


def test_the_user_may_want_to_hear_of_no_unread_error():
    _, err = drive(TASKS + "bad.remote(); wait_failed()", RAY_IGNORE_UNHANDLED_ERRORS="1")
    assert err == []


def test_an_unread_error_of_a_nested_task_is_logged_by_the_worker_that_owned_it():
    body = "@ray.remote\ndef outer():\n    bad.remote(); wait_failed()\nray.get(outer.remote())"
    _, err = drive(TASKS + body, until=UNREAD)
    assert [line for line in err if line.startswith("(outer pid=N) " + UNREAD)]


def test_the_driver_hears_of_a_worker_that_dies_at_work():
    body = """
@ray.remote(max_retries=0)
def crash():
    os._exit(3)
try:
    ray.get(crash.remote())
except ray.exceptions.WorkerCrashedError:
    pass
"""
    out, _ = drive(body, until="(raylet) A worker died")
    assert len(out) == 1
    assert out[0].startswith(
        "(raylet) A worker died or was killed while executing a task by an unexpected system error."
    )
    assert "Worker exit detail: Worker unexpectedly exits with a connection error code 2. End of file." in out[0]
    assert out[0].endswith("Its process ended with an exit code 3.")


def _node():
    return NodeInfo(b"n" * 28, "10.0.0.1", 1, "", "", "", True, "", "", {})


def test_a_worker_without_work_may_end_in_silence():
    assert unexpected_exit(Worker(b"w" * 28, job_id=b"j"), _node(), "why") is None


def test_the_report_of_a_dead_worker_names_lease_worker_node_and_cause():
    worker = Worker(b"w" * 28, pid=7, job_id=b"j", broken_lease_id=5)
    event = unexpected_exit(worker, _node(), "It was tired.")
    assert event.job_id == b"j"
    for part in ("Lease ID: 5 ", b"w".hex() * 28, b"n".hex() * 28, "10.0.0.1", "Worker PID: 7 ", "It was tired."):
        assert part in event.message


def test_a_demand_that_no_node_can_meet_is_told_once_unless_the_user_wants_no_such_events():
    body = """
@ray.remote(num_cpus=100)
def huge():
    pass
refs = [huge.remote() for _ in range(3)]
ray.wait(refs, timeout=1)
"""
    out, _ = drive(body, RAY_infeasible_warning_s="0.1")
    assert len(out) == 1
    assert re.match(r"\(autoscaler \+\d+s\) Error: No available node types can fulfill resource request", out[0])
    assert "{'CPU': 100.0}" in out[0] and "huge" in out[0]
    out, _ = drive(body, RAY_infeasible_warning_s="0.1", RAY_SCHEDULER_EVENTS="0")
    assert out == []
