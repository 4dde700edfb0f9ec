"""What this raylet knows of the other nodes: rows from the GCS, up to a report interval old.

Floor: raylet, pure. Whatever this raylet sends to a node is taken off that node's row at once, so that a burst of
requests is not all sent to the one node which the last report showed free.
"""

from __future__ import annotations

import msgspec

from ray._core.common.messages import NodeView
from ray._core.common.resources import Resources, subtract


class ClusterView:
    def __init__(self) -> None:
        self.rows: dict[bytes, NodeView] = {}
        self.dead: set[bytes] = set()
        self._before: dict[bytes, NodeView] = {}
        """Rows as they were reported, of those that something was taken off since."""

    def __repr__(self) -> str:
        return f"<ClusterView nodes={len(self.rows)}>"

    def update(self, views: list[NodeView]) -> set[bytes]:
        """Take rows that changed; older ones than known change nothing. Returns of which nodes there is news."""
        news: set[bytes] = set()
        for view in views:
            known = self.rows.get(view.node_id)
            if not view.alive:
                if self.remove(view.node_id):
                    news.add(view.node_id)
            elif known is None or view.version > known.version or view.draining != known.draining:
                self.rows[view.node_id] = view
                self._before.pop(view.node_id, None)
                news.add(view.node_id)
        return news

    def remove(self, node_id: bytes) -> bool:
        """The node has died. False: that was known."""
        self.dead.add(node_id)
        self._before.pop(node_id, None)
        return self.rows.pop(node_id, None) is not None

    def debit(self, node_id: bytes, demand: Resources) -> int | None:
        """Something was sent there; the node's next report tells the truth again.

        Returns: the version of the row, for `undebit`, when this is the first that is taken off it.
        """
        row = self.rows.get(node_id)
        if row is None:
            return None
        is_first = self._before.setdefault(node_id, row) is row
        available = dict(row.available)
        subtract(available, demand)
        self.rows[node_id] = msgspec.structs.replace(row, available=available)
        return row.version if is_first else None

    def undebit(self, node_id: bytes, version: int) -> bool:
        """No report came after all this time: what was sent there did not arrive. True: the row is as before."""
        row = self._before.get(node_id)
        if row is None or row.version != version:
            return False
        self.rows[node_id] = self._before.pop(node_id)
        return True

    def others(self, own_id: bytes) -> list[NodeView]:
        return [row for node_id, row in self.rows.items() if node_id != own_id]
