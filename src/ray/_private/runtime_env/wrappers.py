"""Fields that run the worker inside something else: py_executable, container, image_uri, nsight, rocprof_sys."""

from __future__ import annotations

import logging
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray._private.runtime_env.context import RuntimeEnvContext
from ray._private.runtime_env.plugin import RuntimeEnvPlugin

if TYPE_CHECKING:
    from ray.runtime_env import RuntimeEnv


class PyExecutablePlugin(RuntimeEnvPlugin):
    """A command instead of the interpreter, such as "uv run"."""

    name = "py_executable"

    def modify_context(
        self, uris: list[str], runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        command = runtime_env.get("py_executable")
        if command:
            logger.info("Workers run by %s.", command)
            context.py_executable = str(command)


def podman_command(
    image: str,
    session_dir: str,
    env_vars: dict[str, str],
    run_options: list[str],
    environ: dict[str, str],
) -> str:
    """The shell command in whose container a worker's arguments are run by the image's python. Pure.

    The container shares the host's network, processes and shared memory, since the worker speaks to its raylet through
    the sockets and the arena; and the session's directory.
    """
    command = ["podman", "run", "--rm", "-v", f"{session_dir}:{session_dir}"]
    command += ["--cgroup-manager=cgroupfs", "--network=host", "--pid=host", "--ipc=host", "--userns=keep-id"]
    inherited = {name: value for name, value in environ.items() if name.startswith("RAY_")}
    for name, value in {**inherited, **env_vars}.items():
        command += ["--env", f"{name}={value}"]
    return shlex.join([*command, *run_options, "--entrypoint", "python", image])


class _ImagePlugin(RuntimeEnvPlugin):
    def __init__(self, session_dir: str) -> None:
        self._session_dir = session_dir

    def _contain(self, context: RuntimeEnvContext, image: str, options: list[str], worker_path: str | None) -> None:
        # What only the raylet sets for the worker is passed on by name.
        passed = ["--env=RAY_RAYLET_SOCKET", "--env=RAY_NODE_ID_HEX", "--env=RAY_SESSION_DIR", "--env=RAY_NODE_IP"]
        command = podman_command(image, self._session_dir, context.env_vars, [*passed, *options], dict(os.environ))
        context.py_executable = command
        context.override_worker_entrypoint = worker_path


class ContainerPlugin(_ImagePlugin):
    name = "container"

    def modify_context(
        self, uris: list[str], runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        if runtime_env.has_py_container():
            options = runtime_env.py_container_run_options() or []
            image, worker_path = runtime_env.py_container_image(), runtime_env.py_container_worker_path()
            if not image:
                raise ValueError("runtime_env['container'] needs an 'image'.")
            self._contain(context, image, options, worker_path)


class ImageUriPlugin(_ImagePlugin):
    name = "image_uri"

    def modify_context(
        self, uris: list[str], runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        image = runtime_env.image_uri()
        if image:
            self._contain(context, image, [], os.environ.get("RAY_CONTAINER_WORKER_PATH"))


NSIGHT_DEFAULTS = {
    "t": "cuda,cudnn,cublas,nvtx",
    "o": "'worker_process_%p'",
    "stop-on-exit": "true",
}


def profiler_command(program: list[str], options: dict[str, Any]) -> str:
    """A profiler's options: one letter as "-x value", longer ones as "--name=value". Pure."""
    words = list(program)
    for name, value in options.items():
        words += [f"-{name}", str(value)] if len(name) == 1 else [f"--{name}={value}"]
    return shlex.join(words)


class NsightPlugin(RuntimeEnvPlugin):
    """The worker under NVIDIA's nsys; reports go to `nsight` in the session's logs."""

    name = "_nsight"

    def __init__(self, log_dir: Path) -> None:
        self._directory = log_dir / "nsight"

    def modify_context(
        self, uris: list[str], runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        wanted = runtime_env.nsight()
        if not wanted:
            return
        if isinstance(wanted, str) and wanted != "default":
            raise RuntimeError(f"Unsupported nsight config: {wanted}. The supported config is 'default' or a dict.")
        self._directory.mkdir(parents=True, exist_ok=True)
        options = {**NSIGHT_DEFAULTS, "o": str(self._directory / "worker_process_%p")}
        options.update(wanted if isinstance(wanted, dict) else {})
        context.py_executable = f"{profiler_command(['nsys', 'profile'], options)} {context.py_executable}"


class RocprofSysPlugin(RuntimeEnvPlugin):
    """The worker under AMD's rocprof-sys-python."""

    name = "_rocprof_sys"

    def modify_context(
        self, uris: list[str], runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        wanted = runtime_env.rocprof_sys()
        if not wanted:
            return
        if isinstance(wanted, str):
            if wanted != "default":
                raise RuntimeError(f"Unsupported rocprof_sys config: {wanted}. It is 'default' or a dict.")
            wanted = {}
        context.env_vars.update({name: str(value) for name, value in (wanted.get("env") or {}).items()})
        options = wanted.get("args") or {}
        context.py_executable = f"{profiler_command(['rocprof-sys-python'], options)} -- {context.py_executable}"
