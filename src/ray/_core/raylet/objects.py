"""Which objects lie in this node's arena, in whose slabs, and which slabs nobody needs any more.

Floor: raylet, pure. A slab belongs to the process that fills it (its holder, the shell's connection), or to the raylet
(None): the slabs of processes that have ended, those of one large object each, and the extents of copies pulled from
other nodes.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from ray._core.common.ids import TaskID

EARLY_KEPT = 10_000
"""Frees that overtook the word that the object exists (another connection brought them), and tasks that are over: so
many of each are remembered."""


@dataclasses.dataclass(slots=True)
class Slab:
    offset: int
    holder: Any
    for_one: bool = False
    """It is to hold one object, and is the raylet's once that is sealed: its free is that of the slab."""
    live: int = 0
    """Objects in it that nobody has freed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """Where an object lies."""

    offset: int
    size: int
    slab: int
    attempt: int = 0
    """Of the task that made it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Free:
    """Which copies of an object its owner frees: those of attempts up to one, or `for_good`, all that ever come.

    It is remembered until the copy of `attempt` has come.
    """

    attempt: int = 0
    for_good: bool = True

    def means(self, attempt: int) -> bool:
        return self.for_good or attempt <= self.attempt

    def and_also(self, other: Free) -> Free:
        return Free(max(self.attempt, other.attempt), self.for_good or other.for_good)


FOR_GOOD = Free()


@dataclasses.dataclass(frozen=True, slots=True)
class TellHolder:
    """The space at `offset` is free again; its slab's holder manages it."""

    holder: Any
    offset: int


@dataclasses.dataclass(frozen=True, slots=True)
class ReleaseExtent:
    """Nothing is left in the extent at `offset`."""

    offset: int


Order = TellHolder | ReleaseExtent


class ObjectTable:
    def __init__(self) -> None:
        self.objects: dict[bytes, Placed] = {}
        self.older: dict[bytes, list[Placed]] = {}
        """Further copies of objects whose task ran again: somebody may still read them where they lie."""
        self.used_bytes = 0
        """By objects; slabs are larger."""
        self._slabs: dict[int, Slab] = {}
        self._starts: list[int] = []
        self._of_holder: dict[Any, set[int]] = {}
        self._pins: dict[int, int] = {}
        """How often the object at each offset is being read for other nodes."""
        self._unfreed: dict[int, Slab] = {}
        """Memory of freed objects that are still pinned."""
        self._freed_early: OrderedDict[bytes, Free] = OrderedDict()
        self._over: OrderedDict[bytes, frozenset[bytes]] = OrderedDict()
        """Tasks of which attempts were lost here and whose end has been told, and what is wanted of each."""

    def __repr__(self) -> str:
        return f"<ObjectTable objects={len(self.objects)} slabs={len(self._slabs)}>"

    def add_slab(self, offset: int, holder: Any, for_one: bool = False) -> None:
        self._slabs[offset] = Slab(offset, holder, for_one)
        insort(self._starts, offset)
        if holder is not None:
            self._of_holder.setdefault(holder, set()).add(offset)

    def release_slab(self, offset: int) -> list[Order]:
        """Its holder has nothing in it any more; an unknown slab changes nothing."""
        slab = self._slabs.get(offset)
        return [] if slab is None else self._drop(slab)

    def sealed(self, object_id: bytes, offset: int, size: int, attempt: int = 0) -> list[Order]:
        """An object can be read at `offset`.

        An earlier copy (its task has run before) stays until both are freed, since somebody may have a view of it. If
        the owner was quicker to free it than this word to come, it is freed at once.
        """
        slab = self._slabs[self._starts[bisect_right(self._starts, offset) - 1]]
        slab.live += 1
        if slab.for_one:
            self._forget_holder(slab)
            slab.holder = None
        early = self._freed_early.get(object_id)
        if early is not None and early.means(attempt):
            if attempt >= early.attempt:
                del self._freed_early[object_id]
            return self._freed(slab, offset)
        if self._over and object_id not in self._over.get(object_id[: TaskID.SIZE], (object_id,)):
            return self._freed(slab, offset)
        before = self.objects.get(object_id)
        if before is not None:
            self.older.setdefault(object_id, []).append(before)
        self.objects[object_id] = Placed(offset, size, slab.offset, attempt)
        self.used_bytes += size
        return []

    def free(self, object_id: bytes, free: Free = FOR_GOOD) -> list[Order]:
        """Free the copies that are meant; if the one that should be here is not, it is freed when word of it comes."""
        placed = self.objects.get(object_id)
        copies = [] if placed is None else [placed, *self.older.get(object_id, ())]
        orders: list[Order] = []
        is_met = False
        for each in copies:
            if free.means(each.attempt):
                is_met = is_met or each.attempt >= free.attempt
                orders += self.drop(object_id, each)
        if not is_met:
            before = self._freed_early.pop(object_id, free)
            self._freed_early[object_id] = free.and_also(before)
            if len(self._freed_early) > EARLY_KEPT:
                self._freed_early.popitem(last=False)
        return orders

    def drop(self, object_id: bytes, placed: Placed) -> list[Order]:
        """This copy of an object is not needed; others stay. One that is freed already changes nothing."""
        older = self.older.get(object_id, [])
        if placed in older:
            older.remove(placed)
        elif self.objects.get(object_id) != placed:
            return []
        elif older:
            self.objects[object_id] = older.pop()
        else:
            del self.objects[object_id]
        if not older:
            self.older.pop(object_id, None)
        self.used_bytes -= placed.size
        return self._freed(self._slabs[placed.slab], placed.offset)

    def task_over(self, task_id: bytes, wanted: Iterable[bytes]) -> None:
        """What of the task is sealed from now on is freed at once, but for what is `wanted`."""
        self._over[task_id] = frozenset(wanted)
        if len(self._over) > EARLY_KEPT:
            self._over.popitem(last=False)

    def pin(self, offset: int) -> None:
        """Another node reads what lies at `offset`, or will: that memory stays, even if the object is freed."""
        self._pins[offset] = self._pins.get(offset, 0) + 1

    def unpin(self, offset: int) -> list[Order]:
        self._pins[offset] -= 1
        if self._pins[offset]:
            return []
        del self._pins[offset]
        slab = self._unfreed.pop(offset, None)
        return [] if slab is None else self._freed(slab, offset)

    def is_pinned(self, object_id: bytes) -> bool:
        placed = self.objects.get(object_id)
        return placed is not None and placed.offset in self._pins

    def abandoned(self, extent: int, offset: int) -> list[Order]:
        """The object that was to come to `offset` of an extent of its own has not come whole."""
        self.add_slab(extent, None)
        self._slabs[extent].live = 1
        return self._freed(self._slabs[extent], offset)

    def holder_gone(self, holder: Any) -> list[Order]:
        """A process has ended: what it sealed stays for its owners, slabs with nothing in them go."""
        orders: list[Order] = []
        for offset in self._of_holder.pop(holder, ()):
            slab = self._slabs[offset]
            slab.holder = None
            if not slab.live:
                orders += self._drop(slab)
        return orders

    def validate(self) -> None:
        live = dict.fromkeys(self._slabs, 0)
        copies = [*self.objects.values(), *(each for older in self.older.values() for each in older)]
        for placed in copies:
            live[placed.slab] += 1
        for slab in self._unfreed.values():
            live[slab.offset] += 1
        assert self._unfreed.keys() <= self._pins.keys() and all(self._pins.values()), self
        assert self.used_bytes == sum(placed.size for placed in copies), self
        assert live == {offset: slab.live for offset, slab in self._slabs.items()}, self
        assert self._starts == sorted(self._slabs)
        assert all(slab.live for slab in self._slabs.values() if slab.holder is None), self

    def _freed(self, slab: Slab, offset: int) -> list[Order]:
        if offset in self._pins:
            self._unfreed[offset] = slab
            return []
        slab.live -= 1
        if slab.holder is not None:
            return [TellHolder(slab.holder, offset)]
        return [] if slab.live else self._drop(slab)

    def _drop(self, slab: Slab) -> list[Order]:
        del self._slabs[slab.offset]
        del self._starts[bisect_right(self._starts, slab.offset) - 1]
        self._forget_holder(slab)
        return [ReleaseExtent(slab.offset)]

    def _forget_holder(self, slab: Slab) -> None:
        slabs = self._of_holder.get(slab.holder)
        if slabs is not None:
            slabs.discard(slab.offset)
            if not slabs:
                del self._of_holder[slab.holder]
