"""What the driver is told when a worker dies that nobody ended. Floor: raylet, pure."""

from __future__ import annotations

from ray._core.common.messages import ErrorEvent, NodeInfo
from ray._core.raylet.workers import Worker

_EXIT_TYPES = {
    "INTENDED_USER_EXIT": "INTENDED_USER_EXIT",
    "OUT_OF_MEMORY": "NODE_OUT_OF_MEMORY",
    "CONSTRUCTOR_FAILED": "USER_ERROR",
}


def exit_type(kind: str, note: str) -> str:
    """Ray's name for the end of a worker.

    Args:
        kind, note: what the worker, or the raylet that ended it, said before; "" when nobody did.
    """
    if kind:
        return _EXIT_TYPES.get(kind, "SYSTEM_ERROR")
    return "INTENDED_SYSTEM_EXIT" if note else "SYSTEM_ERROR"


def unexpected_exit(worker: Worker, node: NodeInfo, cause: str) -> ErrorEvent | None:
    """The event for the driver of the worker's job; None for a worker without work (idle ones come and go)."""
    is_busy = worker.owner is not None or worker.hosted is not None or worker.broken_lease_id
    if not is_busy or not worker.job_id:
        return None
    lease_id = worker.lease_id or worker.broken_lease_id
    port = worker.address.port if worker.address is not None else 0
    text = (
        f"A worker died or was killed while executing a task by an unexpected system error. To troubleshoot the "
        f"problem, check the logs for the dead worker. Lease ID: {lease_id} Worker ID: {worker.worker_id.hex()} "
        f"Node ID: {node.node_id.hex()} Worker IP address: {node.host} Worker port: {port} Worker PID: {worker.pid} "
        f"Worker exit type: SYSTEM_ERROR Worker exit detail: {cause}"
    )
    return ErrorEvent(worker.job_id, "worker_died", text)
