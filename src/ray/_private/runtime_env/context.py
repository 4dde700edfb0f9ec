"""`RuntimeEnvContext`: what the runtime-env agent found out about starting a worker in an environment.

Plug-ins change it by `modify_context`. It travels as JSON to the raylet, which forks a worker by it, or hands it to
setup_worker.py, whose process it turns into the worker.
Source: Ray docs, "Runtime environment plug-ins".
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ray._core.common import env_vars

_log = logging.getLogger(__name__)


class RuntimeEnvContext:
    """How a worker's process starts.

    Args:
        command_prefix: shell commands that run before it.
        env_vars: variables that are set first; `${NAME}` in a value stands for what NAME has so far.
        py_executable: the interpreter, as a shell command.
        override_worker_entrypoint: script to run instead of the worker's own.
        java_jars: class path of Java workers.
        resources_dir, container: what contexts of Ray 2.0 also say; kept for plug-ins of that time.
    """

    def __init__(
        self,
        command_prefix: list[str] | None = None,
        env_vars: dict[str, str] | None = None,
        py_executable: str | None = None,
        override_worker_entrypoint: str | None = None,
        java_jars: list[str] | None = None,
        resources_dir: str | None = None,
        container: dict[str, Any] | None = None,
    ) -> None:
        self.command_prefix = command_prefix or []
        self.env_vars = env_vars or {}
        self.py_executable = py_executable or sys.executable
        self.override_worker_entrypoint = override_worker_entrypoint
        self.java_jars = java_jars or []
        self.resources_dir = resources_dir
        self.container = container or {}

    def serialize(self) -> str:
        """JSON of the attributes."""
        return json.dumps(self.__dict__)

    @staticmethod
    def deserialize(json_string: str) -> RuntimeEnvContext:
        """From the JSON that `serialize` wrote. Raises TypeError for a name that is no attribute."""
        return RuntimeEnvContext(**json.loads(json_string))

    def exec_worker(self, passthrough_args: Sequence[str], language: Any) -> NoReturn:
        """Become the worker. The command is run by bash, since prefixes are shell code; the arguments are quoted."""
        env_vars.apply(self.env_vars, os.environ)
        command = self.command(passthrough_args, str(getattr(language, "name", language)).upper())
        _log.debug("Exec'ing worker with command: %s", command)
        os.execvp("bash", ["bash", "-c", command])

    def command(self, passthrough_args: Sequence[str], language: str) -> str:
        """The shell command of the worker. Pure."""
        arguments = list(passthrough_args)
        if language == "PYTHON":
            executable = [self.py_executable]
            if self.override_worker_entrypoint is not None and arguments:
                arguments[0] = self.override_worker_entrypoint
        elif language == "JAVA":
            jars = ":".join(os.path.join(jar, "*") if os.path.isdir(jar) else jar for jar in self.java_jars)
            options = next((index for index, each in enumerate(arguments) if each == "-cp"), None)
            if options is not None and jars:
                arguments[options + 1] = f"{arguments[options + 1]}:{jars}"
            executable = ["java"] if not arguments or arguments[0] != "java" else []
        else:
            executable = []
        return " ".join([*map(_joined, self.command_prefix), "exec", *executable, *map(shlex.quote, arguments)])


def _joined(prefix: str) -> str:
    """A prefix with the "&&" that joins it to what follows; plug-ins of Ray 2.0 leave it out."""
    return prefix if prefix.rstrip().endswith("&&") else f"{prefix} &&"
