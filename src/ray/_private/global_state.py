"""`ray._private.state.state` and its kin: actors, jobs and nodes as older tools know them."""

from __future__ import annotations

from typing import Any

import msgspec

from ray._core.common import messages as m
from ray._core.common.ids import JobID, PlacementGroupID
from ray._private.auto_init_hook import connected_core
from ray._private.utils import validate_actor_state_name

Table = dict[str, Any]


def actors(actor_id: str | None = None, job_id: JobID | None = None, actor_state_name: str | None = None) -> Table:
    """Every actor by its id in hex, dead ones too; or the one of this id. Raises RaySystemError before `ray.init`.

    Args:
        job_id: only those of this job.
        actor_state_name: only those in this state.
    """
    validate_actor_state_name(actor_state_name)
    if actor_id is not None:
        info = connected_core().ask_gcs(m.GetActor(actor_id=bytes.fromhex(actor_id))).info
        return {} if info is None else _actor(info)
    return {
        info.actor_id.hex(): _actor(info)
        for info in connected_core().ask_gcs(m.ListActors()).actors
        if (job_id is None or info.job_id == job_id.binary()) and actor_state_name in (None, info.state)
    }


def workers() -> Table:
    """Living processes by their id in hex: where they are."""
    dump = connected_core().ask_gcs(m.DumpState(what="workers"))
    lists = [msgspec.msgpack.decode(blob, type=list[m.WorkerInfo]) for blob in dump.blobs]
    found = {info.worker_id.hex(): info for each in lists for info in each}
    arenas = {node.node_id: node.arena_path for node in connected_core().ask_gcs(m.ListNodes()).nodes}
    return {
        name: {"node_ip_address": info.host, "plasma_store_socket": arenas.get(info.node_id, "")}
        for name, info in found.items()
        if info.type == "WORKER" and not info.exit_type
    }


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
        "Timestamp": float(info.end_time_ms or info.start_time_ms),
        "StartTime": info.start_time_ms,
        "EndTime": info.end_time_ms,
        "DeathCause": info.death_cause,
        "Pid": info.pid,
    }


class GlobalState:
    """The same as methods. Needs a session."""

    def actor_table(
        self, actor_id: str | None = None, job_id: JobID | None = None, actor_state_name: str | None = None
    ) -> Table:
        return actors(actor_id, job_id, actor_state_name)

    def workers(self) -> Table:
        return workers()

    def placement_group_table(self, placement_group_id: PlacementGroupID | None = None) -> Table:
        from ray.util.placement_group import PlacementGroup, placement_group_table

        return placement_group_table(None if placement_group_id is None else PlacementGroup(placement_group_id))

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

    def node_ids(self) -> list[str]:
        return node_ids()

    def get_draining_nodes(self) -> dict[str, int]:
        """The deadlines of nodes that are being drained, in ms since 1970, by the node's id in hex."""
        infos = connected_core().ask_gcs(m.ListNodes()).nodes
        return {i.node_id.hex(): i.drain_deadline_ms for i in infos if i.state == "ALIVE" and i.draining}

    def get_system_config(self) -> dict[str, Any]:
        """The cluster's settings, those that are as by default too."""
        return msgspec.structs.asdict(connected_core().config)

    def chrome_tracing_dump(self) -> str:
        """`ray.timeline()` as JSON."""
        from ray._private.timeline import timeline

        return msgspec.json.encode(timeline()).decode()

    def get_node(self, node_id: str) -> Table:
        """The row of one node. KeyError when there is none of this id in hex."""
        rows = {row["NodeID"]: row for row in self.node_table()}
        return rows[node_id]


state = GlobalState()
