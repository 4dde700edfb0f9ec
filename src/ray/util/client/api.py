"""The public calls, as a client makes them; `client_mode_hook` leads here by name. Floor: client, over `worker`."""

from __future__ import annotations

import logging
import weakref
from typing import Any

from ray.core.generated import ray_client_pb2 as pb
from ray.util.client.common import ClientActorHandle, ClientActorRef, ClientObjectRef, MethodInfo
from ray.util.client.runtime_context import ClientRuntimeContext
from ray.util.client.worker import Worker, count_of

log = logging.getLogger(__name__)


class ClientAPI:
    """`ray.*` of one connection."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._exports: weakref.WeakKeyDictionary[Any, bytes] = weakref.WeakKeyDictionary()
        """Ids on this server of functions and classes."""

    # ---------------------------------------------------------- objects

    def get(self, object_refs: Any, *, timeout: float | None = None) -> Any:
        return self.worker.get(object_refs, timeout)

    def put(self, value: Any, *, _owner: Any = None, _tensor_transport: str | None = None) -> ClientObjectRef[Any]:
        if isinstance(value, ClientObjectRef):
            raise TypeError(
                "Calling 'put' on an ObjectRef is not allowed: it is a reference already. To put it nevertheless, "
                "wrap it in a list."
            )
        return self.worker.put(value)

    def wait(
        self,
        ray_waitables: Any,
        *,
        num_returns: int = 1,
        timeout: float | None = None,
        fetch_local: bool = True,
    ) -> tuple[list[ClientObjectRef[Any]], list[ClientObjectRef[Any]]]:
        if not isinstance(ray_waitables, list):
            raise TypeError(f"wait() expected a list of ClientObjectRef, got {type(ray_waitables)}")
        for ref in ray_waitables:
            if not isinstance(ref, ClientObjectRef):
                raise TypeError(f"wait() expected a list of ClientObjectRef, got list containing {type(ref)}")
        if timeout is not None and timeout < 0:
            raise ValueError(f"The 'timeout' argument must be nonnegative. Received {timeout}.")
        if not ray_waitables:
            return [], []
        if len(set(ray_waitables)) != len(ray_waitables):
            raise ValueError("Wait requires a list of unique ObjectRefs.")
        if not 0 < num_returns <= len(ray_waitables):
            raise ValueError(
                f"num_returns is between 1 and {len(ray_waitables)} (the number of refs), not {num_returns}."
            )
        return self.worker.wait(ray_waitables, num_returns, timeout)

    # ---------------------------------------------------------- tasks and actors

    def call_function(self, function: Any, args: Any, kwargs: Any) -> Any:
        """`function.remote(…)` of a remote function."""
        function.check_call(args, kwargs)
        options = function._default_options
        num_returns = options.get("num_returns")
        if num_returns is None:
            num_returns = 1
        futures = self.worker.schedule(
            pb.ClientTask.FUNCTION,
            function._function.__name__,
            self._export(function._function),
            args,
            kwargs,
            {},
            options,
            count_of(num_returns),
        )
        return self.worker.refs_of(futures, num_returns)

    def create_actor(self, actor_class: Any, args: Any, kwargs: Any) -> ClientActorHandle:
        """`actor_class.remote(…)` of an actor class."""
        actor_class._calls.check(len(args), kwargs)
        inspected = actor_class._inspected
        user_class = inspected.modified_class.__mro__[1]
        futures = self.worker.schedule(
            pb.ClientTask.ACTOR,
            user_class.__name__,
            self._export(user_class),
            args,
            kwargs,
            {},
            actor_class._default_options,
            1,
        )
        ref = ClientActorRef(futures[0], worker=self.worker)
        return ClientActorHandle(ref, _method_infos(inspected.methods))

    def _export(self, code: Any) -> bytes:
        """The id of a function or class on this server; uploaded at its first use there."""
        key = self._exports.get(code)
        if key is None:
            key = self._exports[code] = self.worker.export(code)
        return key

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        from ray._private.worker import remote

        return remote(*args, **kwargs)

    def method(self, *args: Any, **kwargs: Any) -> Any:
        from ray.actor import method

        return method(*args, **kwargs)

    def get_actor(self, name: str, namespace: str | None = None) -> ClientActorHandle:
        return self.worker.get_actor(name, namespace)

    def list_named_actors(self, all_namespaces: bool = False) -> list[Any]:
        return self.worker.list_named_actors(all_namespaces)

    def kill(self, actor: ClientActorHandle, *, no_restart: bool = True) -> None:
        if not isinstance(actor, ClientActorHandle):
            raise ValueError(f"ray.kill() only supported for actors. Got: {type(actor)}.")
        self.worker.terminate_actor(actor, no_restart)

    def cancel(self, ref: ClientObjectRef[Any], *, force: bool = False, recursive: bool = True) -> None:
        if not isinstance(ref, ClientObjectRef):
            raise TypeError(f"ray.cancel() only supported for object refs. Got: {type(ref)}.")
        self.worker.terminate_task(ref, force, recursive)

    # ---------------------------------------------------------- the cluster

    def is_initialized(self) -> bool:
        return self.worker.is_connected() and bool(self.worker.cluster_info(pb.ClusterInfoType.IS_INITIALIZED))

    def nodes(self) -> Any:
        return self.worker.cluster_info(pb.ClusterInfoType.NODES)

    def cluster_resources(self) -> Any:
        return self.worker.cluster_info(pb.ClusterInfoType.CLUSTER_RESOURCES)

    def available_resources(self) -> Any:
        return self.worker.cluster_info(pb.ClusterInfoType.AVAILABLE_RESOURCES)

    def timeline(self, filename: str | None = None) -> Any:
        import json

        log.warning("Timeline will include events from other clients using this server.")
        events = self.worker.cluster_info(pb.ClusterInfoType.TIMELINE)
        if filename is None:
            return events
        with open(filename, "w") as file:
            json.dump(events, file)
        return None

    def get_runtime_context(self) -> ClientRuntimeContext:
        return ClientRuntimeContext(self.worker)

    def get_gpu_ids(self) -> list[int]:
        return []

    # ---------------------------------------------------------- key-value

    def _internal_kv_initialized(self) -> bool:
        return self.is_initialized()

    def _internal_kv_get(self, key: Any, *, namespace: Any = None) -> bytes | None:
        request = pb.KVGetRequest(key=_bytes(key), namespace=_bytes(namespace))
        response = self.worker.kv("KVGet", request)
        return response.value if response.HasField("value") else None

    def _internal_kv_exists(self, key: Any, *, namespace: Any = None) -> bool:
        request = pb.KVExistsRequest(key=_bytes(key), namespace=_bytes(namespace))
        return bool(self.worker.kv("KVExists", request).exists)

    def _internal_kv_put(self, key: Any, value: Any, overwrite: bool = True, *, namespace: Any = None) -> bool:
        request = pb.KVPutRequest(
            key=_bytes(key), value=_bytes(value), overwrite=overwrite, namespace=_bytes(namespace)
        )
        return bool(self.worker.kv("KVPut", request, changes_state=True).already_exists)

    def _internal_kv_del(self, key: Any, *, del_by_prefix: bool = False, namespace: Any = None) -> int:
        request = pb.KVDelRequest(key=_bytes(key), del_by_prefix=del_by_prefix, namespace=_bytes(namespace))
        return int(self.worker.kv("KVDel", request, changes_state=True).deleted_num)

    def _internal_kv_list(self, prefix: Any, *, namespace: Any = None) -> list[bytes]:
        request = pb.KVListRequest(prefix=_bytes(prefix), namespace=_bytes(namespace))
        return list(self.worker.kv("KVList", request).keys)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError(
            f"Not available in Ray client: `ray.{name}`. This method is only available within Ray remote functions "
            "and is not yet implemented in the client API."
        )


def _method_infos(methods: dict[str, Any]) -> dict[str, MethodInfo]:
    """From what the actor class knows of its methods."""
    from ray._core.common.call_shape import CallChecker
    from ray._core.common.options import DYNAMIC, STREAMING

    infos = {}
    for name, options in methods.items():
        num_returns: Any = {DYNAMIC: "dynamic", STREAMING: "streaming"}.get(options.num_returns, options.num_returns)
        check = None
        if options.shape is not None:
            checker = CallChecker(options.shape)

            def check(args: Any, kwargs: Any, checker: CallChecker = checker) -> None:
                checker.check(len(args), kwargs)

        infos[name] = MethodInfo(num_returns, check)
    return infos


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
