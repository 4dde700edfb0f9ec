"""`ray.init` and the calls on objects: the public face of the core worker."""

from __future__ import annotations

import atexit
import os
import uuid
from collections.abc import Callable
from typing import Any, TypeVar, overload

from ray._core.common import messages as m
from ray._core.common.resources import to_float
from ray._core.node.node import Node
from ray._core.worker import core as core_worker
from ray._core.worker import object_ref
from ray._core.worker.core import CoreWorker
from ray._core.worker.object_ref import ObjectRef
from ray.remote_function import RemoteFunction

T = TypeVar("T")
_node: Node | None = None


def init(
    address: str | None = None,
    *,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
    resources: dict[str, float] | None = None,
    object_store_memory: int | None = None,
    ignore_reinit_error: bool = False,
    namespace: str | None = None,
    _system_config: dict[str, Any] | None = None,
    _temp_dir: str | None = None,
    **unsupported: Any,
) -> dict[str, Any]:
    """Start a cluster on this machine, which ends with this process, and connect to it.

    Args:
        address: None or "local"; joining a cluster that runs already is not built yet.
        num_cpus: logical CPUs; default: the cores this process may use.
        object_store_memory: bytes of shared memory; default 30 % of the machine's.
    Raises:
        RuntimeError: called twice without `ignore_reinit_error`, or with an option that is not known.
        ValueError: a value out of range.
    """
    global _node
    if unsupported:
        raise RuntimeError(f"Unknown keyword argument(s): {', '.join(sorted(unsupported))}")
    if is_initialized():
        if ignore_reinit_error:
            return context()
        raise RuntimeError(
            "Maybe you called ray.init twice by accident? "
            "Pass ignore_reinit_error=True, or call ray.shutdown() before ray.init()."
        )
    if address not in (None, "local"):
        raise ValueError(f"address={address!r}: only a local cluster can be started yet (None or 'local').")
    if object_store_memory is not None and object_store_memory < 75 * 1024 * 1024:
        raise ValueError(f"object_store_memory is at least 75 MiB, not {object_store_memory} bytes.")
    amounts = dict(resources or {})
    if {"CPU", "GPU"} & set(amounts):
        raise ValueError("Use num_cpus and num_gpus instead of CPU and GPU in resources.")
    amounts["CPU"] = len(os.sched_getaffinity(0)) if num_cpus is None else num_cpus
    amounts |= {"GPU": num_gpus or 0, "node:127.0.0.1": 1.0, "node:__internal_head__": 1.0}
    node = Node(amounts, object_store_memory, _system_config, _temp_dir)
    node.start()
    try:
        core_worker.connect_driver(node.raylet_path, namespace or str(uuid.uuid4()))
    except BaseException:
        node.stop()
        raise
    _node = node
    atexit.register(shutdown)
    return context()


def context() -> dict[str, Any]:
    """Where this session is."""
    core = core_worker.current()
    return {"gcs_address": core.gcs_address, "session_dir": core.node.session_dir, "node_id": core.node.node_id.hex()}


def shutdown() -> None:
    """Disconnect and stop what `init` started; again: nothing."""
    global _node
    if is_initialized():
        core_worker.current().shutdown()
    if _node is not None:
        _node.stop()
        _node = None
        atexit.unregister(shutdown)


def is_initialized() -> bool:
    return object_ref._core is not None


def connected() -> CoreWorker:
    """The core worker; `init()` is called when nobody has."""
    if not is_initialized() and os.environ.get("RAY_ENABLE_AUTO_CONNECT") != "0":
        init()
    return core_worker.current()


@overload
def get(refs: ObjectRef[T], *, timeout: float | None = None) -> T: ...
@overload
def get(refs: list[ObjectRef[T]], *, timeout: float | None = None) -> list[T]: ...
def get(refs: Any, *, timeout: float | None = None) -> Any:
    """The value of a ref, or the values of a list of refs, in order.

    Args:
        timeout: seconds; None or negative: no limit; 0: only what is there.
    Raises:
        GetTimeoutError: the time is over.
        Exception: what the task raised, as RayTaskError that is also of the exception's own class.
    """
    core = connected()
    timeout = None if timeout is not None and timeout < 0 else timeout
    if isinstance(refs, ObjectRef):
        return core.get([refs], timeout)[0]
    if not isinstance(refs, list):
        raise ValueError(f"ray.get takes an ObjectRef or a list of them, not {type(refs).__name__}.")
    _check_refs(refs)
    return core.get(refs, timeout)


def _check_refs(refs: list[Any]) -> None:
    for ref in refs:
        if not isinstance(ref, ObjectRef):
            raise TypeError(f"The list has an item that is no ObjectRef but {type(ref).__name__}: {ref!r}")


def put(value: Any) -> ObjectRef[Any]:
    """Store a value; its ref can be passed to any task. Raises TypeError for a ref, and for what cannot be pickled."""
    if isinstance(value, ObjectRef):
        raise TypeError("Calling 'put' on an ObjectRef is not allowed: it is a reference already.")
    return connected().put(value)


def wait(
    refs: list[ObjectRef[Any]], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
    """(ready, not ready), each in the order given; returns once `num_returns` are ready or `timeout` seconds are over.

    Raises:
        TypeError: not a list of refs.
        ValueError: a ref twice, or `num_returns` or `timeout` out of range.
    """
    if not isinstance(refs, list):
        raise TypeError(f"ray.wait takes a list of ObjectRefs, not {type(refs).__name__}.")
    _check_refs(refs)
    if not refs:
        return [], []
    if len(set(refs)) != len(refs):
        raise ValueError("Wait requires a list of unique ObjectRefs.")
    if not 0 < num_returns <= len(refs):
        raise ValueError(f"num_returns is between 1 and {len(refs)} (the number of refs), not {num_returns}.")
    if timeout is not None and timeout < 0:
        raise ValueError(f"timeout is 0 or more seconds, not {timeout}.")
    return connected().wait(refs, num_returns, timeout)


def remote(*args: Any, **options: Any) -> Any:
    """`@ray.remote` and `@ray.remote(num_cpus=2)`: make a function remote. Actors are not built yet."""
    if len(args) == 1 and not options and callable(args[0]):
        return _make_remote(args[0], {})
    assert not args and options, "The @ray.remote decorator takes either a function, or keyword options."
    return lambda function: _make_remote(function, options)


def _make_remote(function: Callable[..., Any], options: dict[str, Any]) -> RemoteFunction:
    if isinstance(function, type):
        raise TypeError(f"{function.__name__} is a class: actors are not built yet, only remote functions are.")
    if not callable(function):
        raise TypeError("The @ray.remote decorator must be applied to a function or a class.")
    return RemoteFunction(function, options)


def cluster_resources() -> dict[str, float]:
    """What all nodes have, by resource name."""
    return _sum_views("total")


def available_resources() -> dict[str, float]:
    """What is free on all nodes, up to a report interval old; what is fully used is absent."""
    return _sum_views("available")


def _sum_views(field: str) -> dict[str, float]:
    total: dict[str, int] = {}
    for view in core_worker.current().ask_gcs(m.GetClusterResources()).views:
        for name, units in getattr(view, field).items():
            total[name] = total.get(name, 0) + units
    return to_float({name: units for name, units in total.items() if units > 0})


def nodes() -> list[dict[str, Any]]:
    """One dict per node, dead ones too."""
    return [
        {
            "NodeID": info.node_id.hex(),
            "Alive": info.state == "ALIVE",
            "alive": info.state == "ALIVE",
            "NodeManagerAddress": info.host,
            "NodeManagerHostname": info.hostname,
            "RayletSocketName": info.raylet_path,
            "NodeName": info.name,
            "DeathReasonMessage": info.death_message,
            "Resources": to_float(info.total) if info.state == "ALIVE" else {},
            "Labels": info.labels,
        }
        for info in core_worker.current().ask_gcs(m.ListNodes()).nodes
    ]
