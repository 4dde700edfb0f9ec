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
    ActorHandleNotFoundError,
    PendingCallsLimitExceeded,
    RaySystemError,
)
from ray._core.common.ids import NO_ACTOR_PREFIX, object_id
from ray._core.common.naming import is_anonymous, short_name, shown_module
from ray._core.common.options import ActorOptions, MethodOptions
from ray._core.store import serialization
from ray._core.wire.connection import Connection
from ray._core.wire.reactor import Waiter
from ray._core.worker.actor_client import ActorClient, unknown_actor
from ray._core.worker.actor_recipe import ActorRecipe
from ray._core.worker.invocation import ActorExit
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.objects import Entry
from ray._core.worker.task_record import Packed, retried_errors

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker


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
    is_told: bool = True


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
        self.name = options.name or f"{short_name(definition.class_name)}.{method}"
        self.num_returns = options.num_returns
        self.timeout_s = options.timeout_s
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
            is_told=definition.is_told if options.is_told is None else options.is_told,
        )

    def observe(self, duration_us: int) -> None:
        """Nothing is learnt: an actor's calls are sent at once."""


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
            is_told=options.is_told,
        )
        blob = serialization.dump_code(definition)
        spec = self._spec(actor_id, cls, options, packed)
        request = m.RegisterActor(spec=spec, handle_blob=blob, get_if_exists=options.get_if_exists, ready=False)
        client = ActorClient(self, actor_id, definition.in_order)
        client.constructor = packed
        client.is_subscribed = True  # by the registration
        with core.lock:
            core.refs.drain()
            if options.lifetime_detached and options.namespace == core.namespace and is_anonymous(core.namespace):
                self._warn_of_namespace()
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

    def _warn_of_namespace(self) -> None:
        """Locked."""
        text = (
            "It looks like you're creating a detached actor in an anonymous namespace. In order to access this actor "
            f'in the future, you will need to explicitly connect to this namespace with ray.init(namespace="'
            f'{self.core.namespace}", ...)'
        )
        event = m.ErrorEvent(self.core.job_id, "detached_actor_anonymous_namespace", text)
        self.core.gcs.send(event)

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
            detached_actors=core.detached_actors,
            keeps_lineage=core.keeps_lineage,
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
                placing.fallback_selectors,
                core.priority if placing.priority is None else placing.priority,
            ),
            held=options.held,
            class_key=class_key,
            spec_blob=msgspec.msgpack.encode(recipe),
            creation_task_id=_creation_task_id(actor_id),
            parent_task_id=core.current.task_id if core.current is not None else b"",
            is_told=options.is_told,
        )

    def _await_constructor(self, client: ActorClient, packed: Packed) -> bool:
        """Whether all that the constructor takes exists; else the GCS is told when it does. Locked."""
        core, missing = self.core, 0

        def arrived(_: m.Value) -> None:
            nonlocal missing
            missing -= 1
            if not missing:
                core.gcs.tell(m.ActorReady(actor_id=client.actor_id))

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
            client.changed(msgspec.structs.replace(unknown_actor(client.actor_id), death_cause=cause))
        else:
            client.changed(reply.info)

    def _counted(self, actor_id: bytes) -> ObjectRef[Any]:
        """The first handle's ref; the actor ends when the last of them, anywhere, is gone."""
        core, key = self.core, _handle_key(actor_id)

        def out_of_scope() -> None:
            core.gcs.tell(m.ActorOutOfScope(actor_id=actor_id))
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
                f"The task {template.name} could not be submitted to Actor({state.class_name}, "
                f"{client.actor_id.hex()}) because more than {limit} tasks are queued on the actor. This limit can be "
                "adjusted with the `max_pending_calls` actor option."
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
        request = m.KillActor(actor_id=state.actor_id, no_restart=no_restart, cause="It was killed by `ray.kill`.")
        self.core.ask_gcs(request)

    def exit(self) -> None:
        """End the actor that this process is."""
        raise ActorExit("exit_actor() is called.")

    def constructor_of(self, actor_id: bytes) -> Packed | None:
        """What the constructor of an actor of this process takes; None for others', and for the dead. Locked."""
        client = self._clients.get(actor_id)
        return client.constructor if client is not None else None

    def class_name_of(self, actor_id: bytes) -> str:
        """As far as it is known here. Locked."""
        client = self._clients.get(actor_id)
        return client.info.class_name if client is not None and client.info is not None else ""

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
            client.changed(unknown_actor(client.actor_id))

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
            client.lost(connection)


def _creation_task_id(actor_id: bytes) -> bytes:
    return b"\xff" * 8 + actor_id


def _handle_key(actor_id: bytes) -> bytes:
    """The pseudo-object whose refs are the handles on the actor."""
    return object_id(_creation_task_id(actor_id), 1)


def is_handle_key(key: bytes) -> bool:
    """Whether an object's id is that of such a pseudo-object."""
    return key.startswith(b"\xff" * 8) and not key.startswith(b"\xff" * 8 + NO_ACTOR_PREFIX)
