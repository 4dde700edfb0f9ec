"""Placement groups as this process creates, removes and waits for them, and the one it runs in.

Floor: worker. The GCS knows everything about them; requests go to it in order, so nothing here waits that need not.
Whoever creates a group hears of what becomes of it, and of a group that was shown to nobody it knows that nothing runs
in it: neither waiting for such a group nor its removal takes a round trip.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.errors import TaskPlacementGroupRemoved
from ray._core.common.ids import NO_ACTOR_PREFIX, object_id
from ray._core.store import serialization
from ray._core.wire.reactor import Waiter
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.objects import Entry, error_value

ENDS = ("CREATED", "REMOVED")
"""States for which somebody waits."""

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker


class _Followed:
    """A group of which this process hears. `state`: "" before the first news; `tell`: who waits for a state, once."""

    __slots__ = ("is_private", "state", "tell")

    def __init__(self, is_private: bool) -> None:
        self.state = ""
        self.is_private = is_private
        self.tell: list[Callable[[str], None]] = []


class Groups:
    """Methods are not locked unless they say so."""

    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self.current: bytes = b""
        """Id of the group that this worker runs in now; b"" outside of any."""
        self.captured: m.Strategy | None = None
        """Where what it submits goes, if its group captures that."""
        self._followed: dict[bytes, _Followed] = {}
        """Those that this process has created, until they are removed."""
        self.unready: dict[bytes, bytes] = {}
        """The group of each ref that `ready` gave, until it is decided."""

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
        core, request = self._core, m.CreateGroup(info=info)
        with core.lock:
            self._followed[info.group_id] = _Followed(is_private=not info.name)
            core.gcs.subscribed("group", info.group_id)
            if not info.name:  # it cannot be refused, so nobody has to wait
                core.gcs.tell(request)
                core.reactor.soon_flushed()
                return
        try:
            core.ask_gcs(request)
        except BaseException:
            with core.lock:
                self._forget(info.group_id)
            raise

    def shared(self, group_id: bytes) -> None:
        """Somebody was told of the group, so something may run in it."""
        followed = self._followed.get(group_id)
        if followed is not None:
            followed.is_private = False

    def remove(self, group_id: bytes) -> None:
        """What runs in the group has been ended when this returns."""
        core, request = self._core, m.RemoveGroup(group_id=group_id)
        followed = self._followed.get(group_id)
        if followed is None or not followed.is_private:
            core.ask_gcs(request)
            return
        with core.lock:  # nothing can run in it, so there is nothing to wait for
            self.changed(group_id, "REMOVED")
            core.gcs.tell(request)
            core.reactor.soon_flushed()

    def changed(self, group_id: bytes, state: str) -> None:
        """News of a group. Locked."""
        followed = self._followed.get(group_id)
        if followed is None:
            return
        followed.state = state
        if state == "REMOVED":
            self._forget(group_id)
        if state in ENDS:
            tell, followed.tell = followed.tell, []
            for each in tell:
                each(state)

    def _forget(self, group_id: bytes) -> None:
        del self._followed[group_id]
        self._core.gcs.unsubscribed("group", group_id)

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

    def wait(self, group_id: bytes, timeout_s: float | None) -> str:
        """CREATED or REMOVED; "" when the time is over or there is no such group."""
        core = self._core
        waiter, states = Waiter(core.reactor), deque[str]()

        def arrived(state: str) -> None:
            states.append(state)
            waiter.finish()

        with core.lock:
            self._once_ended(group_id, arrived)
            if not states:
                core.reactor.flush()
        core.values.block(waiter, timeout_s, about=[m.Subject("group", group_id)])
        return states[0] if states else ""

    def ready(self, group_id: bytes, group: Any) -> ObjectRef[Any]:
        """A ref whose value is `group` as soon as it is created; TaskPlacementGroupRemoved if that never comes."""
        core = self._core
        key = object_id(core.new_task_id(NO_ACTOR_PREFIX + core.job_id), 1)
        blob = serialization.serialize(group).to_blob()

        def arrived(state: str) -> None:
            self.unready.pop(key, None)
            if state == "CREATED":
                core.refs.resolve(key, m.Value(blob=blob))
            else:
                core.refs.resolve(key, error_value(TaskPlacementGroupRemoved()))

        with core.lock:
            core.objects[key] = Entry(None)
            ref: ObjectRef[Any] = core.refs.new_ref(key)
            self.unready[key] = group_id
            self._once_ended(group_id, arrived)
            core.reactor.soon_flushed()
        return ref

    def _once_ended(self, group_id: bytes, arrived: Callable[[str], None]) -> None:
        """Call `arrived` with CREATED or REMOVED, now or then; with "" for an unknown group. Locked."""
        followed = self._followed.get(group_id)
        if followed is None:
            request = m.GetGroup(group_id=group_id, wait=True)
            self._core.gcs.request(request, lambda reply: arrived(_state_of(reply)))
        elif followed.state in ENDS:
            arrived(followed.state)
        else:
            followed.tell.append(arrived)


def _state_of(reply: Any) -> str:
    """A failure (the GCS is away for good) is logged by the client of the GCS; the group is as good as gone."""
    return "" if isinstance(reply, m.Failed) or reply.info is None else reply.info.state
