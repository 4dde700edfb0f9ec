"""Tasks that this process submitted: their arguments, their way to a worker, their results and retries.

Floor: worker. `leases` decides which worker gets what, `lease_client` holds the leases; this pushes tasks and takes
their results. Methods are locked unless they say so.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.errors import (
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayTaskError,
    RuntimeEnvSetupError,
    TaskPlacementGroupRemoved,
    TaskUnschedulableError,
    WorkerCrashedError,
)
from ray._core.common.ids import object_id, return_ids
from ray._core.common.options import DYNAMIC, STREAMING
from ray._core.store import serialization
from ray._core.wire.connection import Connection
from ray._core.worker.cancellation import cancelled
from ray._core.worker.lease_client import Held, LeaseClient
from ray._core.worker.leases import AskForLease, LeaseQueue, Order, Push, ReturnLease
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.objects import Entry, error_value
from ray._core.worker.streaming import NONE
from ray._core.worker.task_log import shortened
from ray._core.worker.task_record import CallTemplate, Packed, Record, Template, num_refs

if TYPE_CHECKING:
    from ray._core.worker.actor_client import ActorClient
    from ray._core.worker.core import CoreWorker
    from ray._core.worker.lineage import Kept

UNKNOWN = m.Value()
"""In place of an argument's value that was lost after the task had become ready: the worker asks the owner."""
_NO_ARGS = serialization.serialize(((), {})).to_blob()

OOM_DELAY_MAX_MS = 60_000
EXITS_KEPT = 1000


class Submitter:
    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self.tasks: dict[bytes, Record] = {}
        self._queues: dict[Any, LeaseQueue] = {}
        self.leases = LeaseClient(core, self)
        self._known: dict[Connection, set[int]] = {}
        self._exits: dict[bytes, m.WorkerExited] = {}

    # ---------------------------------------------------------- arguments (not locked)

    def pack(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Packed:
        if not args and not kwargs:
            return Packed(_NO_ARGS, [], [])
        deps: list[tuple[int | str, ObjectRef[Any]]] = []
        plain, named = list(args), dict(kwargs)
        for target, items in ((plain, enumerate(args)), (named, kwargs.items())):
            for slot, value in items:
                if type(value) is ObjectRef:
                    deps.append((slot, value))
                    target[slot] = None  # type: ignore[index]
        packed = serialization.serialize((tuple(plain), named))
        if packed.size > self._core.config.max_direct_call_object_size:
            packed = self._put_large(plain, named, deps)
        return Packed(packed.to_blob(), deps, [ref for _, ref in deps] + packed.refs)

    def _put_large(self, plain: list[Any], named: dict[str, Any], deps: list[Any]) -> serialization.Serialized:
        """Put each large argument into the object store; the task then takes it by ref."""
        for target, items in ((plain, list(enumerate(plain))), (named, list(named.items()))):
            for slot, value in items:
                each = serialization.serialize(value)
                if each.size > self._core.config.max_direct_call_object_size:
                    deps.append((slot, self._core.values.put_serialized(each)))
                    target[slot] = None  # type: ignore[index]
        return serialization.serialize((tuple(plain), named))

    # ---------------------------------------------------------- submitting

    def submit(self, template: CallTemplate, task_id: bytes, packed: Packed, actor: ActorClient | None = None) -> Any:
        """A list of refs, or the generator of a streaming task. Not locked."""
        core = self._core
        record = Record(task_id, template, packed, template.max_retries, actor)
        record.created_us = time.time_ns() // 1000
        parent = core.current
        if parent is not None:
            record.parent_task_id = parent.task_id
        with core.lock:
            core.refs.drain()
            refs: Any = core.refs.new_refs(return_ids(task_id, num_refs(template)))
            self.tasks[task_id] = record
            if template.timeout_s is not None:
                core.timeouts.begin(record, template.timeout_s)
            if template.num_returns == STREAMING:
                refs = core.streams.open(task_id, template.message.backpressure, template.message.actor_backpressure)
            self._start(record)
        return refs

    def _start(self, record: Record) -> None:
        """Wait for the arguments, then for a worker."""
        core = self._core
        core.refs.hold_all(record.packed.refs)
        for _, ref in record.packed.deps:  # there may be ten thousand, most of them there already
            value = core.objects[ref._id].value
            if value is None or value.location is not None:
                self._await_dep(record, ref._id)
        if record.actor is not None:
            record.actor.submit(record)
        elif not record.unresolved:
            self._enqueue(record)
        core.reactor.soon_flushed()

    def _await_dep(self, record: Record, key: bytes) -> None:
        entry = self._core.objects[key]
        if entry.owner is None:
            self._core.remote.check(key, entry)
        if entry.value is None:
            record.unresolved += 1
            entry.add_callback(lambda value: self._dep_ready(record))
            self._core.refs.fetch(key, entry)

    def _dep_ready(self, record: Record) -> None:
        record.unresolved -= 1
        if not record.unresolved and record.task_id in self.tasks:
            record.ready_us = time.time_ns() // 1000
            if record.actor is not None:
                record.actor.ready(record)
            else:
                self._enqueue(record)

    def failed_dependency(self, record: Record) -> m.Value | None:
        """The call's own error when an argument of it, all of which have come, is an error."""
        objects = self._core.objects
        for _, ref in record.packed.deps:
            entry = objects[ref._id]
            value = entry.value
            if value is not None and value.is_error:
                entry.seen = True
                return _dependency_error(record.template, value, self._core.node.host)
        return None

    def _enqueue(self, record: Record) -> None:
        template = record.template
        assert isinstance(template, Template)
        record.lease_id = 0
        if record.is_cancelled:
            self.fail(record, cancelled(record, is_sent=True))
            return
        error = self.failed_dependency(record)
        if error is not None:
            self.fail(record, error)
            return
        record.argument_nodes = self._nodes_of_arguments(record)
        key = self._queue_key(record, template)
        queue = self._queues.get(key)
        if queue is None:
            config = self._core.config
            spreads = template.scheduling.strategy.kind == "SPREAD"
            single_use = spreads or template.message.max_calls == 1
            queue = LeaseQueue(config.pipeline_target_ms * 1000, config.pipeline_max_depth, single_use=single_use)
            queue.key = key
            queue.priority = template.scheduling.priority
            self._queues[queue.key] = queue
        self.carry_out(queue, template, queue.submit(record.task_id, template.average_us))

    def carry_out(self, queue: LeaseQueue, template: Template, orders: list[Order]) -> None:
        for order in orders:
            match order:
                case Push():
                    record = self.tasks[order.task_id]
                    record.lease_id = order.lease_id
                    self.push(record, self.leases.held[order.lease_id].worker)
                case AskForLease() if (
                    not queue.waiting
                ):  # the raylet has gone, and with the request before this all failed
                    queue.refused()
                case AskForLease():
                    self.leases.expire_others(queue)
                    self.leases.ask(queue, template, self.tasks[queue.waiting[0][0]].argument_nodes)
                case ReturnLease():
                    self.leases.give_back(order.lease_id)

    def queue_of(self, record: Record) -> LeaseQueue | None:
        """Where a normal task waits, if it does, or once waited."""
        template = record.template
        return self._queues.get(self._queue_key(record, template)) if isinstance(template, Template) else None

    def _queue_key(self, record: Record, template: Template) -> Any:
        """Tasks with large arguments on another node have leases of their own, which are asked for there."""
        nodes, strategy = record.argument_nodes, template.scheduling.strategy
        if not nodes or nodes[0] == self._core.node.node_id or strategy.kind != "DEFAULT":
            return template.queue_key
        return template.queue_key, nodes[0]

    def drop_needless(self, queue: LeaseQueue) -> None:
        """Forget the queue if it has nothing: there may be as many scheduling classes as tasks."""
        if queue.is_needless and self._queues.get(queue.key) is queue:
            del self._queues[queue.key]

    def _nodes_of_arguments(self, record: Record) -> list[bytes]:
        """Nodes where large arguments of the task lie, most bytes first."""
        sizes: dict[bytes, int] = {}
        for _, ref in record.packed.deps:
            entry = self._core.objects[ref._id]
            value = entry.value
            if value is not None and value.location is not None:
                for where in (value.location, *entry.copies):
                    sizes[where.node_id] = sizes.get(where.node_id, 0) + where.size
        return sorted(sizes, key=lambda node_id: -sizes[node_id]) if sizes else []

    def push(self, record: Record, connection: Connection) -> None:
        template = record.template.message
        known = self._known.get(connection)
        if known is None:
            known = self._known[connection] = set()
        if template.template_id not in known:
            known.add(template.template_id)
            connection.send(template)
        deps, objects = [], self._core.objects
        for slot, ref in record.packed.deps:
            entry = objects[ref._id]
            deps.append(m.Dep(slot, ref._id, entry.owner, entry.value or UNKNOWN))
        push = m.PushTask(record.task_id, template.template_id, record.packed.blob, deps, record.attempt)
        if template.num_returns == STREAMING:
            push.items_held, push.items_taken = self._core.streams.progress(record.task_id, connection)
        record.sent_us = time.time_ns() // 1000
        connection.send(push)

    def refused(self, queue: LeaseQueue, reply: m.Failed) -> None:
        """No raylet will ever give a lease to what waits in `queue`."""
        for task_id in queue.drain():
            record = self.tasks[task_id]
            if reply.kind == "group_removed":
                self.fail(record, TaskPlacementGroupRemoved())
            elif reply.kind == "unschedulable":
                self.fail(record, TaskUnschedulableError(f"{record.template.name}: {reply.message}"))
            elif reply.kind == "runtime_env":
                self.fail(record, RuntimeEnvSetupError(reply.message))
            elif self._core.raylet.is_closed:
                self.fail(record, LocalRayletDiedError())
            else:
                self._crash(record, f"No worker could be leased: {reply.message}")

    def state_of(self, record: Record) -> str:
        """As the state API names it."""
        if record.unresolved:
            return "PENDING_ARGS_AVAIL"
        return "PENDING_NODE_ASSIGNMENT" if self.worker_of(record) is None else "SUBMITTED_TO_WORKER"

    def worker_of(self, record: Record) -> Connection | None:
        """Where the task has been pushed to; None: it is here (again)."""
        if record.actor is not None:
            return record.actor.connection if record.task_id in record.actor.queue.sent else None
        held = self.leases.held.get(record.lease_id)
        lease = held.queue.leases.get(record.lease_id) if held is not None else None
        return held.worker if held is not None and lease is not None and record.task_id in lease.running else None

    # ---------------------------------------------------------- results

    def task_done(self, connection: Connection, done: m.TaskDone) -> None:
        record = self.tasks.get(done.task_id)
        for key in done.borrowed:
            self._core.lending.lend(key, connection.peer.worker_id)
        if record is None:  # it was given up, or answered by another attempt
            self.discard(done)
            return
        if record.is_expired:
            done = self._core.timeouts.late(record, done)
        again = done.retryable and record.retries_left != 0 and not record.is_cancelled
        if record.actor is not None:
            pid = record.actor.info.pid if record.actor.info is not None else 0
            self._core.task_log.ended(record, record.attempt, done, connection.peer, pid)
            record.actor.done(record, done, again)
            return
        held = self.leases.held.get(record.lease_id)
        queue = held.queue if held is not None else None
        self._core.task_log.ended(record, record.attempt, done, connection.peer, held.pid if held is not None else 0)
        if held is not None and done.worker_exits:
            held.worker_exits = True
            held.queue.worker_exits(record.lease_id)
        if not record.is_cancelled:
            record.template.observe(done.duration_us)
        if again:
            self.discard(done)
            record.note(f"attempt {record.attempt + 1} raised what its retry_exceptions name")
            record.attempt += 1
            record.retries_left -= 1
            self._settle(queue, record)
            self._enqueue(record)
            return
        self._settle(queue, record)
        self.finish(record, done)

    def _settle(self, queue: LeaseQueue | None, record: Record) -> None:
        if queue is not None:
            assert isinstance(record.template, Template)
            turn_s = self.leases.turn_s(queue)
            orders = queue.finished(record.lease_id, record.task_id, time.monotonic(), turn_s)
            self.carry_out(queue, record.template, orders)
            if queue.idle:
                self.leases.has_idle(queue)

    def finish(self, record: Record, done: m.TaskDone) -> None:
        """The task has ended on a worker and is not run again: its results are here, good or bad."""
        if record.told is not None:
            self._forget(record)
            return
        core, task_id = self._core, record.task_id
        kind = record.template.num_returns
        if kind == STREAMING and done.failed:
            core.refs.accept(object_id(task_id, 1), done.results[0] if record.is_cancelled else NONE)
            core.streams.failed(task_id, done.results[0], done.num_items)
        elif kind == STREAMING:
            core.refs.accept(object_id(task_id, 1), NONE)
            core.streams.ended(task_id, done.num_items)
        else:
            self._accept_results(record, done)
        self._remember(record, done)
        self._forget(record)

    def _accept_results(self, record: Record, done: m.TaskDone) -> None:
        core, task_id = self._core, record.task_id
        keys, values = return_ids(task_id, len(done.results)), done.results
        if record.template.num_returns == DYNAMIC:
            for key in keys[1:]:
                core.objects.setdefault(key, Entry(None))
        if not record.attempt:
            core.refs.accept_all(reversed(keys), reversed(values))
            return
        for key, value in zip(reversed(keys), reversed(values), strict=True):
            if not core.lineage.came_again(key, value):
                core.refs.accept(key, value)

    def discard(self, done: m.TaskDone) -> None:
        """This answer does not count: give back the refs inside, and have the results freed."""
        for index, value in enumerate(done.results, 1):
            self._core.refs.decline(value)
            if value.location is None:
                continue
            if done.task_id in self.tasks:
                self._core.strays.attempt_lost(done.task_id, value.location.node_id)
            else:
                self._core.remote.may_lie(object_id(done.task_id, index), value.location)

    def _remember(self, record: Record, done: m.TaskDone) -> None:
        """Keep the task while results of it lie in shared memory, where they can be lost."""
        if done.failed or not record.template.max_retries:
            return
        if record.template.num_returns == STREAMING:
            keys = [object_id(record.task_id, number + 1) for number in range(1, done.num_items + 1)]
            self._core.lineage.keep(record, keys)
        elif any(value.location is not None for value in done.results):
            self._core.lineage.keep(record, return_ids(record.task_id, len(done.results)))

    def fail(self, record: Record, error: BaseException | m.Value) -> None:
        """The task will never run (again): the error is its every result."""
        if record.task_id not in self.tasks:
            return
        if record.told is None:
            self.tell(record, error_value(error) if isinstance(error, BaseException) else error)
        self._core.task_log.failed(record, record.attempt, record.told)
        self._forget(record)

    def tell(self, record: Record, error: m.Value) -> None:
        """The error is every result of the task from now on, whatever a worker that has it may still answer."""
        core, template = self._core, record.template
        record.told = error
        for index in range(1, num_refs(template) + 1):
            core.refs.accept(object_id(record.task_id, index), error)
        if template.num_returns == STREAMING:
            core.streams.failed(record.task_id, error)

    def run_again(self, kept: Kept) -> None:
        """A task that had ended runs once more, since its results were lost (see `Lineage`)."""
        core = self._core
        refs = {key: core.refs.new_ref(key, core.objects[key].owner) for key in kept.refs if key in core.objects}
        packed = Packed(kept.blob, [(slot, refs[key]) for slot, key in kept.deps], list(refs.values()))
        record = Record(kept.task_id, kept.template, packed, kept.retries_left, kept.actor)
        record.attempt = kept.attempt
        record.created_us = time.time_ns() // 1000
        record.note("its result was lost, so it runs again")
        self.tasks[kept.task_id] = record
        self._start(record)

    def _forget(self, record: Record) -> None:
        core = self._core
        del self.tasks[record.task_id]
        if record.template.timeout_s is not None:
            core.timeouts.ended(record)
        core.refs.let_go_all(record.packed.refs)
        if record.task_id in core.strays.at_tasks:
            core.remote.task_over(record.task_id, record.template.num_returns)

    def tasks_returned(self, connection: Connection, message: m.TasksReturned) -> None:
        records = [self.tasks[task_id] for task_id in message.task_ids if task_id in self.tasks]
        if not records:
            return
        lease_id, template = records[0].lease_id, records[0].template
        held = self.leases.held.get(lease_id)
        if held is not None:
            assert isinstance(template, Template)
            for record in records:
                record.lease_id = 0
            void = [record for record in records if record.is_cancelled]  # crossed the word of it on its way
            tasks = [(each.task_id, _average_us(each)) for each in records if not each.is_cancelled]
            orders = held.queue.handed_back(lease_id, tasks, time.monotonic(), [record.task_id for record in void])
            for record in void:
                self.fail(record, cancelled(record, is_sent=False))
            self.carry_out(held.queue, template, orders)
            if held.queue.idle:
                self.leases.has_idle(held.queue)

    def withdraw(self, record: Record) -> None:
        """A task that waits here will not be run: no worker is wanted for it."""
        template = record.template
        assert isinstance(template, Template)
        queue = self._queues.get(self._queue_key(record, template))
        if queue is not None and queue.remove(record.task_id):
            self.leases.withdraw(queue)
            self.drop_needless(queue)

    # ---------------------------------------------------------- failures

    def worker_exited(self, message: m.WorkerExited) -> None:
        self._exits[message.worker_id] = message
        if len(self._exits) > EXITS_KEPT:  # of workers that ran nothing, nobody asks
            del self._exits[next(iter(self._exits))]

    def connection_lost(self, connection: Connection) -> None:
        """A worker has gone: what was pushed to it runs again elsewhere, or fails when no retry is left."""
        self._known.pop(connection, None)
        for held, lost in self.leases.worker_lost(connection):
            under_way: list[Record] = []
            for number, task_id in enumerate(lost):
                record = self.tasks[task_id]
                record.lease_id = 0
                self._core.strays.attempt_lost(task_id, connection.peer.node_id)
                # Tasks start in order, and before one without retries what is done was said: when all was heard, only
                # the first can have run, and the rest lose no retry. A cut may have swallowed what was said of any.
                may_have_run = number == 0 or (connection.was_open and not connection.heard_all)
                if may_have_run and not record.is_cancelled:
                    under_way.append(record)
                else:
                    self._again(record, "its process ended before it began")
            if under_way:
                self._ask_cause(under_way, held, connection.peer.worker_id)

    def _again(self, record: Record, why: str = "") -> None:
        """What a lost worker had not begun, or may run once more, goes to another one."""
        if record.task_id not in self.tasks:
            return
        if not record.is_cancelled:
            if why:
                record.note(f"attempt {record.attempt + 1} failed: {why}")
            self._core.task_log.failed(record, record.attempt, None)
            record.attempt += 1
        self._enqueue(record)

    def _out_of_memory(self, record: Record, cause: str) -> None:
        """The memory monitor has ended the task: it runs again after a while, which costs none of its retries."""
        config = self._core.config
        if not record.template.max_retries or record.oom_retries == config.task_oom_retries:
            self.fail(record, OutOfMemoryError(f"Task {record.template.name} was killed and is not retried. {cause}"))
            return
        delay_s = min(config.task_oom_retry_delay_base_ms * 2**record.oom_retries, OOM_DELAY_MAX_MS) / 1000
        record.oom_retries += 1
        record.note(f"attempt {record.attempt + 1} was ended; the next one follows after {delay_s:g} s. {cause}")
        self._core.reactor.call_later(delay_s, lambda: self._again(record))

    def _ask_cause(self, records: list[Record], held: Held, worker_id: bytes) -> None:
        """A worker is lost with these tasks under way. Ask the raylet that granted the lease whether it lives: so a
        crash of the worker is told from a node's, and what the raylet said of the worker's end has come by then."""

        def answered(reply: Any) -> None:
            exited = self._exits.pop(worker_id, None)
            for record in records:
                if record.task_id in self.tasks:
                    self._lost_at_work(record, exited, node_is_dead=isinstance(reply, m.Failed))

        held.raylet.request(m.Ping(), answered)

    def _lost_at_work(self, record: Record, exited: m.WorkerExited | None, *, node_is_dead: bool) -> None:
        """Its worker has gone, and it may have run there."""
        if exited is not None and exited.kind == "OUT_OF_MEMORY":
            self._out_of_memory(record, exited.cause)
        elif record.retries_left or record.is_cancelled:
            record.retries_left -= record.retries_left > 0
            self._again(record, "its node has died" if node_is_dead else _cause_of(exited))
        elif node_is_dead:
            text = f"The node on which task {record.template.name} ran has died, and no retry is left."
            self.fail(record, NodeDiedError(text))
        else:
            self._crash(record, _cause_of(exited))

    def _crash(self, record: Record, cause: str) -> None:
        text = (
            f"The worker that ran task {record.template.name} ended before the task did. {cause} "
            f"Attempts: {record.attempt + 1}. Give it more with max_retries, or look into the worker's log."
        )
        self.fail(record, WorkerCrashedError(text))


def _average_us(record: Record) -> float | None:
    """How long the function's calls take, as far as it is known."""
    assert isinstance(record.template, Template)
    return record.template.average_us


def _cause_of(exited: m.WorkerExited | None) -> str:
    return "Its process ended, or the connection to it was lost." if exited is None else exited.cause


LONGEST_TOLD = 20_000
"""Characters of an argument's error in the text of the task that needed it: along a chain of tasks they add up."""


def _dependency_error(template: CallTemplate, value: m.Value, ip: str) -> m.Value:
    """The error of a task that could not start since an argument of it failed; keeps the argument's error as cause."""
    assert value.blob is not None
    error = serialization.deserialize(value.blob).error
    kind = type(error)
    name = (
        "ray.exceptions.RayTaskError" if isinstance(error, RayTaskError) else f"{kind.__module__}.{kind.__qualname__}"
    )
    told = shortened(str(error), LONGEST_TOLD)
    text = f"  At least one of the input arguments for this task could not be computed:\n{name}: {told}"
    wrapped = RayTaskError(template.name, text, error, ip=ip)
    return m.Value(blob=serialization.serialize_error(wrapped).to_blob(), is_error=True)
