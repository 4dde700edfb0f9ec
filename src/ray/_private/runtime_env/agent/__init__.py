"""The runtime-env agent: builds environments of a node, each once, and answers its raylet with how workers start.

Hosted by the node's agent process (`ray._core.agent.runtime_envs`), which imports it when the first environment is
wanted. Order, counting and deletion are in `EnvBuilder`; `RuntimeEnvAgent` is its end of the line to the raylet.
"""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ray._core.common import messages as m
from ray._core.common.packages import packages_of
from ray._core.wire import aio
from ray._core.wire.link import Link
from ray._private.runtime_env.conda import CondaPlugin
from ray._private.runtime_env.context import RuntimeEnvContext
from ray._private.runtime_env.packages_plugin import JavaJarsPlugin, PyModulesPlugin, WorkingDirPlugin
from ray._private.runtime_env.plugin import RuntimeEnvPlugin, with_users_plugins
from ray._private.runtime_env.uri_cache import DEFAULT_LIMIT, UriCache
from ray._private.runtime_env.virtualenvs import WORKING_DIR_VARIABLE, PipPlugin, UvPlugin
from ray._private.runtime_env.wrappers import (
    ContainerPlugin,
    ImageUriPlugin,
    NsightPlugin,
    PyExecutablePlugin,
    RocprofSysPlugin,
)
from ray.runtime_env import RuntimeEnv, RuntimeEnvConfig

_log = logging.getLogger(__name__)
ATTEMPTS = int(os.environ.get("RUNTIME_ENV_RETRY_TIMES", 3))
RETRY_PAUSE_S = float(os.environ.get("RUNTIME_ENV_RETRY_INTERVAL_MS", 1000)) / 1000


class SetupFailed(Exception):
    """An environment could not be built; the text is for the user."""


class EnvBuilder:
    """Environments of one node.

    Args:
        resources_dir: where they lie.
        session_dir, log_dir: of the session.
        fetch: gives the value of a key in the cluster's key-value table.
        node_ip: for error messages.
        hold: told of the packages (URIs) that a job uses, before they are fetched.
        keeps_all: nothing is ever deleted.
        plugins: None: Ray's and the user's.
    """

    def __init__(
        self,
        resources_dir: Path,
        session_dir: str,
        log_dir: Path,
        fetch: Callable[[str], Awaitable[bytes | None]],
        node_ip: str = "127.0.0.1",
        keeps_all: bool = False,
        hold: Callable[[bytes, list[str]], None] = lambda job_id, uris: None,
        plugins: dict[str, RuntimeEnvPlugin] | None = None,
    ) -> None:
        self._log_dir = log_dir
        self._node_ip = node_ip
        self._keeps_all = keeps_all
        self._hold = hold
        self._working_dirs = WorkingDirPlugin(resources_dir, fetch)
        self.plugins = plugins or with_users_plugins(
            [
                self._working_dirs,
                PyModulesPlugin(resources_dir, fetch),
                JavaJarsPlugin(resources_dir, fetch),
                PipPlugin(resources_dir),
                UvPlugin(resources_dir),
                CondaPlugin(resources_dir),
                PyExecutablePlugin(),
                ContainerPlugin(session_dir),
                ImageUriPlugin(session_dir),
                NsightPlugin(log_dir),
                RocprofSysPlugin(),
            ]
        )
        self.caches = {name: UriCache(_limit_of(name)) for name in self.plugins}
        self._loggers: dict[bytes, logging.Logger] = {}
        self._building: dict[str, asyncio.Task[None]] = {}
        """By URI, so that two environments with one package fetch it once."""

    async def create(self, text: str, job_id: bytes) -> str:
        """Build the environment whose JSON is `text`; returns the JSON of its context. One reference more to its URIs.

        Raises:
            SetupFailed: it could not be built, not in time, or not with several attempts.
        """
        runtime_env = RuntimeEnv.deserialize(text)
        if packages := packages_of(text):
            self._hold(job_id, packages)
        logger = self._logger(job_id)
        config = RuntimeEnvConfig(**(runtime_env.get("config") or {}))
        limit_s = None if config["setup_timeout_seconds"] == -1 else config["setup_timeout_seconds"]
        problem = ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await asyncio.wait_for(self._build(runtime_env, logger), limit_s)
            except TimeoutError:
                raise SetupFailed(
                    f"[Node {self._node_ip}] TimeoutError: Failed to install runtime_env within the timeout of "
                    f"{limit_s} seconds. Consider increasing the timeout in the runtime_env config. For example: \n"
                    '    runtime_env = {"config": {"setup_timeout_seconds": 1800}, ...}\n'
                    "If not specified, the default timeout is 600 seconds."
                ) from None
            except (TypeError, ValueError) as error:  # another attempt would say the same
                raise SetupFailed(f"[Node {self._node_ip}] {_described(error)}") from error
            except Exception as error:
                problem = _described(error)
                logger.warning("Attempt %s of %s failed: %s", attempt, ATTEMPTS, problem)
                if attempt < ATTEMPTS:
                    await asyncio.sleep(RETRY_PAUSE_S)
        raise SetupFailed(f"[Node {self._node_ip}] {problem}")

    async def _build(self, runtime_env: RuntimeEnv, logger: logging.Logger) -> str:
        context = RuntimeEnvContext(env_vars=runtime_env.env_vars())
        used: list[tuple[str, str]] = []
        try:
            for name, plugin in self._concerned(runtime_env):
                plugin.validate(runtime_env)
                uris = plugin.get_uris(runtime_env)
                for uri in uris:
                    await self._have(name, uri, runtime_env, context, logger)
                    self.caches[name].use(uri)
                    used.append((name, uri))
                if not uris:
                    await plugin.create(None, runtime_env, context, logger)
                plugin.modify_context(uris, runtime_env, context, logger)
        except BaseException:
            for name, uri in used:
                self.caches[name].unuse(uri)
            raise
        self._evict()
        return context.serialize()

    def _concerned(self, runtime_env: RuntimeEnv) -> list[tuple[str, RuntimeEnvPlugin]]:
        """Plug-ins of fields that the environment has, in order of priority."""
        return [(name, plugin) for name, plugin in self.plugins.items() if name in runtime_env]

    async def _have(
        self, name: str, uri: str, runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        """Create a URI unless it is there; whoever comes while it is being created waits for that."""
        if uri in self.caches[name]:
            return
        task = self._building.get(uri)
        if task is None:
            task = asyncio.create_task(self._make(name, uri, runtime_env, context, logger))
            self._building[uri] = task
            task.add_done_callback(lambda _: self._building.pop(uri))
            await task  # a cancellation (the timeout) ends it, and whoever else waits tries again
            return
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            await self._have(name, uri, runtime_env, context, logger)

    async def _make(
        self, name: str, uri: str, runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        if runtime_env.has_working_dir() and name != "working_dir":
            directory = str(self._working_dirs.path(runtime_env.working_dir()))
            context = RuntimeEnvContext(env_vars={**context.env_vars, WORKING_DIR_VARIABLE: directory})
        size = await self.plugins[name].create(uri, runtime_env, context, logger)
        self.caches[name].add(uri, int(size or 0))

    # ---------------------------------------------------------- going away

    def release(self, text: str) -> None:
        """One reference less to the URIs of an environment that `create` built."""
        runtime_env = RuntimeEnv.deserialize(text)
        for name, plugin in self._concerned(runtime_env):
            for uri in plugin.get_uris(runtime_env):
                if self.caches[name].users(uri):  # else an agent before this one built it
                    self.caches[name].unuse(uri)
        self._evict()

    def _evict(self) -> None:
        if self._keeps_all:
            return
        for name, cache in self.caches.items():
            for uri in cache.evict():
                try:
                    self.plugins[name].delete_uri(uri, _log)
                except Exception:
                    _log.exception("What is left of %s could not be deleted.", uri)

    def _logger(self, job_id: bytes) -> logging.Logger:
        """Writes to `runtime_env_setup-<job>.log`."""
        logger = self._loggers.get(job_id)
        if logger is None:
            logger = self._loggers[job_id] = logging.Logger(f"{__name__}.{job_id.hex()}", logging.INFO)
            handler = logging.FileHandler(self._log_dir / f"runtime_env_setup-{job_id.hex()}.log", delay=True)
            handler.setFormatter(logging.Formatter("%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"))
            logger.addHandler(handler)
        return logger


def _limit_of(name: str) -> int:
    gigabytes = os.environ.get(f"RAY_RUNTIME_ENV_{name.upper()}_CACHE_SIZE_GB")
    return DEFAULT_LIMIT if gigabytes is None else int(float(gigabytes) * 1024**3)


def _described(error: BaseException) -> str:
    """The traceback's end that matters to users: the error and where it was raised."""
    frames = traceback.format_exception(type(error), error, error.__traceback__)
    return "".join(frames[-1:] if isinstance(error, (TypeError, ValueError)) else frames[-3:]).strip()


class RuntimeEnvAgent:
    """The builder at the end of a connection to the raylet (aio.Handler)."""

    def __init__(self, builder: EnvBuilder) -> None:
        self.builder = builder
        self._tasks: set[asyncio.Task[None]] = set()

    def connected(self, connection: aio.Connection) -> None:
        """This side speaks first."""

    def received(self, connection: aio.Connection, message: Any, payload: bytes) -> None:
        match message:
            case m.CreateRuntimeEnv():
                task = asyncio.get_running_loop().create_task(self._create(connection, message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case m.ReleaseRuntimeEnv():
                self.builder.release(message.runtime_env)
            case m.Request():
                connection.fail(message, "unknown_request", f"An agent does not serve {type(message).__name__}.")

    def closed(self, connection: aio.Connection) -> None:
        for task in self._tasks:
            task.cancel()

    async def _create(self, connection: aio.Connection, request: m.CreateRuntimeEnv) -> None:
        try:
            context = await self.builder.create(request.runtime_env, request.job_id)
        except SetupFailed as failure:
            connection.fail(request, "runtime_env", str(failure))
        except Exception as error:
            _log.exception("Building an environment failed unexpectedly.")
            connection.fail(request, "runtime_env", _described(error))
        else:
            connection.reply(request, m.RuntimeEnvCreated(context=context))


def make_agent(gcs: Link, resources_dir: str, log_dir: str, node_ip: str, keeps_all: bool) -> RuntimeEnvAgent:
    """The handler for the connection to the raylet.

    Args:
        gcs: an open connection, for packages.
    Raises:
        RuntimeError: a plug-in of the user's cannot be loaded.
    """

    async def fetch(uri: str) -> bytes | None:
        reply: m.KvValue = await gcs.request(m.KvGet(namespace="", key=uri.encode()))
        return reply.value

    def hold(job_id: bytes, uris: list[str]) -> None:
        gcs.send(m.HoldPackages(job_id, uris))

    session_dir = str(Path(log_dir).parent)
    return RuntimeEnvAgent(EnvBuilder(Path(resources_dir), session_dir, Path(log_dir), fetch, node_ip, keeps_all, hold))
