"""Which objects leave the shared memory for the disk, which are there, and which files hold something.

Floor: raylet, pure. An object is chosen, voted on by all processes of the node (those with views of it refuse), written
with others into one file, and only then leaves the memory. What was brought back keeps its place in the file: it can
leave again without being written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Mapping

from ray._core.raylet.objects import FOR_GOOD, Free, Placed


@dataclasses.dataclass(frozen=True, slots=True)
class Url:
    """Where a spilled object lies: `size` bytes at `offset` of a file (or whatever the storage calls by `path`)."""

    path: str
    offset: int
    size: int
    attempt: int = 0
    """Of the task that made it."""

    def __str__(self) -> str:
        return f"{self.path}?offset={self.offset}&size={self.size}"


@dataclasses.dataclass(eq=False, slots=True)
class Batch:
    """Objects on their way out together."""

    objects: dict[bytes, Placed]
    freed: dict[bytes, Free] = dataclasses.field(default_factory=dict)
    """What their owners free meanwhile."""


class SpillTable:
    """Args: max_fused: how many objects may share a file."""

    def __init__(self, max_fused: int) -> None:
        self._max_fused = max_fused
        self.on_disk: dict[bytes, Url] = {}
        self.spilled_bytes = 0
        self.num_spilled = 0
        self.restored_bytes = 0
        self._files: dict[str, set[bytes]] = {}
        self._leaving: dict[bytes, Batch] = {}
        self._refused: dict[bytes, int] = {}
        self._round = 0

    def __repr__(self) -> str:
        return f"<SpillTable on_disk={len(self.on_disk)} files={len(self._files)} leaving={len(self._leaving)}>"

    # ---------------------------------------------------------- leaving

    def choose(
        self,
        objects: Mapping[bytes, Placed],
        sizes: Mapping[int, int],
        needed: int,
        least: int = 0,
        staying: Container[bytes] = (),
    ) -> Batch | None:
        """The next objects to go; None when there are none.

        Whole slabs, oldest first, since space inside the slab of a living process helps nobody else.

        Args:
            objects: all in memory, oldest first.
            sizes: bytes of each slab, by its offset.
            needed: bytes that must become free.
            least: bytes to take at least, if there are as many: a file for each small object would be slow.
            staying: objects that do not leave: those with further copies, whose readers would not be asked.
        """
        self._round += 1
        slabs: dict[int, list[bytes]] = {}
        for object_id, placed in objects.items():
            slabs.setdefault(placed.slab, []).append(object_id)
        chosen: dict[bytes, Placed] = {}
        gained = 0
        for slab, object_ids in slabs.items():
            if gained >= max(needed, least) or len(chosen) >= self._max_fused:
                break
            if slab not in sizes:  # it is on disk already
                continue
            if any(each in self._leaving or each in staying or self._refuses(each) for each in object_ids):
                continue
            gained += sizes[slab]
            chosen.update((object_id, objects[object_id]) for object_id in object_ids)
        if not chosen:
            return None
        return self.take(chosen)

    def take(self, objects: dict[bytes, Placed]) -> Batch:
        """These objects are to leave the memory; none of them is leaving already."""
        batch = Batch(objects)
        self._leaving.update(dict.fromkeys(objects, batch))
        return batch

    def _refuses(self, object_id: bytes) -> bool:
        """A process had views of it in one of the last rounds; ask again later."""
        return self._refused.get(object_id, -2) > self._round - 2

    def is_leaving(self, object_id: bytes) -> bool:
        return object_id in self._leaving

    def voted(self, batch: Batch, refused: Iterable[bytes]) -> list[bytes]:
        """The processes have answered: those that stay are no longer of the batch. Returns them."""
        stay = [object_id for object_id in refused if batch.objects.pop(object_id, None) is not None]
        for object_id in stay:
            self._refused[object_id] = self._round
            del self._leaving[object_id]
        return stay

    def to_write(self, batch: Batch) -> dict[bytes, Placed]:
        """What of the batch is not on disk yet, and still wanted."""
        return {
            object_id: placed
            for object_id, placed in batch.objects.items()
            if object_id not in self.on_disk and object_id not in batch.freed
        }

    def written(self, batch: Batch, urls: Mapping[bytes, Url]) -> None:
        """The file is there; `left` follows when the memory was given up."""
        for object_id, url in urls.items():
            self.on_disk[object_id] = dataclasses.replace(url, attempt=batch.objects[object_id].attempt)
            self._files.setdefault(url.path, set()).add(object_id)
            self.spilled_bytes += url.size
            self.num_spilled += 1

    def ended(self, batch: Batch) -> dict[bytes, Free]:
        """Nothing of the batch is on its way any more. Returns the frees that came meanwhile: they want doing now."""
        for object_id in batch.objects:
            self._leaving.pop(object_id, None)
            self._refused.pop(object_id, None)
        return batch.freed

    # ---------------------------------------------------------- frees

    def freed(self, object_id: bytes, free: Free = FOR_GOOD) -> tuple[bool, str | None]:
        """An owner frees an object: (whether its memory may be freed now, a file that holds nothing any more)."""
        batch = self._leaving.get(object_id)
        if batch is not None:
            batch.freed[object_id] = free.and_also(batch.freed.get(object_id, free))
            return False, None
        self._refused.pop(object_id, None)
        url = self.on_disk.get(object_id)
        if url is None or not free.means(url.attempt):
            return True, None
        del self.on_disk[object_id]
        users = self._files[url.path]
        users.discard(object_id)
        if users:
            return True, None
        del self._files[url.path]
        return True, url.path

    def validate(self) -> None:
        for object_id, url in self.on_disk.items():
            assert object_id in self._files[url.path]
        assert sum(map(len, self._files.values())) == len(self.on_disk)
        assert all(self._files.values()), "a file that holds nothing"
        for object_id, batch in self._leaving.items():
            assert object_id in batch.objects
