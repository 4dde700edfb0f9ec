"""Fields that run the worker inside something else: py_executable, container, image_uri, nsight, rocprof_sys."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterable, Sequence
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


# What only the raylet sets for a worker.
_OF_THE_RAYLET = ("RAY_RAYLET_SOCKET", "RAY_NODE_ID_HEX", "RAY_SESSION_DIR", "RAY_NODE_IP")
# The image's own Ray lies where it likes; as one word, for it takes the place of the script.
_WORKER_OF_THE_IMAGE = "-mray.workers.default_worker"


def podman_command(
    image: str, session_dir: str, variables: Iterable[str], run_options: Sequence[str], *, as_root: bool
) -> str:
    """The shell command in whose container a worker's arguments are run by the image's python. Pure.

    The container shares the host's network, processes and shared memory, since the worker speaks to its raylet through
    the sockets and the arena; and the session's directory. `variables` are passed on by name alone: everybody on the
    machine reads command lines, and the cluster's token is among them.
    """
    command = ["podman", "run", "--rm", "-v", f"{session_dir}:{session_dir}"]
    command += ["--cgroup-manager=cgroupfs", "--network=host", "--pid=host", "--ipc=host"]
    # Root has its own id inside anyway, and podman refuses to keep it. The capability opens `/proc/<raylet>/fd`, where
    # the file is to which objects go for which there is no memory.
    command.append("--cap-add=SYS_PTRACE" if as_root else "--userns=keep-id")
    command += [f"--env={name}" for name in variables]
    return shlex.join([*command, *run_options, "--entrypoint", "python", image])


class _ImagePlugin(RuntimeEnvPlugin):
    def __init__(self, session_dir: str) -> None:
        self._session_dir = session_dir

    def _contain(self, context: RuntimeEnvContext, image: str, options: list[str], worker_path: str | None) -> None:
        of_ray = [name for name in os.environ if name.startswith("RAY_")]
        variables = sorted({*of_ray, *_OF_THE_RAYLET, *context.env_vars})
        as_root = os.geteuid() == 0
        context.py_executable = podman_command(image, self._session_dir, variables, options, as_root=as_root)
        context.override_worker_entrypoint = worker_path or _WORKER_OF_THE_IMAGE


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
