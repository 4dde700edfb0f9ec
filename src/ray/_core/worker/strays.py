"""Where results may lie that their owner has not heard of: what a worker had sealed whose answer never came.

Floor: worker, pure. When the answer to an attempt does not come (its worker died, or only the connection broke) or does
not count (the task is retried, or was given up), results may lie on that worker's node all the same. They cannot be
freed at once: the task may run there again, and the order to free would meet what is wanted. So the nodes are noted.
When the task is over they are told to free whatever of it nobody wants (`FreeRest`); what is wanted is freed there when
nobody wants it any more, which nothing can overtake since nothing makes it again.
"""

from __future__ import annotations


class Strays:
    def __init__(self) -> None:
        self.at_tasks: dict[bytes, set[bytes]] = {}
        """Tasks that are not over, and the nodes on which attempts of them were lost."""
        self.at_objects: dict[bytes, set[bytes]] = {}
        """Objects that are wanted, and nodes on which they may lie although their owner counts on no copy there."""

    def __repr__(self) -> str:
        return f"<Strays of {len(self.at_tasks)} tasks, {len(self.at_objects)} objects>"

    def attempt_lost(self, task_id: bytes, node_id: bytes) -> None:
        """An attempt of a task that is not over may have left results on the node."""
        self.at_tasks.setdefault(task_id, set()).add(node_id)

    def may_lie(self, object_id: bytes, node_id: bytes) -> None:
        """An object that is wanted may have a copy on the node that its owner does not count on."""
        self.at_objects.setdefault(object_id, set()).add(node_id)

    def task_over(self, task_id: bytes, wanted: list[bytes]) -> set[bytes]:
        """No attempt of the task will be accepted any more, and of its results these are wanted. Returns the nodes that
        must be told to free the rest."""
        nodes = self.at_tasks.pop(task_id, set())
        for object_id in wanted:
            for node_id in nodes:
                self.may_lie(object_id, node_id)
        return nodes

    def gone(self, object_id: bytes) -> set[bytes]:
        """Nobody will ever want the object again. Returns where it may lie besides its known copies."""
        return self.at_objects.pop(object_id, set())
