"""Ray Client: this process's public calls, made by a server elsewhere. Floor: client, shell.

`ray` here is the stub that `client_mode_hook` sends calls to. It knows the context of each thread: the default one, or
one of several that were connected with `allow_multiple=True`.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from ray._private import client_mode_hook
from ray._version import VERSION

if TYPE_CHECKING:
    from ray.util.client.api import ClientAPI
    from ray.util.client.worker import Worker

log = logging.getLogger(__name__)


class _ClientContext:
    """At most one connection, and the API of it."""

    def __init__(self) -> None:
        self.client_worker: Worker | None = None
        self._api: ClientAPI | None = None

    @property
    def api(self) -> ClientAPI:
        if self._api is None:
            raise RuntimeError(
                'Ray Client is not connected. Connect it with `ray.init("ray://<head>:10001")` before using it.'
            )
        return self._api

    def connect(
        self,
        conn_str: str,
        job_config: Any = None,
        secure: bool = False,
        metadata: list[tuple[str, str]] | None = None,
        connection_retries: int = 3,
        namespace: str | None = None,
        *,
        ignore_version: bool = False,
        _credentials: Any = None,
        ray_init_kwargs: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Connect; what the server says of itself.

        Raises:
            ConnectionError, ConnectionAbortedError: no server there, or it could not make the session.
            RuntimeError: connected already; or the versions do not match.
        """
        from ray.job_config import JobConfig
        from ray.util.client.api import ClientAPI
        from ray.util.client.environment import upload_environment
        from ray.util.client.worker import Worker
        from ray.util.client.worker import ignore_version as versions_ignored

        if self.is_connected():
            raise RuntimeError(
                'Ray Client is already connected. Maybe you called ray.init("ray://<address>") twice by accident?'
            )
        self.disconnect()  # from one that is broken
        job_config = job_config or JobConfig()
        if namespace is not None:
            job_config.set_ray_namespace(namespace)
        worker = Worker(
            conn_str,
            secure=secure,
            credentials=_credentials,
            metadata=metadata,
            connection_retries=connection_retries,
        )
        try:
            upload_environment(job_config, worker)
            worker.init_session(job_config, ray_init_kwargs or {})
            info = worker.connection_info()
            if not (ignore_version or versions_ignored()):
                _check_versions(info)
        except BaseException:
            worker.close()
            raise
        self.client_worker, self._api = worker, ClientAPI(worker)
        worker.log_client.set_logstream_level(logging.INFO)
        _contexts.add(self)
        return info

    def disconnect(self) -> None:
        """Again: nothing."""
        worker, self.client_worker, self._api = self.client_worker, None, None
        if worker is not None:
            _contexts.remove(self)
            worker.close()

    def is_connected(self) -> bool:
        return self.client_worker is not None and self.client_worker.is_connected()


class _Contexts:
    """The connected contexts of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connected: list[_ClientContext] = []

    def add(self, context: _ClientContext) -> None:
        with self._lock:
            self._connected.append(context)
            client_mode_hook.set_active(True)

    def remove(self, context: _ClientContext) -> None:
        with self._lock:
            if context in self._connected:
                self._connected.remove(context)
            client_mode_hook.set_active(bool(self._connected))

    def all(self) -> list[_ClientContext]:
        with self._lock:
            return list(self._connected)


_contexts = _Contexts()


def _check_versions(info: dict[str, Any]) -> None:
    python = ".".join(map(str, sys.version_info[:2]))
    theirs = ".".join(info["python_version"].split(".")[:2])
    if python != theirs:
        raise RuntimeError(
            f"Python minor versions differ between client and server: client is {python}, server is "
            f"{info['python_version']}. Use the same on both sides, or set RAY_IGNORE_VERSION_MISMATCH=1."
        )
    if info["ray_version"] != VERSION:
        raise RuntimeError(
            f"Client Ray installation incompatible with server: client is {VERSION}, server is {info['ray_version']}. "
            "Use the same version on both sides, or set RAY_IGNORE_VERSION_MISMATCH=1."
        )


class RayAPIStub:
    """`ray` of the current thread's context."""

    def __init__(self) -> None:
        self._default = _ClientContext()
        self._threads = threading.local()
        self._inside_client_test = False

    def get_context(self) -> _ClientContext:
        context: _ClientContext = getattr(self._threads, "context", None) or self._default
        return context

    def set_context(self, context: _ClientContext | None) -> _ClientContext | None:
        """Make `context` this thread's (None: the default one); the one before."""
        before: _ClientContext | None = getattr(self._threads, "context", None)
        self._threads.context = context
        return before

    @property
    def worker(self) -> Worker:
        return self.get_context().api.worker

    @property
    def client_worker(self) -> Worker:
        return self.worker

    def connect(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return self.get_context().connect(*args, **kwargs)

    def disconnect(self) -> None:
        self.get_context().disconnect()

    def is_connected(self) -> bool:
        return self.get_context().is_connected()

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        self.disconnect()

    def has_connection(self) -> bool:
        """Also when it is broken: then public calls must fail, and not mean a session of this process."""
        return self.get_context().client_worker is not None

    def is_initialized(self) -> bool:
        return self.is_connected() and self.get_context().api.is_initialized()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.get_context().api, name)


ray = RayAPIStub()


def num_connected_contexts() -> int:
    return len(_contexts.all())


def disconnect_all() -> None:
    """End all connections of this process."""
    for context in _contexts.all():
        context.disconnect()
