"""A client's call made here, through the public API: the client's function, class or method. Floor: client, shell."""

from __future__ import annotations

import pickle
from typing import Any

import ray
from ray.actor import ActorClass
from ray.core.generated import ray_client_pb2 as pb
from ray.remote_function import RemoteFunction
from ray.util.client.server import original_pickles
from ray.util.client.server.client_state import ClientState

_MISSING = object()


def call(client: ClientState, task: pb.ClientTask, data: bytes) -> list[bytes]:
    """Start what the task asks for.

    Args:
        data: the pickled (args, kwargs), all of it; empty: the task has them one by one.
    Returns:
        Ids of its results, or of the actor; the client holds them from now on.
    Raises:
        Exception: whatever the call raises here, for the client to raise.
    """
    kind = pb.ClientTask.RemoteExecType
    args, kwargs = client.loads(data) if data else _old_arguments(client, task)
    options = _options(task.options)
    match task.type:
        case kind.FUNCTION:
            result = remote_of(client, task).remote(*args, **kwargs)
        case kind.ACTOR:
            return [client.hand_out_actor(remote_of(client, task).remote(*args, **kwargs))]
        case kind.METHOD:
            method = getattr(client.actor(task.payload_id), task.name)
            result = (method.options(**options) if options else method).remote(*args, **kwargs)
        case kind.NAMED_ACTOR:
            return [client.hand_out_actor(ray.get_actor(task.name, task.namespace or None))]
        case _:
            raise NotImplementedError(f"The Ray Client server cannot run a task of type {task.type}.")
    return [client.hand_out_ref(ref) for ref in _as_list(result)]


def remote_of(client: ClientState, task: pb.ClientTask) -> Any:
    """The remote function or actor class that the task calls, with its options."""
    key = (task.payload_id, task.options.pickled_options, task.baseline_options.pickled_options)
    found = client.remotes.get(key)
    if found is None:
        target = ray.get(client.ref(task.payload_id))
        baseline, options = _options(task.baseline_options), _options(task.options)
        if client.is_original:
            target = original_pickles.of_this_package(target)
            if isinstance(target, type):
                original_pickles.adopt_methods(target)
        if not isinstance(target, (RemoteFunction, ActorClass)):
            target = ray.remote(**baseline)(target) if baseline else ray.remote(target)
        changed = {name: value for name, value in options.items() if baseline.get(name, _MISSING) != value}
        found = client.remotes[key] = target.options(**changed) if changed else target
    return found


def _options(options: pb.TaskOptions) -> dict[str, Any]:
    """The client trusts the server with its code, and so does the server the client: this is the user's own pickle."""
    return pickle.loads(options.pickled_options) if options.pickled_options else {}


def _old_arguments(client: ClientState, task: pb.ClientTask) -> tuple[list[Any], dict[str, Any]]:
    def value(arg: pb.Arg) -> Any:
        return client.ref(arg.reference_id) if arg.local == pb.Arg.Locality.REFERENCE else client.loads(arg.data)

    return [value(arg) for arg in task.args], {name: value(arg) for name, arg in task.kwargs.items()}


def _as_list(result: Any) -> list[Any]:
    if result is None:
        return []
    if isinstance(result, list):
        return result
    if isinstance(result, ray.ObjectRef):
        return [result]
    raise TypeError(
        "Generators that stream their items (num_returns='streaming') do not work through Ray Client. "
        "Call the generator from a task or an actor, or return a list."
    )
