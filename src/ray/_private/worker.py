"""The calls on objects, functions and actors: thin, and quick before they reach the core worker."""

from __future__ import annotations

import inspect
import operator
import os
import sys
from collections.abc import Callable
from pickle import PicklingError
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ray._core.worker import object_ref as _process
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.ref_generator import ObjectRefGenerator
from ray._private import client_mode_hook as _hook
from ray._private.auto_init_hook import auto_init_core, connected_core
from ray._private.not_included import absent_names
from ray._private.not_yet import refuse
from ray._private.session import RayContext, init, is_initialized, session, shutdown
from ray._private.state import available_resources, cluster_resources, nodes
from ray.actor import ActorHandle, make_actor_class
from ray.remote_function import RemoteFunction

if TYPE_CHECKING:
    from ray._core.common.ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID
    from ray._core.node.node_names import NodeNames
    from ray._private.core_worker_names import CoreWorkerNames
    from ray._private.gcs_client import GcsClient
    from ray._private.serialization import SerializationContext

T = TypeVar("T")
SCRIPT_MODE, WORKER_MODE, SPILL_WORKER_MODE, RESTORE_WORKER_MODE = range(4)


@overload
def get(object_refs: ObjectRef[T], *, timeout: float | None = None) -> T: ...
@overload
def get(object_refs: list[ObjectRef[T]], *, timeout: float | None = None) -> list[T]: ...
@overload
def get(object_refs: list[ObjectRef[Any]], *, timeout: float | None = None) -> list[Any]: ...
def get(object_refs: Any, *, timeout: float | None = None) -> Any:
    """The value of a ref, or the values of a list of refs, in order.

    Args:
        timeout: seconds; None or negative: no limit; 0: only what is there.
    Raises:
        GetTimeoutError: the time is over.
        Exception: what the task raised, as RayTaskError that is also of the exception's own class.
    """
    if _hook.active and (client := _hook.client_here()) is not None:
        return client.get(object_refs, timeout=timeout)
    core = _process._core or auto_init_core()
    if timeout is not None and timeout < 0:
        timeout = None
    if isinstance(object_refs, ObjectRef):
        return core.values.get([object_refs], timeout)[0]
    if isinstance(object_refs, ObjectRefGenerator):
        return object_refs
    if _has_compiled(object_refs):
        return _get_compiled(object_refs, timeout)
    if not isinstance(object_refs, list):
        raise ValueError(
            f"Invalid type of object refs, {type(object_refs)}, is given. 'object_refs' must either be an ObjectRef or "
            "a list of ObjectRefs."
        )
    for ref in object_refs if set(map(type, object_refs)) != _ONLY_REFS else ():
        if not isinstance(ref, ObjectRef):
            raise TypeError(f"Attempting to call `get` on the value {ref!r}, which is not an ray.ObjectRef.")
    return core.values.get(object_refs, timeout)


_ONLY_REFS = {ObjectRef}


def _has_compiled(refs: Any) -> bool:
    """Whether this is the result of a compiled graph, or a list with one; False where nobody has compiled any."""
    module = sys.modules.get("ray.experimental.compiled_dag_ref")
    if module is None:
        return False
    return any(isinstance(ref, module.CompiledDAGRef) for ref in (refs if isinstance(refs, list) else [refs]))


def _get_compiled(refs: Any, timeout: float | None) -> Any:
    if not isinstance(refs, list):
        return refs.get(timeout)
    from ray.experimental.compiled_dag_ref import CompiledDAGRef

    if not all(isinstance(ref, CompiledDAGRef) for ref in refs):
        raise ValueError(
            "Invalid type of object refs. 'object_refs' must be a list of CompiledDAGRefs if there is any "
            "CompiledDAGRef within it."
        )
    return [ref.get(timeout) for ref in refs]


def put(value: T, *, _owner: Any = None, _tensor_transport: str | None = None) -> ObjectRef[T]:
    """Store a value; its ref can be passed to any task.

    Raises:
        TypeError: for a ref, and for what cannot be pickled.
        ObjectStoreFullError: it does not fit.
    """
    if _hook.active and (client := _hook.client_here()) is not None:
        return client.put(value, _owner=_owner, _tensor_transport=_tensor_transport)  # type: ignore[no-any-return]
    if isinstance(value, ObjectRef):
        raise TypeError(
            "Calling 'put' on an ray.ObjectRef is not allowed. If you really want to do this, you can wrap the "
            "ray.ObjectRef in a list and call 'put' on it."
        )
    if _owner is not None:
        raise ValueError("The argument `_owner` of ray.put is gone: the process that puts owns.")
    refuse(None if _tensor_transport is None else "a tensor transport")
    core = _process._core or auto_init_core()
    try:
        return core.values.put(value)
    except (TypeError, PicklingError) as error:
        from ray.util.check_serialize import can_be_pickled, report

        if can_be_pickled(value):
            raise
        raise TypeError(report(f"the put value {value!r}", value)) from error


_id_of = operator.attrgetter("_id")
_REFS_ALONE: set[type] = {ObjectRef}


@overload
def wait(
    ray_waitables: list[ObjectRef[T]], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[ObjectRef[T]], list[ObjectRef[T]]]: ...
@overload
def wait(
    ray_waitables: list[ObjectRef[Any]], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]: ...
def wait(
    ray_waitables: Any, *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
    """(ready, not ready), each in the order given; returns once `num_returns` are ready or `timeout` seconds are over.

    Raises:
        TypeError: not a list of refs.
        ValueError: a ref twice, or `num_returns` or `timeout` out of range.
    """
    if _hook.active and (client := _hook.client_here()) is not None:
        there: Any = client.wait(ray_waitables, num_returns=num_returns, timeout=timeout, fetch_local=fetch_local)
        return there  # type: ignore[no-any-return]
    if isinstance(ray_waitables, (ObjectRef, ObjectRefGenerator)):
        raise TypeError(
            "wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got a single ray.ObjectRef or "
            f"ray.ObjectRefGenerator {ray_waitables}"
        )
    if not isinstance(ray_waitables, list):
        raise TypeError(f"wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got {type(ray_waitables)}")
    kinds = set(map(type, ray_waitables))  # whole lists in C: loops call this with a thousand refs for each one ready
    for kind in kinds:
        if not issubclass(kind, (ObjectRef, ObjectRefGenerator)):
            raise TypeError(
                f"wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got list containing {kind}"
            )
    if timeout is not None and timeout < 0:
        raise ValueError(f"The 'timeout' argument must be nonnegative. Received {timeout}.")
    core = _process._core or auto_init_core()
    if not ray_waitables:
        return [], []
    if len(set(map(_id_of, ray_waitables) if kinds == _REFS_ALONE else ray_waitables)) != len(ray_waitables):
        raise ValueError("Wait requires a list of unique ray_waitables.")
    if num_returns <= 0:
        raise ValueError(f"Invalid number of objects to return {num_returns}.")
    if num_returns > len(ray_waitables):
        raise ValueError(
            "num_returns cannot be greater than the number of ray_waitables provided to ray.wait: "
            f"{num_returns} of {len(ray_waitables)}."
        )
    return core.values.wait(ray_waitables, num_returns, timeout, fetch_local)


def remote(*args: Any, **options: Any) -> Any:
    """`@ray.remote` and `@ray.remote(num_cpus=2)`: make a function or a class remote.

    Raises:
        AssertionError: other positional arguments than one function or class.
        TypeError: applied to something else.
    """
    if len(args) == 1 and not options and callable(args[0]):
        return make_remote(args[0], {})
    assert not args and options, (
        "The @ray.remote decorator must be applied either with no arguments and no parentheses, for example "
        "'@ray.remote', or it must be applied using some of the options as keyword arguments, for example "
        "'@ray.remote(num_returns=2, resources={\"CustomResource\": 1})'."
    )
    return lambda function_or_class: make_remote(function_or_class, options)


def make_remote(function_or_class: Callable[..., Any] | type, options: dict[str, Any]) -> Any:
    if isinstance(function_or_class, type):
        return make_actor_class(function_or_class, options)
    if inspect.isfunction(function_or_class) or type(function_or_class).__name__ == "cython_function_or_method":
        return RemoteFunction(function_or_class, options)
    raise TypeError("The @ray.remote decorator must be applied to either a function or a class.")


# ------------------------------------------------------------------ actors and tasks by name or ref


@_hook.client_mode_hook
def kill(actor: ActorHandle[Any], *, no_restart: bool = True) -> None:
    """End an actor at once, whatever it is doing.

    Raises:
        ValueError: not an actor handle.
        ActorHandleNotFoundError: the handle is of an older session.
    """
    if not isinstance(actor, ActorHandle):
        raise ValueError(f"ray.kill() only supported for actors. For tasks, try ray.cancel(). Got: {type(actor)}.")
    core: Any = auto_init_core()
    core.actors.kill(actor._ray_state, no_restart)


@_hook.client_mode_hook
def cancel(ref: ObjectRef[Any] | ObjectRefGenerator[Any], *, force: bool = False, recursive: bool = True) -> None:
    """Cancel a task: one that waits never runs, one that runs gets a KeyboardInterrupt, one that has ended stays.

    A coroutine of an actor is cancelled as asyncio does it; other methods run on, and may ask
    `get_runtime_context().is_canceled()`.

    Args:
        ref: of the task's result, or the generator of a streaming task.
        force: end the worker's process under the task.
        recursive: cancel what the task has submitted, too.
    Raises:
        TypeError: neither a ref nor a generator.
        ValueError: `force` for a method of an actor.
    """
    core = auto_init_core()
    if isinstance(ref, ObjectRefGenerator):
        ref = ref._generator_ref
    if not isinstance(ref, ObjectRef):
        raise TypeError(f"ray.cancel() only supported for object refs. For actors, try ray.kill(). Got: {type(ref)}.")
    core.cancellation.cancel(ref, force, recursive)


@_hook.client_mode_hook
def get_actor(name: str, namespace: str | None = None) -> ActorHandle[Any]:
    """A handle on a living actor by its name.

    Raises:
        ValueError: there is none of that name in the namespace.
    """
    if not name:
        raise ValueError("Please supply a non-empty value to get_actor.")
    if not isinstance(name, str):
        raise TypeError(f"The name of an actor is a str, not {type(name).__name__}.")
    if namespace is not None and not isinstance(namespace, str):
        raise TypeError(f"namespace must be None or a string, not {type(namespace).__name__}.")
    if namespace == "":
        raise ValueError('"" is not a valid namespace. Pass None to not specify a namespace.')
    core: Any = auto_init_core()
    return ActorHandle(core.actors.find(name, namespace))


@_hook.client_mode_hook
def get_gpu_ids() -> list[int | str]:
    """Ids of the GPUs assigned to this worker; none in a driver.

    Source: Ray docs, "Accelerator support": numbers, or names where CUDA_VISIBLE_DEVICES holds names.
    """
    core = auto_init_core()
    if core.mode == "driver":
        return []
    return [int(name) if name.isdigit() else name for name in core.assignment.devices.get("GPU", [])]


# ------------------------------------------------------------------ what libraries look at


class Worker:
    """This process as `ray._private.worker.global_worker`."""

    @property
    def connected(self) -> bool:
        return is_initialized()

    @property
    def mode(self) -> int | None:
        core = _process._core
        return None if core is None else SCRIPT_MODE if core.mode == "driver" else WORKER_MODE

    @property
    def core_worker(self) -> CoreWorkerNames:
        """Raises RaySystemError before `ray.init`."""
        from ray._private.core_worker_names import CoreWorkerNames

        return CoreWorkerNames(connected_core())

    @property
    def node(self) -> NodeNames | None:
        """The node of this process, which it started or is connected to; None without a session."""
        from ray._private.connected_node import global_node

        return global_node()

    @property
    def current_job_id(self) -> JobID:
        from ray._core.common.ids import JobID

        core = _process._core
        return JobID(core.job_id) if core is not None and core.job_id else JobID.nil()

    @property
    def current_node_id(self) -> NodeID:
        from ray._core.common.ids import NodeID

        return NodeID(connected_core().node.node_id)

    @property
    def worker_id(self) -> bytes:
        return connected_core().worker_id

    @property
    def node_ip_address(self) -> str:
        return connected_core().node.host

    @property
    def namespace(self) -> str:
        return session.namespace

    @property
    def current_task_id(self) -> TaskID:
        """Nil between tasks, and in a driver."""
        from ray._core.common.ids import TaskID

        call = connected_core().current
        return TaskID.nil() if call is None else TaskID(call.task_id)

    @property
    def placement_group_id(self) -> PlacementGroupID:
        """Nil outside of any group."""
        from ray.runtime_context import get_runtime_context

        return get_runtime_context().current_placement_group_id

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        from ray.runtime_context import get_runtime_context

        return get_runtime_context().should_capture_child_tasks_in_placement_group

    @property
    def runtime_env(self) -> str:
        """JSON of the runtime environment of this process."""
        from ray.runtime_context import get_runtime_context

        return get_runtime_context().get_runtime_env_string()

    def get_accelerator_ids_for_accelerator_resource(self, resource_name: str, resource_regex: str) -> list[str]:
        """Ids of the devices of one kind ("GPU") that this worker was assigned, in a placement group or not.

        Args:
            resource_regex: not looked at: devices inside of groups are listed under their kind.
        """
        return list(connected_core().assignment.devices.get(resource_name, []))

    def get_serialization_context(self) -> SerializationContext:
        from ray._private.serialization import SerializationContext

        return SerializationContext()

    @property
    def actor_id(self) -> ActorID:
        """Nil in a process that is no actor."""
        from ray._core.common.ids import ActorID
        from ray.runtime_context import get_runtime_context

        text = get_runtime_context().get_actor_id()
        return ActorID.from_hex(text) if text else ActorID.nil()

    @property
    def gcs_client(self) -> GcsClient:
        """A client with a connection of its own."""
        from ray._private.gcs_client import GcsClient

        address = connected_core().gcs_address
        if self._gcs_client is None or self._gcs_client.address != address:
            self._gcs_client = GcsClient(address)
        return self._gcs_client

    def check_connected(self) -> None:
        """Raises RaySystemError before `ray.init`."""
        connected_core()

    _gcs_client: GcsClient | None = None


def get_dashboard_url() -> str | None:
    """host:port of the cluster's dashboard; None without one."""
    from ray._private.services import get_webui_url_from_internal_kv

    return os.environ.get("RAY_OVERRIDE_DASHBOARD_URL") or get_webui_url_from_internal_kv()


global_worker = Worker()
BaseContext = RayContext


_absent = absent_names(
    __name__,
    "It is a part of Ray's own machinery.",
    "RemoteFunction0 _changeproctitle _unhandled_error_handler autoscaler_log_fyi_printed "
    "blocking_get_inside_async_warned connect custom_excepthook disconnect filter_autoscaler_events "
    "listen_error_messages normal_excepthook print_to_stdstream print_worker_logs process_tqdm "
    "restore_tqdm time_string "
    "_make_remote _mode",
)


def __getattr__(name: str) -> Any:
    if name == "_global_node":  # changes with each session
        from ray._private.connected_node import global_node

        return global_node()
    return _absent(name)


__all__ = [
    "RayContext",
    "Worker",
    "available_resources",
    "cancel",
    "cluster_resources",
    "get",
    "get_actor",
    "get_dashboard_url",
    "global_worker",
    "init",
    "is_initialized",
    "kill",
    "nodes",
    "put",
    "remote",
    "shutdown",
    "wait",
]
