"""Helpers that kill parts of a cluster, warn drivers, and make certificates."""

import os
import shutil
import socket
from pathlib import Path

import pytest

import ray
from ray._common.network_utils import find_free_port
from ray._common.test_utils import wait_for_condition
from ray._private import test_utils
from ray._private.gcs_client import GcsClient
from ray._private.ray_constants import DASHBOARD_AGENT_DIED_ERROR
from ray._private.utils import publish_error_to_driver, push_error_to_driver
from ray._private.worker import global_worker

INIT = {"log_to_driver": False}


@ray.remote(max_retries=-1)
def first_call_waits(counter, gate):
    if ray.get(counter.add.remote()) == 1:
        ray.get(gate.wait.remote())
    return os.getpid()


@ray.remote(num_cpus=0)
class Counter:
    def __init__(self):
        self.calls = 0

    def add(self):
        self.calls += 1
        return self.calls


def test_workers_are_killed_while_they_work_and_their_tasks_run_again(cluster):
    counter, gate = Counter.remote(), test_utils.SignalActor.remote()
    ref = first_call_waits.remote(counter, gate)
    wait_for_condition(lambda: ray.get(gate.cur_num_waiters.remote()) == 1)
    killer = test_utils.get_and_run_resource_killer(
        test_utils.WorkerKillerActor,
        0.1,
        max_to_kill=1,
        kill_filter_fn=lambda: lambda row: row["name"] == "first_call_waits",
    )
    ray.get(ref, timeout=30)
    wait_for_condition(lambda: ray.get(killer.get_killed_nodes.remote()) == {ref.task_id().hex()})
    assert ray.get(killer.stop_run.remote()) is False  # it has killed enough
    ray.kill(killer)


def test_a_killer_that_finds_nobody_goes_on_until_it_is_stopped(cluster):
    killer = test_utils.get_and_run_resource_killer(test_utils.RayletKiller, 0.01, no_start=True)
    running = killer.run.remote()  # there is only this node, which is spared
    ready, _ = ray.wait([running], timeout=0.2)
    assert not ready
    assert ray.get(killer.stop_run.remote()) is True
    assert ray.get(running) is None and ray.get(killer.get_killed_nodes.remote()) == set()
    ray.kill(killer)


def test_errors_are_pushed_to_drivers(cluster):
    subscriber = test_utils.init_error_pubsub()
    client = GcsClient(ray.get_runtime_context().gcs_address)
    publish_error_to_driver(DASHBOARD_AGENT_DIED_ERROR, "hello", gcs_client=client)
    push_error_to_driver(global_worker, "again", "good bye", ray.get_runtime_context().get_job_id())
    found = test_utils.get_error_message(subscriber, 2)
    assert [(each["type"], each["error_message"]) for each in found] == [
        (DASHBOARD_AGENT_DIED_ERROR, "hello"),
        ("again", "good bye"),
    ]
    subscriber.close()
    client.close()


def test_certificates_are_made_and_taken_away(monkeypatch):
    for name in ("RAY_USE_TLS", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT"):
        monkeypatch.setenv(name, "before")
    key, certificate, directory = test_utils.setup_tls()
    assert os.environ["RAY_USE_TLS"] == "1" and os.environ["RAY_TLS_SERVER_KEY"] == key
    assert "PRIVATE KEY" in Path(key).read_text() and "CERTIFICATE" in Path(certificate).read_text()
    assert os.stat(key).st_mode & 0o077 == 0
    test_utils.teardown_tls(key, certificate, directory)
    assert "RAY_USE_TLS" not in os.environ and not os.path.exists(directory)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server here")
def test_a_redis_server_is_started(tmp_path):
    port = find_free_port()
    _, info = test_utils.start_redis_instance(str(tmp_path), port, password="secret", listen_to_localhost_only=True)
    try:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"AUTH secret\r\nPING\r\n")
            assert sock.recv(100).startswith(b"+OK")
    finally:
        test_utils.kill_processes([info])
    with pytest.raises(NotImplementedError, match="without TLS"):
        test_utils.start_redis_instance(str(tmp_path), port, enable_tls=True)


def test_helpers_come_with_a_star():
    names = {}
    exec("from ray._private.test_utils import *", names)
    assert {"wait_for_assertion", "SignalActor", "setup_tls", "get_error_message", "chdir"} <= set(names)
