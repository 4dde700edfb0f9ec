"""`ray._private.state.state` and its kin: actors, jobs and nodes as older tools know them."""

from __future__ import annotations

from typing import Any

from ray._core.common import messages as m
from ray._private.auto_init_hook import connected_core

Table = dict[str, Any]


def actors(actor_id: str | None = None) -> Table:
    """Every actor by its id in hex, dead ones too; or the one of this id. Raises RaySystemError before `ray.init`."""
    if actor_id is not None:
        info = connected_core().ask_gcs(m.GetActor(actor_id=bytes.fromhex(actor_id))).info
        return {} if info is None else _actor(info)
    return {info.actor_id.hex(): _actor(info) for info in connected_core().ask_gcs(m.ListActors()).actors}


def jobs() -> list[Table]:
    """Every job, ended ones too."""
    return [
        {
            "JobID": job.job_id.hex(),
            "DriverIPAddress": job.driver_host,
            "DriverPid": job.driver_pid,
            "Timestamp": job.end_time_ms or job.start_time_ms,
            "StartTime": job.start_time_ms,
            "EndTime": job.end_time_ms,
            "IsDead": job.is_dead,
            "Entrypoint": job.entrypoint,
        }
        for job in connected_core().ask_gcs(m.ListJobs()).jobs
    ]


def node_ids() -> list[str]:
    """The resources "node:<address>" of living nodes."""
    return [f"node:{node.host}" for node in connected_core().ask_gcs(m.ListNodes()).nodes if node.state == "ALIVE"]


def current_node_id() -> str:
    """The resource "node:<address>" of this node."""
    return f"node:{connected_core().node.host}"


def _actor(info: m.ActorInfo) -> Table:
    host, port = (info.address.host, info.address.port) if info.address else ("", 0)
    return {
        "ActorID": info.actor_id.hex(),
        "ActorClassName": info.class_name,
        "IsDetached": info.detached,
        "Name": info.name,
        "JobID": info.job_id.hex(),
        "Address": {"IPAddress": host, "Port": port, "NodeID": info.node_id.hex()},
        "State": info.state,
        "NumRestarts": info.num_restarts,
        "DeathCause": info.death_cause,
        "Pid": info.pid,
    }


class GlobalState:
    """The same as methods. Needs a session."""

    def actor_table(self, actor_id: str | None = None, *args: Any, **kwargs: Any) -> Table:
        return actors(actor_id)

    def job_table(self) -> list[Table]:
        return jobs()

    def node_table(self) -> list[Table]:
        from ray._private.state import nodes

        return nodes()

    def cluster_resources(self) -> dict[str, float]:
        from ray._private.state import cluster_resources

        return cluster_resources()

    def available_resources(self) -> dict[str, float]:
        from ray._private.state import available_resources

        return available_resources()

    def available_resources_per_node(self) -> dict[str, dict[str, float]]:
        from ray._private.state import available_resources_per_node

        return available_resources_per_node()

    def total_resources_per_node(self) -> dict[str, dict[str, float]]:
        from ray._private.state import total_resources_per_node

        return total_resources_per_node()

    def get_node(self, node_id: str) -> Table:
        """The row of one node. KeyError when there is none of this id in hex."""
        rows = {row["NodeID"]: row for row in self.node_table()}
        return rows[node_id]


state = GlobalState()
