"""Where a node's runtime environments lie. Floor: common, pure."""

from __future__ import annotations


def resources_dir(session_dir: str, is_head: bool, node_id: str) -> str:
    """Nodes of one machine may share the session's directory, but not their environments. `node_id` in hex."""
    name = "runtime_resources" if is_head else f"runtime_resources_{node_id[:16]}"
    return f"{session_dir}/{name}"
