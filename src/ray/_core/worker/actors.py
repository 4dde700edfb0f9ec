"""Actors as this process sees them: creating, calling, finding and ending them.

Floor: worker. `actor_calls` decides what is sent when; this carries it out. The GCS publishes what becomes of an actor
(`ActorChanged`); calls go to its process directly. Methods are locked unless they say so.

Handles are counted like objects: the creator owns a pseudo-object whose refs are the handles, so borrowing handles in
arguments, results and other actors needs no protocol of its own, and the actor ends when that object is freed. A
pending call holds it too, so nothing is cut off.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pickle
import weakref
from typing import TYPE_CHECKING, Any

import msgspec

from ray._core.common import messages as m
from ray._core.common.errors import (
    ActorAlreadyExistsError,
    ActorDiedError,
    ActorHandleNotFoundError,
    ActorPlacementGroupRemoved,
    ActorUnavailableError,
    ActorUnschedulableError,
    OutOfMemoryError,
    PendingCallsLimitExceeded,
    RaySystemError,
    RuntimeEnvSetupError,
)
from ray._core.common.ids import object_id
from ray._core.common.naming import shown_module
from ray._core.common.options import ActorOptions, MethodOptions
from ray._core.store import serialization
from ray._core.wire.reactor import Connection, Waiter
from ray._core.worker.actor_calls import CallQueue, Fail, Order, Push
from ray._core.worker.actor_recipe import ActorRecipe
from ray._core.worker.cancellation import cancelled
from ray._core.worker.invocation import ActorExit
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.objects import Entry, error_value
from ray._core.worker.submitter import Packed, Record, retried_errors

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

LAST_ANSWERS_S = 1.0
"""How long the connection to an actor that has ended may stay open before its open calls are given up."""
RECONNECT_S = 0.2
"""How long to wait before an actor whose connection broke, but which the GCS holds for alive, is tried again."""


@dataclasses.dataclass(frozen=True)
class Definition:
    """What every handle on an actor knows; pickled once per class and options."""

    class_name: str
    methods: dict[str, MethodOptions]
    max_task_retries: int
    max_pending_calls: int
    in_order: bool
    namespace: str
    is_detached: bool
    module: str
    generator_limit: int = -1


@functools.lru_cache(maxsize=1024)
def _definition(blob: bytes) -> Definition:
    definition: Definition = pickle.loads(blob)
    return definition


class ActorState:
    """One handle's state. `ref` None: a weak handle (by name, or the actor's own), which keeps nothing alive."""

    __slots__ = ("actor_id", "blob", "client", "definition", "ref")

    def __init__(self, client: ActorClient, blob: bytes, ref: ObjectRef[Any] | None) -> None:
        self.client = client
        self.actor_id = client.actor_id
        self.blob = blob
        self.definition = _definition(blob)
        self.ref = ref

    @property
    def class_name(self) -> str:
        return self.definition.class_name

    @property
    def methods(self) -> dict[str, MethodOptions]:
        return self.definition.methods

    def serialize(self) -> tuple[bytes, bytes, ObjectRef[Any] | None]:
        """Waits until the cluster knows the actor, so that whoever gets the handle can ask for it. Not locked."""
        self.client.await_registration()
        return self.actor_id, self.blob, self.ref


class ActorTemplate:
    """What the calls of one method of one actor, with one set of options, have in common."""

    def __init__(self, state: ActorState, method: str, options: MethodOptions, core: CoreWorker, number: int) -> None:
        definition = state.definition
        retries = options.max_task_retries
        self.name = options.name or f"{definition.class_name}.{method}"
        self.num_returns = options.num_returns
        self.max_retries = definition.max_task_retries if retries is None else retries
        self.message = m.TaskTemplate(
            template_id=number,
            function_key="",
            function_blob=b"",
            name=self.name,
            function_name=f"{definition.module}.{definition.class_name}.{method}",
            method=method,
            num_returns=options.num_returns,
            job_id=core.job_id,
            concurrency_group=options.concurrency_group,
            backpressure=options.backpressure,
            items_per_yield=options.items_per_yield,
            actor_backpressure=definition.generator_limit,
            retry_exceptions=retried_errors(options.retry_exceptions),
            namespace=core.namespace,
        )

    def observe(self, duration_us: int) -> None:
        """Nothing is learnt: an actor's calls are sent at once."""


class ActorClient:
    """This process's dealings with one actor; shared by all handles on it here."""

    def __init__(self, actors: Actors, actor_id: bytes, in_order: bool) -> None:
        self._actors = actors
        self.actor_id = actor_id
        self.queue = CallQueue(in_order)
        self.info: m.ActorInfo | None = None
        self.connection: Connection | None = None
        self.is_subscribed = False
        self.constructor: Packed | None = None
        """Keeps what the constructor takes, for restarts."""
        self.registration: Waiter | None = None
        """Finished when the GCS has answered; None: there is nothing to wait for."""
        self._ending: m.ActorInfo | None = None
        """It has ended, or will start anew; told to the calls once the connection has told its last answers."""
        self._given_up = ""
        """Why its calls fail now: the GCS cannot be reached, nor the actor."""

    def await_registration(self) -> None:
        """Not locked."""
        waiter = self.registration
        if waiter is not None:
            self._actors.core.reactor.wait(waiter)
            self.registration = None

    # ---------------------------------------------------------- calls

    def submit(self, record: Record) -> None:
        if not self.is_subscribed:
            self._actors.subscribe(self)
        self._carry_out(self.queue.submit(record))
        if self.connection is None and self.info is not None and self.info.state == "ALIVE":
            self._connect()

    def ready(self, record: Record) -> None:
        if record.task_id not in self.queue.waiting:
            return  # given up meanwhile
        error = self._actors.submitter.failed_dependency(record)
        if error is None:
            self._carry_out(self.queue.ready(record))
        else:
            self._failed(record, error)

    def done(self, record: Record, done: m.TaskDone, again: bool) -> None:
        """The call was answered; `again`: its exception is to be retried."""
        if again:
            self._carry_out(self.queue.retry(record))
            return
        if record.is_cancelled and not done.failed:  # it had ended before the actor heard of the cancelling
            self._failed(record, error_value(cancelled(record)))
            return
        orders = self.queue.finished(record.task_id)
        self._actors.submitter.finish(record, done)
        self._carry_out(orders)

    def _failed(self, record: Record, error: m.Value) -> None:
        """The call will not be made: an argument of it is an error, or it was cancelled."""
        orders = self.queue.finished(record.task_id)
        self._actors.submitter.fail(record, error)
        self._carry_out(orders)

    def cancel(self, record: Record, recursive: bool) -> None:
        """A call that has not left is dropped; the actor is told of one that has."""
        if record.task_id in self.queue.waiting:
            self._failed(record, error_value(cancelled(record)))
        elif self.connection is not None:
            self.connection.send(m.CancelTask(record.task_id, False, recursive))

    def _carry_out(self, orders: list[Order]) -> None:
        submitter = self._actors.submitter
        for order in orders:
            record = order.call
            assert isinstance(record, Record)
            if isinstance(order, Push):
                error = submitter.failed_dependency(record) if record.packed.deps else None
                if error is not None:
                    self._failed(record, error)
                elif self.connection is not None:
                    submitter.push(record, self.connection)
            else:
                submitter.fail(record, self._error(order))

    def _error(self, order: Fail) -> m.Value:
        if order.is_dead:
            assert self.info is not None
            return error_value(death_error(self.info))
        why = self._given_up or "The actor is restarting, or its process has gone"
        return error_value(ActorUnavailableError(why, self.actor_id))

    # ---------------------------------------------------------- what becomes of it

    def changed(self, info: m.ActorInfo) -> None:
        known = self.info
        if known is not None and (info.incarnation < known.incarnation or known.state == "DEAD"):
            return  # older than what is known
        self.info = info
        if info.state == "ALIVE":
            if self._ending is not None:
                self._end()
            if known is not None and known.incarnation == info.incarnation and self.connection is not None:
                return
            if self.queue.sent:  # of an earlier life whose end was not heard of
                self._carry_out(self.queue.restarting())
            self._connect()
        elif info.state in ("RESTARTING", "DEAD"):
            self._ending = info
            if self.connection is None or not self.queue.sent:
                self._end()
            else:  # answers may lie unread in it; it closes with the process
                self._actors.core.reactor.call_later(LAST_ANSWERS_S, self._end)

    def _end(self) -> None:
        """The process has ended, and all that it answered has been read; again: nothing."""
        info, self._ending = self._ending, None
        if info is not None:
            self._disconnected()
            if info.state == "DEAD":
                self.constructor = None
            self._carry_out(self.queue.dead() if info.state == "DEAD" else self.queue.restarting())

    def _connect(self) -> None:
        assert self.info is not None and self.info.address is not None
        try:
            self.connection = self._actors.core.peer(self.info.address)
        except OSError:  # it has just died: the GCS will say so
            self._later()
            return
        self._actors.by_connection[self.connection] = self
        self._carry_out(self.queue.alive())

    def _disconnected(self) -> None:
        if self.connection is not None:
            self._actors.by_connection.pop(self.connection, None)
            self.connection = None

    def lost(self) -> None:
        """The connection is gone. Usually the process is, and the GCS publishes that; ask, in case it did before."""
        if self._ending is not None:
            self._end()
            return
        self._disconnected()
        self.queue.lost()
        self._later()

    def _later(self) -> None:
        self._actors.core.reactor.call_later(RECONNECT_S, self._look_again)

    def _look_again(self) -> None:
        """Still no news: the actor lives as far as the GCS knows, so try to reach it again, and ask."""
        info = self.info
        if self.connection is not None or info is None or info.state != "ALIVE" or not self.is_subscribed:
            return
        self._carry_out(self.queue.unreachable())
        self._connect()
        if self.connection is None:
            self._actors.look_up(self)

    def give_up(self, why: str) -> None:
        """The GCS is away for good: an actor that cannot be reached will not be heard of. A later call tries again."""
        if self.connection is None:
            self.is_subscribed = False
            self._given_up = why
            self._carry_out(self.queue.give_up())
            self._given_up = ""


class Actors:
    """All actors that this process has handles on."""

    def __init__(self, core: CoreWorker) -> None:
        self.core = core
        self.submitter = core.submitter
        self.by_connection: dict[Connection, ActorClient] = {}
        self._clients: weakref.WeakValueDictionary[bytes, ActorClient] = weakref.WeakValueDictionary()
        self._followed: dict[bytes, ActorClient] = {}
        """Clients of living actors that the GCS tells of."""
        self._asked: set[bytes] = set()
        """Actors that the GCS has been asked about."""
        self._templates = 0

    # ---------------------------------------------------------- creating (not locked)

    def create(
        self,
        cls: type,
        options: ActorOptions,
        methods: dict[str, MethodOptions],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> ActorState:
        """Register an actor with the GCS, which starts it; at once, but for a named one, whose name must be free.

        Raises:
            ActorAlreadyExistsError: the name is taken.
        """
        core = self.core
        actor_id = os.urandom(12) + core.job_id
        packed = self.submitter.pack(args, kwargs)
        definition = Definition(
            class_name=options.class_name,
            methods=methods,
            max_task_retries=options.max_task_retries,
            max_pending_calls=options.max_pending_calls,
            in_order=not options.allow_out_of_order,
            namespace=options.namespace,
            is_detached=options.lifetime_detached,
            module=shown_module(cls.__module__),
            generator_limit=options.generator_limit,
        )
        blob = serialization.dump_code(definition)
        spec = self._spec(actor_id, cls, options, packed)
        request = m.RegisterActor(spec=spec, handle_blob=blob, get_if_exists=options.get_if_exists, ready=False)
        client = ActorClient(self, actor_id, definition.in_order)
        client.constructor = packed
        client.is_subscribed = True  # by the registration
        with core.lock:
            core.refs.drain()
            request.ready = self._await_constructor(client, packed)
            self._clients[actor_id] = self._followed[actor_id] = client
            core.gcs.subscribed("actor", actor_id)
            if not options.name:
                client.registration = Waiter(core.reactor)
                core.gcs.request(request, lambda reply: self._registered(client, reply))
                core.reactor.soon_flushed()
        if options.name:
            reply = core.ask(core.gcs, request)
            if isinstance(reply, m.Failed):
                self._never_was(client)
                if reply.kind == "name_taken":
                    raise ActorAlreadyExistsError(reply.message)
                raise RaySystemError(f"The actor {options.name!r} could not be registered: {reply.message}")
            if reply.info.actor_id != actor_id:  # get_if_exists found another
                self._never_was(client)
                return self.weak_state(reply.info)
            with core.lock:
                self._registered(client, reply)
        return ActorState(client, blob, None if options.lifetime_detached else self._counted(actor_id))

    def _never_was(self, client: ActorClient) -> None:
        """The GCS has not taken the actor: there is nothing to follow, and nobody needs what it was to be made of."""
        client.constructor = None
        with self.core.lock:
            self._followed.pop(client.actor_id, None)
            self.core.gcs.unsubscribe("actor", client.actor_id)

    def _spec(self, actor_id: bytes, cls: type, options: ActorOptions, packed: Packed) -> m.ActorSpec:
        core = self.core
        class_key, class_blob = core.exports.export(cls, "actor class")
        recipe = ActorRecipe(
            class_blob=class_blob,
            args=packed.blob,
            deps=[m.Dep(slot, ref.binary(), ref._owner or core.address, m.Value()) for slot, ref in packed.deps],
            constructor=f"{shown_module(cls.__module__)}.{cls.__qualname__}.__init__",
            namespace=core.namespace,
            max_concurrency=options.max_concurrency,
            concurrency_groups=options.concurrency_groups,
            is_async=options.is_async,
            code_paths=core.code_paths,
            logging=core.logging,
        )
        placing = options.placing
        return m.ActorSpec(
            actor_id=actor_id,
            job_id=core.job_id,
            name=options.name,
            namespace=options.namespace,
            class_name=options.class_name,
            owner=core.address,
            detached=options.lifetime_detached,
            max_restarts=options.max_restarts,
            placement=m.SchedulingClass(
                placing.resources,
                placing.strategy or core.groups.captured or m.Strategy(),
                placing.runtime_env,
                placing.label_selector,
                core.job_id,
            ),
            held=options.held,
            class_key=class_key,
            spec_blob=msgspec.msgpack.encode(recipe),
            creation_task_id=_creation_task_id(actor_id),
            parent_task_id=core.current.task_id if core.current is not None else b"",
        )

    def _await_constructor(self, client: ActorClient, packed: Packed) -> bool:
        """Whether all that the constructor takes exists; else the GCS is told when it does. Locked."""
        core, missing = self.core, 0

        def arrived(_: m.Value) -> None:
            nonlocal missing
            missing -= 1
            if not missing:
                core.gcs.request(m.ActorReady(actor_id=client.actor_id), lambda reply: None)

        for _, ref in packed.deps:
            entry = core.objects[ref.binary()]
            if entry.value is None:
                missing += 1
                entry.add_callback(arrived)
                core.refs.fetch(ref.binary(), entry)
        return not missing

    def _registered(self, client: ActorClient, reply: Any) -> None:
        """Locked."""
        if client.registration is not None:
            client.registration.finish()
        if isinstance(reply, m.Failed):  # else its calls would wait for ever
            self._never_was(client)
            cause = f"It could not be registered: {reply.message}"
            client.changed(msgspec.structs.replace(_unknown(client.actor_id), death_cause=cause))
        else:
            client.changed(reply.info)

    def _counted(self, actor_id: bytes) -> ObjectRef[Any]:
        """The first handle's ref; the actor ends when the last of them, anywhere, is gone."""
        core, key = self.core, _handle_key(actor_id)

        def out_of_scope() -> None:
            core.gcs.request(m.ActorOutOfScope(actor_id=actor_id), lambda reply: None)
            core.reactor.soon_flushed()

        with core.lock:
            entry = core.objects[key] = Entry(None)
            entry.on_free = out_of_scope
            return core.refs.new_ref(key)

    # ---------------------------------------------------------- handles (not locked)

    def restore(self, state: tuple[bytes, bytes, ObjectRef[Any] | None]) -> ActorState:
        """A handle that arrived in a value."""
        actor_id, blob, ref = state
        return ActorState(self._client(actor_id, _definition(blob).in_order), blob, ref)

    def weak_state(self, info: m.ActorInfo) -> ActorState:
        client = self._client(info.actor_id, _definition(info.handle_blob).in_order)
        return ActorState(client, info.handle_blob, None)

    def _client(self, actor_id: bytes, in_order: bool) -> ActorClient:
        with self.core.lock:
            client = self._clients.get(actor_id)
            if client is None:
                client = self._clients[actor_id] = ActorClient(self, actor_id, in_order)
            return client

    def find(self, name: str, namespace: str | None) -> ActorState:
        """A weak handle on a living named actor. Raises ValueError when there is none."""
        namespace = namespace or self.core.namespace
        info = self.core.ask_gcs(m.GetActor(name=name, namespace=namespace)).info
        if info is None:
            raise ValueError(
                f"Failed to look up actor with name '{name}': no living actor of namespace '{namespace}' has it. It "
                "may have died, or live in another namespace (pass namespace=…), or never have been created."
            )
        return self.weak_state(info)

    def myself(self) -> ActorState:
        """A weak handle on the actor that this process is. Raises RuntimeError when it is none."""
        if not self.core.actor_id:
            raise RuntimeError("This method is only available in an actor; this process runs none.")
        return self.weak_state(self.core.ask_gcs(m.GetActor(actor_id=self.core.actor_id)).info)

    # ---------------------------------------------------------- calling and ending (not locked)

    def template(self, state: ActorState, method: str, options: MethodOptions) -> ActorTemplate:
        self._templates += 1
        return ActorTemplate(state, method, options, self.core, -self._templates)

    def submit(self, state: ActorState, template: ActorTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method. Raises PendingCallsLimitExceeded."""
        client, limit = state.client, state.definition.max_pending_calls
        if 0 <= limit <= len(client.queue):
            raise PendingCallsLimitExceeded(
                f"The actor {client.actor_id.hex()} ({state.class_name}) has {len(client.queue)} pending calls of this "
                f"process, and max_pending_calls={limit}. Wait for results before calling it again."
            )
        packed = self.submitter.pack(args, kwargs)
        if state.ref is not None:
            packed.refs.append(state.ref)
        return self.submitter.submit(template, self.core.new_task_id(client.actor_id), packed, client)

    def kill(self, state: ActorState, no_restart: bool) -> None:
        """Raises ActorHandleNotFoundError for a handle of an older session."""
        if state.client._actors is not self:
            raise ActorHandleNotFoundError(
                f"The handle on actor {state.actor_id.hex()} ({state.class_name}) is of a session that has ended; "
                "its actor ended with it."
            )
        request = m.KillActor(actor_id=state.actor_id, no_restart=no_restart, cause="It was killed by ray.kill.")
        self.core.ask_gcs(request)

    def exit(self) -> None:
        """End the actor that this process is."""
        raise ActorExit("exit_actor() was called.")

    # ---------------------------------------------------------- news (locked)

    def subscribe(self, client: ActorClient) -> None:
        client.is_subscribed = True
        self._followed[client.actor_id] = client
        self.core.gcs.subscribe("actor", client.actor_id)
        self.look_up(client)

    def look_up(self, client: ActorClient) -> None:
        """Ask the GCS what it knows of the actor; what it does know comes as a publication."""
        if client.actor_id not in self._asked:
            self._asked.add(client.actor_id)
            request = m.GetActor(actor_id=client.actor_id)
            self.core.gcs.request(request, lambda reply: self._looked_up(client, reply))

    def _looked_up(self, client: ActorClient, reply: Any) -> None:
        self._asked.discard(client.actor_id)
        if isinstance(reply, m.Failed):
            self._give_up(client, reply.message)
        elif reply.info is None:
            client.changed(_unknown(client.actor_id))

    def gcs_given_up(self, why: str) -> None:
        """The GCS is away for good: nobody will tell what becomes of actors that cannot be reached now."""
        for client in list(self._followed.values()):
            self._give_up(client, why)

    def _give_up(self, client: ActorClient, why: str) -> None:
        client.give_up(why)
        if not client.is_subscribed:  # the next call asks anew
            self._followed.pop(client.actor_id, None)
            self.core.gcs.unsubscribe("actor", client.actor_id)

    def changed(self, info: m.ActorInfo) -> None:
        client = self._followed.get(info.actor_id)
        if client is None:
            return
        client.changed(info)
        if info.state == "DEAD":
            del self._followed[info.actor_id]  # no more news; handles keep the client itself
            self.core.gcs.unsubscribe("actor", info.actor_id)

    def connection_lost(self, connection: Connection) -> None:
        client = self.by_connection.get(connection)
        if client is not None:
            client.lost()


def _creation_task_id(actor_id: bytes) -> bytes:
    return b"\xff" * 8 + actor_id


def _handle_key(actor_id: bytes) -> bytes:
    """The pseudo-object whose refs are the handles on the actor."""
    return object_id(_creation_task_id(actor_id), 1)


def _unknown(actor_id: bytes) -> m.ActorInfo:
    return m.ActorInfo(
        actor_id=actor_id,
        job_id=actor_id[-4:],
        name="",
        namespace="",
        class_name="",
        state="DEAD",
        incarnation=0,
        num_restarts=0,
        max_restarts=0,
        death_kind="UNKNOWN",
        death_cause="The cluster does not know it: it died long ago, or belonged to another cluster.",
    )


def death_error(info: m.ActorInfo) -> Exception:
    """What a call on a dead actor raises."""
    hex_id = info.actor_id.hex()
    if info.error is not None:
        error = serialization.deserialize(info.error).error
        if info.death_kind != "INIT_FAILED" and isinstance(error, Exception):
            return error
        return ActorDiedError(error, actor_id=hex_id, class_name=info.class_name, actor_init_failed=True)
    text = f"{info.class_name} {hex_id}: {info.death_cause}"
    match info.death_kind:
        case "UNSCHEDULABLE":
            return ActorUnschedulableError(text)
        case "OUT_OF_MEMORY":
            return OutOfMemoryError(text)
        case "PLACEMENT_GROUP_REMOVED":
            return ActorPlacementGroupRemoved(text)
        case "RUNTIME_ENV":
            return RuntimeEnvSetupError(info.death_cause)
    return ActorDiedError(
        f"The actor is dead because {info.death_cause[:1].lower()}{info.death_cause[1:]}",
        actor_id=hex_id,
        class_name=info.class_name,
        name=info.name,
        namespace=info.namespace if info.name else "",
        pid=info.pid,
        reason=info.death_kind,
        preempted=info.preempted,
    )
