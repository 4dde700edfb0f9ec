"""`ray.cluster_utils.Cluster` on real processes. Source: core.md 14; Ray docs, "Testing"."""

import os
import urllib.request
from pathlib import Path

import psutil
import pytest
from gone import wait_gone

import ray
from ray._core.node import membership
from ray.cluster_utils import Cluster


@pytest.fixture
def cluster(tmp_path_factory):
    """An empty cluster; after the test nothing of its nodes is left."""
    before = set(Path("/dev/shm").glob("ray-*.arena"))
    mine = Cluster()
    yield mine
    nodes = mine.list_all_nodes()
    processes = [psutil.Process(s.pid) for node in nodes for s in node.services() if s.is_alive]
    processes += [child for process in processes for child in process.children(recursive=True)]
    ray.shutdown()
    mine.shutdown()
    assert wait_gone(processes, timeout=10) == []
    arenas = {Path(node.plasma_store_socket_name) for node in nodes}
    assert not arenas & (set(Path("/dev/shm").glob("ray-*.arena")) - before)
    assert not [node.raylet_socket_name for node in nodes if os.path.exists(node.raylet_socket_name)]


def states(address):
    with membership.open_client(address, "cli") as client:
        return {node.node_id.hex(): node for node in membership.list_nodes(client)}


def test_the_first_node_is_the_head_and_the_rest_join_it(cluster):
    head = cluster.add_node(num_cpus=1)
    other = cluster.add_node(num_cpus=3, resources={"special": 2}, labels={"zone": "a"})
    assert cluster.head_node is head and cluster.worker_nodes == {other}
    assert cluster.list_all_nodes() == [head, other]
    assert cluster.address == head.address == other.gcs_address
    cluster.wait_for_nodes()
    cluster.connect(namespace="here")
    assert ray.cluster_resources()["CPU"] == 4
    assert ray.cluster_resources()["special"] == 2
    by_id = {node["NodeID"]: node for node in ray.nodes()}
    assert set(by_id) == {head.node_id, other.node_id}
    assert by_id[other.node_id]["Labels"]["zone"] == "a"
    assert by_id[head.node_id]["NodeManagerPort"] != by_id[other.node_id]["NodeManagerPort"]
    assert ray.get_runtime_context().get_node_id() == head.node_id
    assert ray.get_runtime_context().namespace == "here"
    assert cluster.remaining_processes_alive()


def test_default_nodes_have_one_cpu_and_no_gpu(cluster):
    node = cluster.add_node()
    cluster.connect()
    assert ray.cluster_resources()["CPU"] == 1
    assert "GPU" not in ray.cluster_resources()
    assert ray.cluster_resources()["object_store_memory"] == 150 * 1024 * 1024
    assert Path(node.get_session_dir_path()).is_dir()


def test_a_removed_node_is_dead_and_says_that_it_was_stopped(cluster):
    cluster.add_node()
    other = cluster.add_node()
    cluster.remove_node(other)
    cluster.wait_for_nodes()
    dead = states(cluster.address)[other.node_id]
    assert (dead.state, dead.death_reason) == ("DEAD", "EXPECTED_TERMINATION")
    assert not os.path.exists(other.plasma_store_socket_name)
    assert cluster.worker_nodes == set()


def test_a_node_removed_without_grace_counts_as_crashed(cluster):
    cluster.add_node()
    other = cluster.add_node()
    children = psutil.Process(other.raylet.pid).children(recursive=True)
    assert children
    cluster.remove_node(other, allow_graceful=False)
    dead = states(cluster.address)[other.node_id]
    assert (dead.state, dead.death_reason) == ("DEAD", "UNEXPECTED_TERMINATION")
    assert not os.path.exists(other.plasma_store_socket_name)
    assert wait_gone(children, timeout=10) == []


def test_a_killed_raylet_is_noticed(cluster):
    cluster.add_node()
    other = cluster.add_node()
    other.kill_raylet()
    assert not cluster.remaining_processes_alive()
    cluster._wait_until_dead(other, timeout=5)
    with pytest.raises(TimeoutError, match="waiting for nodes"):
        cluster.wait_for_nodes(timeout=0.5)


def test_the_drivers_own_node_cannot_be_removed(cluster):
    head = cluster.add_node()
    cluster.connect()
    with pytest.raises(ValueError, match="not allowed because it will break the driver"):
        cluster.remove_node(head)


def test_connecting_needs_a_head():
    with pytest.raises(RuntimeError, match="no head"):
        Cluster(connect=True)
    with pytest.raises(RuntimeError, match="no head"):
        Cluster().connect()


def test_settings_belong_to_the_head(cluster):
    cluster.add_node(_system_config={"lease_linger_ms": 17})
    with pytest.raises(ValueError, match="give it to the head"):
        cluster.add_node(_system_config={"lease_linger_ms": 18})
    other = cluster.add_node()
    assert other.config.lease_linger_ms == 17


def test_nodes_may_be_named_and_have_variables_of_their_own(cluster):
    cluster.add_node(node_name="first", env_vars={"ONLY_HERE": "yes"})
    cluster.connect()

    @ray.remote
    def look():
        return os.environ.get("ONLY_HERE")

    assert ray.get(look.remote()) == "yes"
    assert ray.nodes()[0]["NodeName"] == "first"


def test_a_whole_cluster_in_one_call():
    cluster = Cluster(initialize_head=True, connect=True, head_node_args={"num_cpus": 2})
    assert ray.cluster_resources()["CPU"] == 2
    cluster.shutdown()
    assert not ray.is_initialized()
    assert cluster.head_node is None


def test_each_node_may_spill_to_a_directory_of_its_own(cluster, tmp_path):
    cluster.add_node(num_cpus=1, object_store_memory=80 * 1024 * 1024, object_spilling_directory=str(tmp_path))
    cluster.connect()
    refs = [ray.put(bytes([number]) * 10_000_000) for number in range(12)]
    spilled = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in spilled) >= 40_000_000
    for number, ref in enumerate(refs):
        assert ray.get(ref) == bytes([number]) * 10_000_000
    del refs


def test_nodes_answer_by_the_names_that_tests_know(cluster):
    head = cluster.add_node()
    other = cluster.add_node()
    assert head.is_head() and not other.is_head()
    assert set(head.all_processes) == {"gcs_server", "raylet"} and set(other.all_processes) == {"raylet"}
    assert psutil.pid_exists(head.all_processes["gcs_server"][0].process.pid)
    assert head.session_name == other.session_name == Path(head.get_session_dir_path()).name
    assert head.address_info["address"] == head.gcs_address and head.raylet_ip_address == "127.0.0.1"
    assert head.any_processes_alive() and head.remaining_processes_alive() and head.dead_processes() == []
    other.kill_raylet()
    assert not other.any_processes_alive() and [name for name, _ in other.dead_processes()] == ["raylet"]
    with pytest.raises(RuntimeError, match="'raylet', but this process is already dead"):
        other.kill_raylet()
    other.kill_raylet(check_alive=False)
    with pytest.raises(RuntimeError, match="'gcs_server'"):
        other.kill_gcs_server()


def test_a_connected_driver_and_its_workers_know_their_node(cluster):
    head = cluster.add_node()
    cluster.connect()

    @ray.remote
    def look():
        node = ray._private.worker._global_node
        return node.unique_id, node.get_session_dir_path(), node.gcs_address, node.all_processes

    mine = ray._private.worker._global_node
    expected = (head.unique_id, head.get_session_dir_path(), head.gcs_address, {})
    assert (mine.unique_id, mine.get_session_dir_path(), mine.gcs_address, mine.all_processes) == expected
    assert ray.get(look.remote()) == expected
    ray.shutdown()
    assert ray._private.worker._global_node is None


def test_a_head_may_have_a_dashboard_and_workers_their_ports(cluster):
    head = cluster.add_node(include_dashboard=True, dashboard_port=0, min_worker_port=23100, max_worker_port=23999)
    cluster.add_node(include_dashboard=True)  # of no meaning to a node that only joins
    host, port = head.webui_url.split(":")
    with urllib.request.urlopen(f"http://{host}:{port}/api/authentication_mode", timeout=30) as answer:
        assert answer.status == 200
    cluster.connect()

    @ray.remote
    def ports():
        connections = psutil.Process().net_connections(kind="tcp")
        return [each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN]

    found = ray.get(ports.remote())
    assert found and all(23100 <= port <= 23999 for port in found)
