"""How to make an object again whose every copy was lost: the tasks that made what is still wanted.

Floor: worker. Only large results need it: small ones lie with their owner. A kept task holds no values; the objects
that it takes stay in the table with a count of their own (`Entry.lineage`), by which their makers are known when they,
too, must be made again. All methods are locked.
Source: Ray docs, "Object Fault Tolerance".
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ray._core.common import messages as m
from ray._core.common.errors import ObjectReconstructionFailedError
from ray._core.worker.objects import Entry, error_value

if TYPE_CHECKING:
    from ray._core.worker.actor_client import ActorClient
    from ray._core.worker.core import CoreWorker
    from ray._core.worker.task_record import CallTemplate, Record

_OVERHEAD = 500
"""Bytes that a kept task takes besides its arguments, about."""


@dataclasses.dataclass(eq=False, slots=True)
class Kept:
    """A task that has ended well and may have to run again. `wanted`: results of it that somebody may ask for."""

    task_id: bytes
    template: CallTemplate
    blob: bytes
    deps: list[tuple[int | str, bytes]]
    refs: list[bytes]
    retries_left: int
    attempt: int
    actor: ActorClient | None
    wanted: set[bytes] = dataclasses.field(default_factory=set)


def is_in_memory(entry: Entry | None) -> bool:
    return entry is not None and entry.value is not None and entry.value.location is not None


class Lineage:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._kept: dict[bytes, Kept] = {}
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Lineage tasks={len(self._kept)} bytes={self._bytes}>"

    # ---------------------------------------------------------- keeping

    def wanted(self, task_id: bytes) -> list[bytes]:
        """Results of a task that has ended before, which somebody may ask for."""
        kept = self._kept.get(task_id)
        return [] if kept is None else sorted(kept.wanted)

    def keep(self, record: Record, keys: list[bytes]) -> None:
        """A task has ended, and made the objects `keys`."""
        if not self._core.keeps_lineage:
            return
        wanted = [key for key in keys if is_in_memory(self._core.objects.get(key))]
        if not wanted:
            return
        kept = self._kept.get(record.task_id)
        if kept is None:
            packed = record.packed
            deps = [(slot, ref.binary()) for slot, ref in packed.deps]
            refs = [ref.binary() for ref in packed.refs]
            kept = Kept(record.task_id, record.template, packed.blob, deps, refs, 0, 0, record.actor)
            self._kept[record.task_id] = kept
            self._bytes += len(packed.blob) + _OVERHEAD
            for key in refs:
                entry = self._core.objects.get(key)
                if entry is not None:
                    entry.lineage += 1
        kept.retries_left, kept.attempt = record.retries_left, record.attempt
        for key in wanted:
            kept.wanted.add(key)
            self._core.objects[key].maker = kept
        while self._bytes > self._core.config.max_lineage_bytes and self._kept:
            self._evict(next(iter(self._kept.values())))

    def gone(self, key: bytes, maker: Kept) -> None:
        """Nobody will ask for this result of `maker` any more."""
        maker.wanted.discard(key)
        if not maker.wanted and self._kept.get(maker.task_id) is maker:
            self._drop(maker)

    def _drop(self, kept: Kept) -> None:
        del self._kept[kept.task_id]
        self._bytes -= len(kept.blob) + _OVERHEAD
        for key in kept.refs:
            entry = self._core.objects.get(key)
            if entry is not None:
                entry.lineage -= 1
                self._core.refs.maybe_free(key, entry)

    def _evict(self, kept: Kept) -> None:
        """Too much is remembered: these results cannot be made again."""
        for key in kept.wanted:
            self._core.objects[key].maker = None
        self._drop(kept)

    # ---------------------------------------------------------- making again

    def make_again(self, key: bytes, entry: Entry, loss: str) -> None:
        """Every copy of the object is lost: run its task again, or say why that cannot be."""
        maker = entry.maker
        if maker is None:
            if key[-1] & 0x80:
                self._give_up(key, "OBJECT_PUT", loss, "It came from ray.put, so no task can make it.")
            else:
                text = (
                    "Its task has no retries (max_retries), was forgotten (RAY_max_lineage_bytes), or is of a job "
                    "that keeps no lineage."
                )
                self._give_up(key, "NO_LINEAGE", loss, text)
            return
        if maker.task_id in self._core.submitter.tasks:
            self._unknown(entry)
            return
        if maker.retries_left == 0:
            text = f"Its task {maker.template.name} has used up its retries (max_retries={maker.template.max_retries})."
            self._give_up(key, "MAX_ATTEMPTS_EXCEEDED", loss, text)
            return
        self._unknown(entry)
        self._run(maker, loss)

    def _unknown(self, entry: Entry) -> None:
        """The value will come once more."""
        entry.value, entry.here, entry.copies, entry.is_moved = None, None, [], False

    def _run(self, maker: Kept, loss: str) -> None:
        core = self._core
        for dep in maker.refs:
            entry = core.objects.get(dep)
            if entry is not None and entry.owner is None and entry.is_freed:
                entry.is_freed = False
                self.make_again(dep, entry, f"It was freed, and is needed to make another object again. {loss}")
        if maker.retries_left > 0:
            maker.retries_left -= 1
        maker.attempt += 1
        core.submitter.run_again(maker)

    def _give_up(self, key: bytes, reason: str, loss: str, why: str) -> None:
        error = ObjectReconstructionFailedError(key.hex(), reason=reason, reason_message=f"{loss} {why}")
        self._core.refs.resolve(key, error_value(error))

    def came_again(self, key: bytes, value: m.Value) -> bool:
        """A result came of a task that ran again. False: it is wanted, and missing.

        If it was there still, it has one more copy now; whoever reads the value where it lay may go on. If only the
        lineage keeps it, since the task ran again for another result, it is freed once more.
        """
        entry = self._core.objects.get(key)
        if entry is not None and entry.is_freed:
            self._core.refs.drop(key, value)
            return True
        if entry is None or entry.value is None:
            return False
        if value.location is not None:
            self._core.remote.copied(key, value.location)
        self._core.refs.decline(value)
        return True
