"""After a restart: who is expected back, until when, and what their absence means.

Floor: gcs, pure. Raylets, drivers and owners of actors reconnect by themselves. Until all nodes are back, or the time
is over, no actor is placed: it may be alive on a node that has not said so yet.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(slots=True)
class Recovery:
    """Ids of what was alive and has not reconnected."""

    nodes: set[bytes]
    jobs: set[bytes]
    owners: set[bytes]

    def node_back(self, node_id: bytes) -> bool:
        """True: it was the last one that was missing."""
        if node_id not in self.nodes:
            return False
        self.nodes.discard(node_id)
        return not self.nodes

    def owner_back(self, worker_id: bytes) -> None:
        self.owners.discard(worker_id)
