"""What this process knows of why something waits: its objects, its tasks, and the calls that it runs for others.

Floor: worker. All methods are locked. Everything is read from what is kept anyway, when somebody asks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from ray._core.common import messages as m
from ray._core.common.waiting import shortened
from ray._core.worker.invocation import Call
from ray._core.worker.objects import Arrival, Entry
from ray._core.worker.task_log import describe_error
from ray._core.worker.task_record import Packed, Record

if TYPE_CHECKING:
    from ray._core.worker.actor_client import ActorClient
    from ray._core.worker.core import CoreWorker

FEW = 3
"""So many of those that something waits for are named."""
MOST_LOOKED_AT = 100_000
"""Objects of this process that are looked through for those that somebody waits for."""
ERROR_SHOWN = 500
RID_SIZE = 8


class Inquiry:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core

    def findings(self, subject: m.Subject) -> list[m.Finding]:
        """What is known here of the subject; nothing, if it is not of this process."""
        match subject.kind:
            case "object":
                return self._object(subject)
            case "task":
                record = self._core.submitter.tasks.get(subject.id)
                return [self._task(self._here("task", subject.id), record)] if record is not None else []
            case "call":
                return self._call(subject)
            case "process":
                return self._process(subject)
            case "actor":
                return self._constructor(subject)
        return []

    def _here(self, kind: str, key: bytes) -> m.Subject:
        return m.Subject(kind, key, self._core.node.node_id, self._core.worker_id)

    def _few(self, subjects: Iterable[m.Subject]) -> tuple[list[m.Subject], int]:
        every = list(subjects)
        return every[:FEW], max(len(every) - FEW, 0)

    # ---------------------------------------------------------- objects

    def _object(self, subject: m.Subject) -> list[m.Finding]:
        core, key = self._core, subject.id
        entry = core.objects.get(key)
        if entry is None:
            return []
        here = self._here("object", key)
        value = entry.value
        if value is not None:
            where = value.location
            if entry.is_coming and where is not None and not core.remote.is_here(entry):
                pull = m.Subject("pull", key, core.node.node_id)
                return [m.Finding(here, m.IsComing(where.size), next=[pull])]
            nodes = [] if where is None else [place.node_id for place in (where, *entry.copies)]
            size = where.size if where is not None else len(value.blob or b"")
            return [m.Finding(here, m.Ready(size, nodes, _error_text(value)))]
        if entry.owner is not None:
            owner = m.Subject("object", key, entry.owner.node_id, entry.owner.worker_id)
            return [m.Finding(here, m.AwaitsOwner(), next=[owner])]
        return [self._unmade(here, key, entry)]

    def _unmade(self, here: m.Subject, key: bytes, entry: Entry) -> m.Finding:
        core, task_id = self._core, key[:-4]
        if task_id in core.submitter.tasks:
            return m.Finding(here, m.AwaitsTask(), next=[self._here("task", task_id)])
        group_id = core.groups.unready.get(key)
        if group_id is not None:
            return m.Finding(here, m.AwaitsGroup(), next=[m.Subject("group", group_id)])
        if entry.on_free is not None:
            return m.Finding(here, m.IsHandle(), next=[m.Subject("actor", task_id[8:])])
        return m.Finding(here, m.Unknown("its owner has no task that makes it"))

    def _missing(self, packed: Packed) -> list[m.Subject]:
        """Arguments that are not there, each once."""
        objects, keys = self._core.objects, dict.fromkeys(ref.binary() for _, ref in packed.deps)
        missing = (key for key in keys if (entry := objects.get(key)) is not None and entry.value is None)
        return [self._here("object", key) for key in missing]

    # ---------------------------------------------------------- tasks of this process

    def _task(self, here: m.Subject, record: Record) -> m.Finding:
        reason: m.AnyReason
        if record.unresolved:
            links, since_us = self._missing(record.packed), record.created_us
            reason = m.AwaitsArguments(len(links), len(record.packed.deps))
        elif record.actor is not None:
            reason, links, since_us = self._method(record, record.actor)
        else:
            reason, links, since_us = self._normal(record)
        few, more = self._few(links)
        story = [m.Event(_s_since(at_us), text) for at_us, text in record.story or ()]
        return m.Finding(here, reason, record.template.name, _s_since(since_us), few, more, story)

    def _normal(self, record: Record) -> tuple[m.AnyReason, list[m.Subject], int]:
        core = self._core
        leases, ready_us = core.submitter.leases, record.ready_us or record.created_us
        held = leases.held.get(record.lease_id)
        lease = held.queue.leases.get(record.lease_id) if held is not None else None
        if held is not None and lease is not None and record.task_id in lease.running:
            ahead = list(lease.running).index(record.task_id)
            return m.IsSent(ahead), [self._at(held.worker.peer, "call", record.task_id)], record.sent_us
        queue = core.submitter.queue_of(record)
        waiting = enumerate(queue.waiting) if queue is not None else ()  # a million may wait: nothing is copied
        place = next((number for number, (task_id, _) in waiting if task_id == record.task_id), None)
        if queue is None or place is None:
            return m.AwaitsRetry(record.attempt + 1), [], record.created_us
        requests = [
            m.Subject("lease", core.worker_id + rid.to_bytes(RID_SIZE), node_id)
            for node_id, rid in leases.open_requests(queue)
        ]
        busy = [each for each in queue.leases.values() if each.running]
        links = requests[:1]  # they are alike
        for each in busy[:FEW]:
            worker = leases.held[each.lease_id].worker.peer
            links.append(self._at(worker, "call", next(iter(each.running))))
        running = sum(len(each.running) for each in busy)
        reason = m.AwaitsLease(place, len(queue.leases), running)
        return reason, links, ready_us

    def _method(self, record: Record, client: ActorClient) -> tuple[m.AnyReason, list[m.Subject], int]:
        queue, actor = client.queue, m.Subject("actor", client.actor_id)
        if record.task_id in queue.sent:
            ahead = list(queue.sent).index(record.task_id)
            address = client.info.address if client.info is not None else None
            links = [self._at(address, "call", record.task_id)] if address is not None else [actor]
            return m.IsSent(ahead), links, record.sent_us
        since_us = record.ready_us or record.created_us
        before = list(takewhile(lambda call: call is not record, queue.waiting.values()))
        if queue.state != "ALIVE":
            return m.AwaitsActor(queue.state, len(before)), [actor], since_us
        holding = [self._here("task", call.task_id) for call in before if call.unresolved]
        return m.AwaitsEarlierCall(len(before)), holding[:1], since_us

    def _at(self, address: m.Address, kind: str, key: bytes) -> m.Subject:
        return m.Subject(kind, key, address.node_id or self._core.node.node_id, address.worker_id)

    def _constructor(self, subject: m.Subject) -> list[m.Finding]:
        """An actor of ours that is not registered as ready, since what its constructor takes is not there."""
        packed = self._core.actors.constructor_of(subject.id)
        if packed is None:
            return []
        missing = self._missing(packed)
        reason, name = m.AwaitsArguments(len(missing), len(packed.deps)), self._core.actors.class_name_of(subject.id)
        links, more = self._few(missing)
        return [m.Finding(subject, reason, name, next=links, more=more)]

    # ---------------------------------------------------------- calls that run here

    def _running(self) -> list[Call]:
        executor = self._core.executor
        return [] if executor is None else executor.under_way()

    def _call(self, subject: m.Subject) -> list[m.Finding]:
        executor, task_id = self._core.executor, subject.id
        if executor is None:
            return []
        for call in self._running():
            if call.task_id == task_id:
                return [self._runs(subject, call)]
        queued = executor.queued(task_id)
        if queued is not None:
            name, ahead, limit, before = queued
            now = [(each.template.name, _s_run(each)) for each in before]
            links, more = self._few(self._here("call", each.task_id) for each in before)
            reason = m.AwaitsProcess(os.getpid(), ahead, now, limit)
            return [m.Finding(subject, reason, name, next=links, more=more)]
        return []

    def _runs(self, subject: m.Subject, call: Call) -> m.Finding:
        producer = self._core.executor.invoker.producers.stopped(call.task_id)
        if producer is not None:
            return m.Finding(subject, m.AwaitsConsumer(os.getpid(), producer.ahead), call.template.name, _s_run(call))
        awaited, more = self._few(self._awaited(call))
        reason = m.Runs(os.getpid(), bool(awaited))
        return m.Finding(subject, reason, call.template.name, _s_run(call), awaited, more)

    def _process(self, subject: m.Subject) -> list[m.Finding]:
        """What this process does now."""
        running, executor = self._running(), self._core.executor
        if not running:
            name = executor.idle_name if executor is not None else self._core.mode
            return [m.Finding(subject, m.IsIdle(os.getpid()), name)]
        oldest = min(running, key=lambda call: call.start_s)
        awaited, more = self._few(self._awaited())
        names = ", ".join(dict.fromkeys(call.template.name for call in running[:FEW]))
        reason = m.Runs(os.getpid(), bool(awaited))
        return [m.Finding(subject, reason, names, _s_run(oldest), awaited, more)]

    def _awaited(self, call: Call | None = None) -> list[m.Subject]:
        """Objects, and streams, that the call waits for now; None: that anybody in this process does."""
        core = self._core

        def counts(arrivals: Iterable[Arrival]) -> bool:
            return any(call is None or core.values.caller_of(each) is call for each in arrivals)

        streams = [self._here("task", task_id) for task_id, waiters in core.streams.awaited() if counts(waiters)]
        return streams + [
            self._here("object", key)
            for key, entry in islice(core.objects.items(), MOST_LOOKED_AT)
            if counts((*entry.waiters, *entry.arrivals)) and not core.remote.is_here(entry)
        ]


def _error_text(value: m.Value) -> str:
    """What the error says at last, below its traceback; "" for a value that is none."""
    if not value.is_error:
        return ""
    if value.blob is None:
        return "too large to be shown here"
    return shortened(describe_error(value)[1].rstrip().rsplit("\n", 1)[-1].strip(), ERROR_SHOWN)


def _s_since(at_us: int) -> float:
    return max(time.time() - at_us / 1e6, 0.0)


def _s_run(call: Call) -> float:
    return max(time.perf_counter() - call.start_s, 0.0)
