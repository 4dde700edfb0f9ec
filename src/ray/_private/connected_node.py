"""The node that this process is connected to, when it did not start it: `ray._private.worker._global_node`."""

from __future__ import annotations

from pathlib import Path

from ray._core.common import messages as m
from ray._core.node.node_names import NodeNames
from ray._core.worker import object_ref as _process
from ray._private.session import session


class ConnectedNode(NodeNames):
    """Nothing here ends it: it has no processes that are this one's to end."""

    def __init__(self, info: m.NodeInfo, gcs_address: str, webui_url: str) -> None:
        self.unique_id = info.node_id.hex()
        self.head = info.is_head
        self.node_ip_address = info.host
        self.gcs_address = gcs_address
        self.raylet_socket_name = info.raylet_path
        self.plasma_store_socket_name = info.arena_path
        self.webui_url = webui_url
        self.session_dir = Path(info.session_dir)


def global_node() -> NodeNames | None:
    """The node of this process, which it started or is connected to; None without a session."""
    core = _process._core
    if session.node is not None or core is None:
        return session.node
    url = (core.ask_gcs(m.KvGet(namespace="dashboard", key=b"dashboard")).value or b"").decode()
    return ConnectedNode(core.node, core.gcs_address, url)
