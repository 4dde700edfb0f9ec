"""Which items of a streaming task are there, and which its consumer has taken.

Floor: worker, pure. One `Stream` per streaming task, kept by its owner (see `streams`). Items are numbered from 1 and
may arrive in any order, twice (a task that runs again), or never. Knows positions, not values.
"""

from __future__ import annotations


class Inconsistent(Exception):
    """A task that ran again gave another number of items than before."""


class Stream:
    """`taken` <= `arrived` <= `end`. Items 1 to `arrived` are there, and those in `early` behind a gap."""

    __slots__ = ("arrived", "early", "end", "is_dropped", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self.arrived = 0
        self.early: set[int] = set()
        self.end: int | None = None
        """How many items there are in all, an error at the end included; None while the task runs."""
        self.is_dropped = False
        """The consumer has gone."""

    def __repr__(self) -> str:
        gone = " dropped" if self.is_dropped else ""
        return f"<Stream taken={self.taken} arrived={self.arrived}+{len(self.early)} end={self.end}{gone}>"

    @property
    def is_ready(self) -> bool:
        """Whether the next item can be taken now."""
        return self.taken < self.arrived

    @property
    def is_exhausted(self) -> bool:
        """Whether all items have been taken and no other will come."""
        return self.taken == self.end

    def arrive(self, index: int) -> bool:
        """An item has come. False: nobody wants it (there already, beyond the end, or the consumer has gone)."""
        if index <= self.arrived or index in self.early or (self.end is not None and index > self.end):
            return False
        self.early.add(index)
        while self.arrived + 1 in self.early:
            self.arrived += 1
            self.early.discard(self.arrived)
        if self.is_dropped:
            self.taken = self.arrived
            return False
        return True

    def take(self) -> int:
        """The consumer takes the next item. Only when `is_ready`."""
        assert self.is_ready, self
        self.taken += 1
        return self.taken

    def close(self, count: int) -> None:
        """The task ended well after `count` items; some may still be under way.

        Raises:
            Inconsistent: an earlier run gave more items, or (having ended) fewer. Nothing is changed.
        """
        most = max(self.early, default=self.arrived)
        if most > count or (self.end is not None and self.end != count):
            known = most if self.end is None else self.end
            raise Inconsistent(f"{known} items were there before, and now it gave {count}")
        self.end = count

    def fail(self, after: int | None = None) -> tuple[int | None, list[int]]:
        """The task failed for good: an error becomes the last item.

        Args:
            after: how many items the task gave before it raised; None: unknown (its process ended).
        Returns:
            Where the error belongs, None if every item is there already; and early items that now lie beyond the end.
        """
        if self.end is not None and self.arrived == self.end:
            return None, []
        place = self.arrived + 1 if after is None else max(after, self.arrived) + 1
        beyond = sorted(index for index in self.early if index >= place)
        self.early.difference_update(beyond)
        self.end = place
        return place, beyond

    def drop(self) -> list[int]:
        """The consumer has gone: the items which nobody will take."""
        left = [*range(self.taken + 1, self.arrived + 1), *sorted(self.early)]
        self.is_dropped = True
        self.taken = self.arrived
        return left

    def validate(self) -> None:
        """The invariants; tests call it after each event."""
        assert 0 <= self.taken <= self.arrived, self
        assert all(index > self.arrived + 1 for index in self.early), self
        assert self.end is None or max(self.early, default=self.arrived) <= self.end, self
