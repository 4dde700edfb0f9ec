"""Ways into Ray Client: `ray.init("ray://…")` and the older `ray.client(…).connect()`."""

from __future__ import annotations

import atexit
import dataclasses
import importlib
import json
import logging
import os
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

log = logging.getLogger(__name__)
CLIENT_SCHEME = "ray://"
_DEFAULT_PORT = 10001
_OF_THE_CLIENT = ("address", "namespace", "runtime_env", "job_config", "ignore_reinit_error")
"""Arguments of `ray.init` that this process uses itself; others are for the server's."""
_LOCAL_ONLY = ("configure_logging", "logging_level", "logging_format")


@dataclasses.dataclass
class ClientContext:
    """A client connection. As a context manager it ends the connection, or is this thread's while the block runs."""

    dashboard_url: str | None
    python_version: str
    ray_version: str
    ray_commit: str
    _num_clients: int
    _context_to_restore: Any
    """The context of an `allow_multiple` connection; None for the default one."""

    def __enter__(self) -> Self:
        self._swap()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._context_to_restore is None:
            self.disconnect()
        else:
            self._swap()

    def disconnect(self) -> None:
        """End the connection. Again: nothing."""
        from ray.util.client import ray as client

        if self._context_to_restore is None:
            client.disconnect()
            return
        self._swap()
        try:
            client.disconnect()
        finally:
            self._swap()

    def _swap(self) -> None:
        """Make the connection this thread's; again: undo it. Nothing for the default one, which always is."""
        from ray.util.client import ray as client

        if self._context_to_restore is not None:
            self._context_to_restore = client.set_context(self._context_to_restore) or _default_context()


def _default_context() -> Any:
    from ray.util.client import ray as client

    return client._default


class ClientBuilder:
    """Collects what a connection needs; `connect` makes it.

    Args:
        address: "host:port" of a Ray Client server.
    """

    def __init__(self, address: str | None) -> None:
        self.address = address
        self._job_config: Any = None
        self._env: Mapping[str, Any] | None = None
        self._namespace: str | None = None
        self._init_kwargs: dict[str, Any] = {}
        self._allow_multiple = False
        self._credentials: Any = None
        self._metadata: list[tuple[str, str]] | None = None
        self._warns = True

    def env(self, env: Mapping[str, Any]) -> Self:
        """Set the runtime environment of the server's job."""
        self._env = env
        return self

    def namespace(self, namespace: str) -> Self:
        """Set the namespace of named actors."""
        self._namespace = namespace
        return self

    def connect(self) -> ClientContext:
        """Connect.

        Raises:
            ConnectionError, RuntimeError: as `ray.util.connect`.
            ValueError: the packages of the client are missing; or a default connection is asked for while
                `allow_multiple` ones exist.
        """
        from ray.util import client as client_package
        from ray.util.client import ray as client
        from ray.util.client_connect import connect

        if self._warns:
            self._warn()
        self._fill_from_environment()
        assert self.address is not None
        before = None
        if self._allow_multiple:
            before = client.set_context(client_package._ClientContext())
        elif not client.is_connected() and client_package.num_connected_contexts():
            raise ValueError(
                "The client has already connected to the cluster with allow_multiple=True. "
                "Please set allow_multiple=True to proceed."
            )
        try:
            info = connect(
                with_port(self.address),
                job_config=self._job(),
                _credentials=self._credentials,
                ray_init_kwargs=self._init_kwargs,
                metadata=self._metadata,
            )
            url = client.get_context().api.worker.dashboard_url()
        finally:
            new = client.set_context(before) if self._allow_multiple else None
        atexit.unregister(client_package.disconnect_all)
        atexit.register(client_package.disconnect_all)
        return ClientContext(
            dashboard_url=url,
            python_version=info["python_version"],
            ray_version=info["ray_version"],
            ray_commit=info["ray_commit"],
            _num_clients=info["num_clients"],
            _context_to_restore=new,
        )

    def _fill_from_environment(self) -> None:
        if self._env is None and (text := os.environ.get("RAY_RUNTIME_ENV")):
            self._env = json.loads(text)
        if self._namespace is None:
            self._namespace = os.environ.get("RAY_NAMESPACE")

    def _job(self) -> Any:
        from ray.job_config import JobConfig

        job = self._job_config or JobConfig()
        if self._env is not None:
            job.set_runtime_env(self._env)
        if self._namespace is not None:
            job.set_ray_namespace(self._namespace)
        return job

    def _init_args(self, **kwargs: Any) -> Self:
        """What `ray.init` was given besides the address."""
        self._allow_multiple = kwargs.pop("allow_multiple", False)
        self._credentials = kwargs.pop("_credentials", None)
        self._metadata = kwargs.pop("_metadata", None)
        self._job_config = kwargs.pop("job_config", None)
        if (namespace := kwargs.pop("namespace", None)) is not None:
            self.namespace(namespace)
        if (env := kwargs.pop("runtime_env", None)) is not None:
            self.env(env)
        for name in (*_OF_THE_CLIENT, *_LOCAL_ONLY):
            kwargs.pop(name, None)
        if kwargs:
            log.info("Passing the following kwargs to ray.init() on the server: %s", ", ".join(kwargs))
            self._init_kwargs.update(kwargs)
        self._warns = False
        return self

    def _warn(self) -> None:
        arguments = [f'"{CLIENT_SCHEME}{self.address}"']
        if self._namespace is not None:
            arguments.append(f'namespace="{self._namespace}"')
        if self._env is not None:
            arguments.append("runtime_env=<your_runtime_env>")
        warnings.warn(
            "Starting a connection through `ray.client` is deprecated. Use "
            f"`ray.init({', '.join(arguments)})` instead.",
            DeprecationWarning,
            stacklevel=3,
        )


class _LocalClientBuilder(ClientBuilder):
    """`ray.client()` without an address: a plain `ray.init()`."""

    def connect(self) -> ClientContext:
        import ray

        if self._warns:
            warnings.warn(
                "Starting a connection through `ray.client` is deprecated. Use `ray.init()` instead.",
                DeprecationWarning,
                stacklevel=2,
            )
        self._fill_from_environment()
        context = ray.init(address=self.address, job_config=self._job(), **self._init_kwargs)
        return ClientContext(
            dashboard_url=context.dashboard_url,
            python_version=context.python_version,
            ray_version=context.ray_version,
            ray_commit=context.ray_commit,
            _num_clients=1,
            _context_to_restore=None,
        )


def with_port(address: str) -> str:
    """ "host" or "host:port", with Ray Client's port where none is given."""
    return address if ":" in address.rsplit("]", 1)[-1] else f"{address}:{_DEFAULT_PORT}"


def client(address: str | None = None, _deprecation_warn_enabled: bool = True) -> ClientBuilder:
    """A builder for `address`: "host:port" or "ray://host:port"; None: RAY_ADDRESS, else a local session.

    Deprecated: use `ray.init`.
    """
    builder = _builder_of(address if address is not None else os.environ.get("RAY_ADDRESS"))
    builder._warns = _deprecation_warn_enabled
    return builder


def _builder_of(address: str | None) -> ClientBuilder:
    if address is None:
        return _LocalClientBuilder(None)
    scheme, separator, rest = address.rpartition("://")
    if not separator:
        return _LocalClientBuilder("local") if address == "local" else ClientBuilder(address)
    if scheme == "ray":
        return ClientBuilder(rest)
    return _custom_builder(scheme, rest)


def _custom_builder(scheme: str, rest: str) -> ClientBuilder:
    """`ClientBuilder(rest)` of the module `scheme`, which brings its own way to a cluster."""
    try:
        module = importlib.import_module(scheme)
    except Exception as error:
        raise RuntimeError(
            f"Module: {scheme} does not exist: {scheme} could not be imported. This may be because {scheme}:// is not "
            "a valid scheme of an "
            "address, or because the package that provides it is not installed."
        ) from error
    if not hasattr(module, "ClientBuilder"):
        raise RuntimeError(f"Module: {scheme} does not have ClientBuilder.")
    builder: ClientBuilder = module.ClientBuilder(rest)
    return builder


def elsewhere(address: str | None) -> str | None:
    """The address of another kind of cluster ("scheme://…") that `ray.init(address)` means; None: a usual one."""
    if address in (None, "auto"):
        address = os.environ.get("RAY_ADDRESS") or address
    return address if address is not None and "://" in address else None


def init(address: str, given: Mapping[str, Any]) -> Any:
    """`ray.init` for an address of this kind.

    Args:
        given: the arguments of `ray.init` that were given.
    """
    scheme, _, rest = address.rpartition("://")
    builder = ClientBuilder(rest) if scheme == "ray" else _custom_builder(scheme, rest)
    if scheme == "ray" and given.get("ignore_reinit_error"):
        from ray.util.client import ray as connected

        if connected.is_connected() and not given.get("allow_multiple"):
            log.info("Calling ray.init() again after it has already been called.")
            return _context_of_default()
    return builder._init_args(**{key: value for key, value in given.items() if key != "address"}).connect()


def _context_of_default() -> ClientContext:
    from ray.util.client import ray as connected

    worker = connected.worker
    info = worker.connection_info()
    return ClientContext(
        dashboard_url=worker.dashboard_url(),
        python_version=info["python_version"],
        ray_version=info["ray_version"],
        ray_commit=info["ray_commit"],
        _num_clients=info["num_clients"],
        _context_to_restore=None,
    )
