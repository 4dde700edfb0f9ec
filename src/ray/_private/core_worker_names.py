"""This process's core worker under the names that Ray's tests use: `global_worker.core_worker`."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID, WorkerID
from ray._core.worker.actors import is_handle_key
from ray._core.worker.object_ref import ObjectRef

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker


def _only_in_the_engine(core: CoreWorker) -> Counter[bytes]:
    """How many refs to each object nobody has but pending tasks, which keep those they were given, and values whose
    refs `get` has made already. Locked.

    Only Python knows who else has one: a ref has as many references as places of the engine, this loop's, and the
    user's.
    """
    kept = [ref for record in core.submitter.tasks.values() for ref in record.packed.refs]
    kept += [ref for record in core.submitter.tasks.values() for _, ref in record.packed.deps]
    kept += [ref for entry in core.objects.values() for ref in (entry.inside or {}).values()]
    held: dict[int, list[ObjectRef[Any]]] = {}
    while kept:
        each = kept.pop()
        held.setdefault(id(each), []).append(each)
        del each  # or the last would count once more
    found: Counter[bytes] = Counter()
    for places in held.values():
        of_engine = 2 * len(places)  # here, and there
        if sys.getrefcount(places[0]) - 1 <= of_engine:  # less the one of this question
            found[places[0].binary()] += 1
    return found


class CoreWorkerNames:
    """What is not named here is the engine's own core worker's."""

    def __init__(self, core: CoreWorker) -> None:
        self._core = core

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def get_all_reference_counts(self) -> dict[bytes, dict[str, int]]:
        """By an object's id as hex bytes: "local" refs of the user's, and "submitted" tasks that take it.

        The pseudo-objects that count the handles on actors are left out, as Ray has none.
        """
        core = self._core
        with core.lock:
            core.refs.drain()
            contained = Counter(key for entry in core.objects.values() for key in entry.inner)
            ours = _only_in_the_engine(core)
            return {
                key.hex().encode(): {
                    "local": entry.local - ours[key],
                    "submitted": max(entry.held - contained[key], 0),
                }
                for key, entry in core.objects.items()
                if not entry.is_freed and not is_handle_key(key)
            }

    def push_error(self, job_id: JobID, error_type: str, message: str, timestamp: float) -> None:
        """Show a warning to the drivers of a job, or to all for the nil one; it has arrived when this returns.

        Args:
            timestamp: not looked at.
        """
        job = b"" if job_id.is_nil() else job_id.binary()
        with self._core.lock:
            self._core.gcs.send(m.ErrorEvent(job, error_type, message, "driver"))
        self._core.ask_gcs(m.Ping())

    def global_gc(self) -> None:
        """Have all processes of the cluster look for garbage, soon."""
        with self._core.lock:
            self._core.gcs.send(m.CollectGarbage())
            self._core.reactor.flush()

    def get_memory_store_size(self) -> int:
        """Objects whose values, or the news that they lie in shared memory, this process has as their owner."""
        core = self._core
        with core.lock:
            core.refs.drain()
            return sum(entry.value is not None for entry in core.objects.values())

    def object_exists(self, ref: ObjectRef[Any]) -> bool:
        """Whether the value can be read on this node without waiting."""
        core = self._core
        with core.lock:
            entry = core.objects.get(ref.binary())
            return entry is not None and core.remote.is_here(entry)

    def get_worker_id(self) -> WorkerID:
        core = self._core
        return WorkerID.for_driver(core.job_id) if core.mode == "driver" else WorkerID(core.worker_id)

    def get_current_job_id(self) -> JobID:
        return JobID(self._core.job_id)

    get_job_id = get_current_job_id

    def get_current_node_id(self) -> NodeID:
        return NodeID(self._core.node.node_id)

    def get_current_task_id(self) -> TaskID:
        """Nil between tasks, and in a driver."""
        call = self._core.current
        return TaskID.nil() if call is None else TaskID(call.task_id)

    def get_actor_id(self) -> ActorID:
        """Nil in a process that is no actor."""
        actor_id = self._core.actor_id
        return ActorID(actor_id) if actor_id else ActorID.nil()

    def get_placement_group_id(self) -> PlacementGroupID:
        from ray.runtime_context import get_runtime_context

        text = get_runtime_context().get_placement_group_id()
        return PlacementGroupID.from_hex(text) if text else PlacementGroupID.nil()
