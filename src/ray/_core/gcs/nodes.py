"""Which nodes there are, what they have, and which of that schedulers have not been told yet. Floor: gcs, pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec

from ray._core.common.messages import Demand, NodeInfo, NodeView, ReportResources
from ray._core.common.resources import subtract

DEAD_KEPT = 1000
"""Dead nodes stay listed up to this many; older ones are forgotten."""
_DRAINED = ("draining", "preempted", "drain_message", "drain_deadline_ms")
"""What stays of a node that registers again."""


class NodeTable:
    """Nodes by id; the dead stay listed for long."""

    def __init__(self) -> None:
        self._infos: dict[bytes, NodeInfo] = {}
        self._dead: deque[bytes] = deque()
        self._touched: dict[bytes, None] = {}
        self._views: dict[bytes, NodeView] = {}
        self._demands: dict[bytes, list[Demand]] = {}
        self._changed: dict[bytes, NodeView] = {}
        self._estimates: dict[bytes, NodeView] = {}
        """Rows of `_views` that are nobody else's."""

    def register(self, info: NodeInfo) -> NodeInfo:
        """A node joins, or one that lost its connection is back. Returns it with the labels that every node has.

        A node that was drained before stays so.
        """
        known = self._infos.get(info.node_id, info)
        labels = {"ray.io/node-id": info.node_id.hex(), **info.labels}
        drained = {name: getattr(known, name) for name in _DRAINED}
        info = msgspec.structs.replace(info, labels=labels, **drained)
        self._keep(info)
        self._views[info.node_id] = NodeView(
            node_id=info.node_id,
            host=info.host,
            raylet_port=info.raylet_port,
            raylet_path=info.raylet_path,
            total=info.total,
            available=info.total,
            labels=info.labels,
            version=0,
            draining=info.draining,
            is_head=info.is_head,
        )
        self._changed[info.node_id] = self._views[info.node_id]
        return info

    # ---------------------------------------------------------- rows in the storage

    def take_rows(self) -> list[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call, by node id; None: forgotten."""
        touched, self._touched = self._touched, {}
        infos = [(node_id, self._infos.get(node_id)) for node_id in touched]
        return [(node_id, None if info is None else msgspec.msgpack.encode(info)) for node_id, info in infos]

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Fill the empty table with what an earlier GCS wrote. A living node counts as full until it has reported."""
        infos = [msgspec.msgpack.decode(row, type=NodeInfo) for row in rows.values()]
        for info in sorted(infos, key=lambda info: info.end_time_ms):
            if info.state == "DEAD":
                self._infos[info.node_id] = info
                self._dead.append(info.node_id)
                continue
            self.register(info)
            full = msgspec.structs.replace(self._views[info.node_id], available={})
            self._views[info.node_id] = self._changed[info.node_id] = full
        self._touched.clear()

    def _keep(self, info: NodeInfo) -> None:
        self._infos[info.node_id] = info
        self._touched[info.node_id] = None

    # ---------------------------------------------------------- changes

    def die(self, node_id: bytes, reason: str, message: str, now_ms: int) -> NodeInfo | None:
        """Declare a node dead; None when it is unknown or dead already."""
        info = self._infos.get(node_id)
        if info is None or info.state == "DEAD":
            return None
        view = self._views.pop(node_id)
        self._estimates.pop(node_id, None)
        self._changed[node_id] = msgspec.structs.replace(view, alive=False)
        self._demands.pop(node_id, None)
        dead = msgspec.structs.replace(
            info, state="DEAD", death_reason=reason, death_message=message, end_time_ms=now_ms
        )
        self._keep(dead)
        self._dead.append(node_id)
        if len(self._dead) > DEAD_KEPT:
            forgotten = self._dead.popleft()
            del self._infos[forgotten]
            self._touched[forgotten] = None
        return dead

    def away(self, node_id: bytes) -> None:
        """The GCS cannot order anything there: it counts as full here until it registers again. Others may reach it."""
        view = self._views.get(node_id)
        if view is not None:
            self._views[node_id] = msgspec.structs.replace(view, available={})

    def report(self, report: ReportResources) -> None:
        """Take a raylet's report; an older one than the last, or of a dead node, changes nothing."""
        view = self._views.get(report.node_id)
        if view is None or report.version <= view.version:
            return
        self._views[report.node_id] = msgspec.structs.replace(
            view, available=report.available, total=report.total, version=report.version
        )
        self._changed[report.node_id] = self._views[report.node_id]
        self._demands[report.node_id] = report.demands

    def is_busy(self, node_id: bytes) -> bool:
        """Whether anything of a living node is in use, as its last report says."""
        view = self._views[node_id]
        return any(view.available.get(name, 0) < units for name, units in view.total.items())

    def debit(self, node_id: bytes, demand: Mapping[str, int]) -> None:
        """Something was sent there; the node's next report tells the truth again."""
        if node_id in self._views:
            subtract(self._estimate(node_id).available, demand)

    def credit(self, node_id: bytes, demand: Mapping[str, int]) -> None:
        """Something was given back there; until the next report this counts as free, up to the node's total."""
        if node_id in self._views:
            view = self._estimate(node_id)
            for name, units in demand.items():
                view.available[name] = min(view.available.get(name, 0) + units, view.total.get(name, 0))

    def _estimate(self, node_id: bytes) -> NodeView:
        """A row whose amounts may be changed: copied once for each report, not for each of a thousand groups."""
        view = self._views[node_id]
        if self._estimates.get(node_id) is not view:
            view = msgspec.structs.replace(view, available=dict(view.available))
            self._views[node_id] = self._estimates[node_id] = view
        return view

    def drain(
        self, node_id: bytes, preempted: bool = False, message: str = "", deadline_ms: int = 0
    ) -> NodeInfo | None:
        """From now on nothing new is placed there. `preempted`: its machine will go. None: no such living node."""
        view = self._views.get(node_id)
        if view is None:
            return None
        self._views[node_id] = self._changed[node_id] = msgspec.structs.replace(view, draining=True)
        known = self._infos[node_id]
        info = msgspec.structs.replace(
            known, draining=True, preempted=preempted, drain_message=message, drain_deadline_ms=deadline_ms
        )
        self._keep(info)
        return info

    def take_changes(self) -> list[NodeView]:
        """Rows that changed since the last call; those of dead nodes once more, with `alive` False."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    # ---------------------------------------------------------- looking

    def info(self, node_id: bytes) -> NodeInfo | None:
        return self._infos.get(node_id)

    def infos(self) -> list[NodeInfo]:
        return list(self._infos.values())

    def views(self) -> list[NodeView]:
        return list(self._views.values())

    @property
    def rows(self) -> Mapping[bytes, NodeView]:
        """Views by node id."""
        return self._views

    def demands(self) -> list[Demand]:
        return [demand for demands in self._demands.values() for demand in demands]
