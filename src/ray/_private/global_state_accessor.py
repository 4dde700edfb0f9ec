"""`GlobalStateAccessor`: the GCS's tables as serialized protobuf messages, as tools read them. Needs `protobuf`."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec

from ray._core.common import messages as m
from ray._core.common.ids import ActorID, NodeID, PlacementGroupID, WorkerID
from ray._core.common.resources import to_float
from ray._private.gcs_client import GcsClient
from ray.core.generated import common_pb2, gcs_pb2


@dataclasses.dataclass(frozen=True, slots=True)
class GcsClientOptions:
    """Which cluster: "host:port" of its GCS."""

    address: str

    @classmethod
    def create(
        cls, gcs_address: str, cluster_id_hex: str | None = None, allow_cluster_id_nil: bool = True,
        fetch_cluster_id_if_nil: bool = False,
    ) -> GcsClientOptions:  # fmt: skip
        """The other arguments mean nothing here: a GCS is known by its address and token."""
        return cls(gcs_address)


class GlobalStateAccessor:
    """Reads over a connection of its own, which `connect` (or the first question) makes."""

    def __init__(self, options: GcsClientOptions) -> None:
        self._client = GcsClient(options.address)

    def connect(self) -> bool:
        """Whether the GCS answers."""
        try:
            self._client._ask(m.Ping(), None)
        except OSError:
            return False
        return True

    def get_node_table(self) -> list[dict[str, Any]]:
        """As `ray.nodes()`."""
        from ray._private.state import _node

        return [_node(info) for info in self._client.get_all_node_info().values()]

    def get_node(self, node_id: str) -> dict[str, Any]:
        """Raises RuntimeError when there is no node of this id in hex."""
        for row in self.get_node_table():
            if row["NodeID"] == node_id:
                return row
        raise RuntimeError(f"There is no node {node_id}.")

    def get_draining_nodes(self) -> dict[NodeID, int]:
        """The deadlines of those that are being drained, in ms since 1970; 0 for one that is not known."""
        return {NodeID.from_hex(node_id): at_ms for node_id, at_ms in self._client.get_draining_nodes().items()}

    def get_actor_table(self, job_id: Any = None, actor_state_name: str | None = None) -> list[bytes]:
        """ActorTableData of all actors, or those of a job or state."""
        return [
            _actor(info)
            for info in self._client._ask(m.ListActors(), None).actors
            if (job_id is None or info.job_id == job_id.binary()) and actor_state_name in (None, info.state)
        ]

    def get_actor_info(self, actor_id: ActorID) -> bytes | None:
        """ActorTableData; None for an actor that there never was."""
        info = self._client._ask(m.GetActor(actor_id=actor_id.binary()), None).info
        return None if info is None else _actor(info)

    def get_job_table(self, *args: Any, **kwargs: Any) -> list[bytes]:
        """JobTableData of all jobs."""
        return [_job(info) for info in self._client.get_all_job_info().values()]

    def get_worker_table(self) -> list[bytes]:
        """WorkerTableData of the processes that live, and of the newest that have ended."""
        dump: m.StateDump = self._client._ask(m.DumpState(what="workers"), None)
        lists = [msgspec.msgpack.decode(blob, type=list[m.WorkerInfo]) for blob in dump.blobs]
        return [_worker(info) for each in lists for info in each]

    def get_worker_info(self, worker_id: WorkerID) -> bytes | None:
        """WorkerTableData; None for one that is not known any more."""
        for blob in self.get_worker_table():
            if gcs_pb2.WorkerTableData.FromString(blob).worker_address.worker_id == worker_id.binary():
                return blob
        return None

    def get_placement_group_table(self) -> list[bytes]:
        """PlacementGroupTableData of all groups, removed ones too."""
        return [_group(info) for info in self._groups()]

    def get_placement_group_info(self, group_id: PlacementGroupID) -> bytes | None:
        return next((_group(info) for info in self._groups() if info.group_id == group_id.binary()), None)

    def get_placement_group_by_name(self, name: str, namespace: str) -> bytes | None:
        wanted = (name, namespace)
        return next((_group(info) for info in self._groups() if (info.name, info.namespace) == wanted), None)

    def get_all_available_resources(self) -> list[bytes]:
        """AvailableResources of each living node."""
        made = gcs_pb2.AvailableResources
        return [_bytes(made(node_id=v.node_id, resources_available=to_float(v.available))) for v in self._views()]

    def get_all_total_resources(self) -> list[bytes]:
        """TotalResources of each living node."""
        made = gcs_pb2.TotalResources
        return [_bytes(made(node_id=v.node_id, resources_total=to_float(v.total))) for v in self._views()]

    def get_internal_kv(self, namespace: Any, key: Any) -> bytes | None:
        return self._client.internal_kv_get(key, namespace)

    def _groups(self) -> list[m.PlacementGroupInfo]:
        groups: list[m.PlacementGroupInfo] = self._client._ask(m.ListGroups(), None).groups
        return groups

    def _views(self) -> list[m.NodeView]:
        return [view for view in self._client._ask(m.GetClusterResources(), None).views if view.alive]


def _address(address: m.Address | None) -> Any:
    made = common_pb2.Address
    if address is None:
        return made()
    return made(
        node_id=address.node_id, ip_address=address.host, port=address.port, worker_id=address.worker_id
    )  # fmt: skip


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _actor(info: m.ActorInfo) -> bytes:
    made = gcs_pb2.ActorTableData
    return _bytes(
        made(
            actor_id=info.actor_id,
            job_id=info.job_id,
            state=made.ActorState.Value(info.state),
            max_restarts=info.max_restarts,
            num_restarts=info.num_restarts,
            address=_address(info.address),
            is_detached=info.detached,
            name=info.name,
            pid=info.pid,
            ray_namespace=info.namespace,
            start_time=info.start_time_ms,
            end_time=info.end_time_ms,
            class_name=info.class_name,
            required_resources=to_float(info.required),
            node_id=info.node_id,
            repr_name=info.repr_name,
            preempted=info.preempted,
        )
    )


def _job(info: m.JobInfo) -> bytes:
    made = gcs_pb2.JobTableData
    return _bytes(
        made(
            job_id=info.job_id,
            is_dead=info.is_dead,
            timestamp=info.end_time_ms or info.start_time_ms,
            driver_ip_address=info.driver_host,
            driver_pid=info.driver_pid,
            start_time=info.start_time_ms,
            end_time=info.end_time_ms,
            entrypoint=info.entrypoint,
        )
    )


def _worker(info: m.WorkerInfo) -> bytes:
    made = gcs_pb2.WorkerTableData
    address = _address(m.Address(info.node_id, info.worker_id, info.host, 0, ""))
    kind = common_pb2.WorkerType.Value(info.type)
    return _bytes(
        made(is_alive=not info.exit_type, worker_address=address, worker_type=kind, pid=info.pid, job_id=info.job_id)
    )


def _group(info: m.PlacementGroupInfo) -> bytes:
    made = gcs_pb2.PlacementGroupTableData
    return _bytes(
        made(
            placement_group_id=info.group_id,
            name=info.name,
            strategy=common_pb2.PlacementStrategy.Value(info.strategy),
            state=made.PlacementGroupState.Value(info.state),
            creator_job_id=info.job_id,
            is_detached=info.detached,
            ray_namespace=info.namespace,
        )
    )
