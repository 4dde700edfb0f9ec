"""Placement groups as this process creates, removes and waits for them, and the one it runs in.

Floor: worker. The GCS knows everything about them; requests go to it in order, so nothing here waits that need not.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.errors import RaySystemError, TaskPlacementGroupRemoved
from ray._core.common.ids import NO_ACTOR_PREFIX, object_id
from ray._core.store import serialization
from ray._core.wire.reactor import Waiter
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.objects import Entry, error_value

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker


class Groups:
    """Methods are not locked unless they say so."""

    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self.current: bytes = b""
        """Id of the group that this worker runs in now; b"" outside of any."""
        self.captured: m.Strategy | None = None
        """Where what it submits goes, if its group captures that."""

    def assigned(self, message: m.AssignWorker) -> None:
        """This worker runs for somebody else now. Locked."""
        self.current, self.captured = message.placement_group_id, None
        if message.placement_group_id and message.capture_child_tasks:
            self.captured = m.Strategy(
                "PLACEMENT_GROUP", placement_group_id=message.placement_group_id, capture_child_tasks=True
            )

    # ---------------------------------------------------------- life

    def create(self, info: m.PlacementGroupInfo) -> None:
        """Register a group; the cluster places it meanwhile. Raises RaySystemError when its name is taken."""
        request = m.CreateGroup(info=info)
        if info.name:
            self._core.ask_gcs(request)
        else:  # cannot be refused, so nobody has to wait
            self._tell(request)

    def remove(self, group_id: bytes) -> None:
        """What runs in the group has been ended when this returns."""
        self._core.ask_gcs(m.RemoveGroup(group_id=group_id))

    def _tell(self, request: m.Request) -> None:
        core = self._core
        with core.lock:
            core.gcs.request(request, lambda reply: None)
            core.reactor.soon_flushed()

    # ---------------------------------------------------------- looking

    def get(self, group_id: bytes = b"", name: str = "", namespace: str = "") -> m.PlacementGroupInfo | None:
        """By id, or by name; a removed group is found by its id only."""
        info: m.PlacementGroupInfo | None = self._core.ask_gcs(
            m.GetGroup(group_id=group_id, name=name, namespace=namespace)
        ).info
        return info

    def all(self) -> list[m.PlacementGroupInfo]:
        groups: list[m.PlacementGroupInfo] = self._core.ask_gcs(m.ListGroups()).groups
        return groups

    # ---------------------------------------------------------- waiting

    def wait(self, group_id: bytes, timeout_s: float | None) -> m.PlacementGroupInfo | None:
        """The group once it is CREATED or REMOVED; None when the time is over or there is no such group."""
        core = self._core
        waiter, replies = Waiter(core.reactor), deque[Any]()

        def answered(reply: Any) -> None:
            replies.append(reply)
            waiter.finish()

        with core.lock:
            core.gcs.request(m.GetGroup(group_id=group_id, wait=True), answered)
            core.reactor.flush()
        core.values.block(waiter, timeout_s)
        if not replies:
            return None
        if isinstance(replies[0], m.Failed):
            raise RaySystemError(f"The placement group cannot be waited for: {replies[0].message}")
        info: m.PlacementGroupInfo | None = replies[0].info
        return info

    def ready(self, group_id: bytes, group: Any) -> ObjectRef[Any]:
        """A ref whose value is `group` as soon as it is created; TaskPlacementGroupRemoved if that never comes."""
        core = self._core
        key = object_id(core.new_task_id(NO_ACTOR_PREFIX + core.job_id), 1)
        blob = serialization.serialize(group).to_blob()

        def answered(reply: Any) -> None:
            if isinstance(reply, m.Failed):
                core.refs.resolve(
                    key, error_value(RaySystemError(f"The placement group is not known: {reply.message}"))
                )
            elif reply.info is None or reply.info.state == "REMOVED":
                core.refs.resolve(key, error_value(TaskPlacementGroupRemoved()))
            else:
                core.refs.resolve(key, m.Value(blob=blob))

        with core.lock:
            core.objects[key] = Entry(None)
            ref: ObjectRef[Any] = core.refs.new_ref(key)
            core.gcs.request(m.GetGroup(group_id=group_id, wait=True), answered)
            core.reactor.soon_flushed()
        return ref
