"""Clusters of several nodes on one machine, for tests.

Source: Ray docs, "Testing", `ray.cluster_utils.Cluster`. Nodes are what `ray start` starts: processes of their own,
that end with this one.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from typing import Any

import ray
from ray._core.node import membership
from ray._core.node.node import Node
from ray._core.node.params import NodeParams
from ray._private import addresses
from ray._private.not_yet import refuse
from ray._private.session import RayContext, session

DEFAULT_STORE = 150 * 1024 * 1024
_PLAIN = (
    *("num_cpus", "num_gpus", "resources", "labels", "object_store_memory", "memory", "temp_dir", "node_name"),
    *("include_dashboard", "dashboard_host", "dashboard_port", "redis_address", "redis_username", "redis_password"),
)
_RENAMED = {
    "_system_config": "system_config",
    "env_vars": "env",
    "node_ip_address": "node_ip",
    "plasma_directory": "shm_dir",
    "object_spilling_directory": "spill_dir",
    "_memory": "memory",
    "_temp_dir": "temp_dir",
    "gcs_server_port": "gcs_port",
    "metrics_export_port": "metrics_port",
    "node_manager_port": "raylet_port",
    "ray_client_server_port": "client_server_port",
    "object_manager_port": "raylet_port",
    "_metrics_export_port": "metrics_port",
}
_OF_THE_HEAD = ("include_dashboard", "dashboard_host", "dashboard_port", "client_server_port")
_WITHOUT_MEANING = {
    "dashboard_agent_listen_port",
    "enable_object_reconstruction",
    "_enable_object_reconstruction",
    "include_log_monitor",
    "no_monitor",
    "ray_debugger_external",
    "redis_port",
    "runtime_env_agent_port",
}
"""Taken, since tests pass them, and nothing here depends on them."""


class Cluster:
    """Nodes on this machine; the first that is added is the head.

    Args:
        initialize_head: add the head at once, with `head_node_args`.
        connect: and connect this process to it.
        shutdown_at_exit: stop all nodes when this process ends.
    Raises:
        RuntimeError: `connect` without a head.
    """

    def __init__(
        self,
        initialize_head: bool = False,
        connect: bool = False,
        head_node_args: Mapping[str, Any] | None = None,
        shutdown_at_exit: bool = True,
    ) -> None:
        self.head_node: Node | None = None
        self.worker_nodes: set[Node] = set()
        self.connected = False
        self._shutdown_at_exit = shutdown_at_exit
        if connect and not initialize_head:
            raise RuntimeError("Cannot connect to an uninitialized cluster: it has no head.")
        if initialize_head:
            self.add_node(**(head_node_args or {}))
            if connect:
                self.connect()
        if shutdown_at_exit:
            atexit.register(self.shutdown)

    def __repr__(self) -> str:
        return f"<Cluster {self.gcs_address} nodes={len(self.list_all_nodes())}>"

    @property
    def gcs_address(self) -> str | None:
        return self.head_node.gcs_address if self.head_node else None

    @property
    def address(self) -> str | None:
        """ "host:port" of the GCS; None without a head."""
        return self.gcs_address

    def list_all_nodes(self) -> list[Node]:
        """The head first."""
        return ([self.head_node] if self.head_node else []) + list(self.worker_nodes)

    # ---------------------------------------------------------- growing and shrinking

    def add_node(self, wait: bool = True, **node_args: Any) -> Node:
        """Start a node: num_cpus=1, num_gpus=0, an object store of 150 MiB, unless told otherwise.

        Args:
            wait: return only once the cluster counts it among its nodes.
            node_args: resources, labels, env_vars, node_ip_address, temp_dir, _system_config (head only), …
        Raises:
            ValueError: a wrong value, or a `_system_config` for a node that is not the head.
            NotImplementedError: an argument that nothing here honours.
            StartError: it did not start.
        """
        params = self._params(node_args)
        node = Node(params)
        with addresses.authentication_told():
            node.start()
        if params.head:
            self.head_node = node
        else:
            self.worker_nodes.add(node)
        if wait:
            self._wait_for_node(node)
        return node

    def _params(self, node_args: Mapping[str, Any]) -> NodeParams:
        given: dict[str, Any] = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": DEFAULT_STORE}
        for name, value in node_args.items():
            if name in _WITHOUT_MEANING or name in ("min_worker_port", "max_worker_port"):
                continue
            if name not in _PLAIN and name not in _RENAMED:
                refuse(f"Cluster.add_node with {name}={value!r}")
            if value is not None or name in given:
                given[_RENAMED.get(name, name)] = value
        given.setdefault("node_ip", "127.0.0.1")
        least, greatest = node_args.get("min_worker_port"), node_args.get("max_worker_port")
        if least and greatest:
            given["worker_ports"] = f"{least}-{greatest}"
        if self.head_node is not None:
            given.setdefault("temp_dir", str(self.head_node.session_dir.parent))
            given = {name: value for name, value in given.items() if name not in _OF_THE_HEAD}
            return NodeParams(head=False, gcs_address=self.head_node.gcs_address, **given)
        return NodeParams(head=True, **given)

    def remove_node(self, node: Node, allow_graceful: bool = True) -> None:
        """Stop a node; without `allow_graceful` by SIGKILL, as a crash would.

        Raises:
            ValueError: it is the node that this process's driver is connected to, or none of this cluster.
        """
        from ray._core.worker import object_ref

        core = object_ref._core
        if core is not None and core.node.node_id.hex() == node.node_id:
            raise ValueError(
                "Removing a node that is connected to this Ray client is not allowed because it will break the "
                "driver. You can use the get_other_node utility to avoid removing a node that the Ray client is "
                "connected."
            )
        if node not in self.list_all_nodes():
            raise ValueError(f"{node!r} is no node of this cluster.")
        if allow_graceful:
            node.stop()
        else:
            node.kill()
        if node is self.head_node:
            self.head_node = None
        else:
            self.worker_nodes.discard(node)
            self._wait_until_dead(node)
        assert not node.live_processes(), f"{node!r} has processes left: {node.live_processes()}"

    # ---------------------------------------------------------- waiting

    def wait_for_nodes(self, timeout: float = 30) -> None:
        """Wait until the GCS counts exactly the nodes of this object as alive.

        Args:
            timeout: seconds.
        Raises:
            TimeoutError: it does not.
        """
        expected = {node.node_id for node in self.list_all_nodes()}
        self._wait(lambda alive: alive == expected, timeout, f"nodes {sorted(expected)}")

    def _wait_for_node(self, node: Node, timeout: float = 30) -> None:
        self._wait(lambda alive: node.node_id in alive, timeout, f"node {node.node_id}")

    def _wait_until_dead(self, node: Node, timeout: float = 30) -> None:
        if self.head_node is not None and self.head_node.gcs is not None and self.head_node.gcs.is_alive:
            self._wait(lambda alive: node.node_id not in alive, timeout, f"the death of node {node.node_id}")

    def _wait(self, wanted: Any, timeout: float, what: str) -> None:
        address = self.gcs_address
        assert address is not None, "The cluster has no head."

        def agrees(nodes: list[Any]) -> bool:
            return bool(wanted({node.node_id.hex() for node in nodes if node.state == "ALIVE"}))

        def look() -> None:
            with membership.open_client(address, "cli") as client:
                if membership.wait_for_state(client, agrees, timeout) is None:
                    alive = [node.node_id.hex() for node in membership.list_nodes(client) if node.state == "ALIVE"]
                    text = f"Timed out after {timeout} s while waiting for {what}; alive are {sorted(alive)}."
                    raise TimeoutError(text)

        membership.patiently(look, timeout)

    def remaining_processes_alive(self) -> bool:
        """Whether no process of a node has ended by itself."""
        return all(node.remaining_processes_alive() for node in self.list_all_nodes())

    # ---------------------------------------------------------- the driver

    def connect(self, namespace: str | None = None) -> RayContext:
        """Make this process a driver of the cluster. Raises RuntimeError when it has no head."""
        if self.address is None:
            raise RuntimeError("Cannot connect to an uninitialized cluster: it has no head.")
        context = ray.init(address=self.address, namespace=namespace, ignore_reinit_error=True)
        self.connected = True
        return context

    def shutdown(self) -> None:
        """Disconnect a driver of this cluster and stop all nodes, the head last."""
        if self.connected and session.node is None:
            ray.shutdown()
        self.connected = False
        for node in (*self.worker_nodes, self.head_node):
            if node is not None:
                node.stop()
        self.worker_nodes.clear()
        self.head_node = None
        if self._shutdown_at_exit:
            atexit.unregister(self.shutdown)


cluster_not_supported = False
"""Whether this platform cannot run several nodes; tests skip by it."""


class AutoscalingCluster:
    """Raises NotImplementedError: there is no autoscaler."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "AutoscalingCluster is not available in this version of pure-ray, which has no autoscaler. "
            "Cluster.add_node and Cluster.remove_node change the nodes."
        )
