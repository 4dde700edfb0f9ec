"""The fields `working_dir`, `py_modules` and `java_jars`: packages that are unpacked on the node."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ray._private.runtime_env import download, uris
from ray._private.runtime_env.commands import run
from ray._private.runtime_env.context import RuntimeEnvContext
from ray._private.runtime_env.plugin import RuntimeEnvPlugin

if TYPE_CHECKING:
    from ray.runtime_env import RuntimeEnv


def add_to_python_path(context: RuntimeEnvContext, paths: list[str]) -> None:
    """Put `paths` before whatever the worker's PYTHONPATH would be."""
    rest = context.env_vars.get("PYTHONPATH", "${PYTHONPATH}")
    context.env_vars["PYTHONPATH"] = ":".join([*paths, rest])


class _Packages(RuntimeEnvPlugin):
    """What the three have in common. `resources_dir`: of this node's environments."""

    folder = ""

    def __init__(self, resources_dir: Path, fetch: download.Fetch) -> None:
        self._base = resources_dir / self.folder
        self._fetch = fetch
        self._base.mkdir(parents=True, exist_ok=True)

    def path(self, uri: str) -> Path:
        if uri.startswith(f"{uris.Protocol.LOCAL}://"):
            return Path(uri.partition("://")[2])
        return self._base / uris.directory_name(uri)

    async def create(
        self, uri: str | None, runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> float:
        assert uri is not None
        return download.size_of(await download.fetch_package(uri, self._base, self._fetch, logger))

    def delete_uri(self, uri: str, logger: logging.Logger) -> float:
        if uri.startswith(f"{uris.Protocol.LOCAL}://"):
            return 0
        logger.info("Deleting %s.", uri)
        return download.remove(self.path(uri))


class WorkingDirPlugin(_Packages):
    """Workers run in it and import from it."""

    name = "working_dir"
    priority = 5
    folder = "working_dir_files"

    def get_uris(self, runtime_env: RuntimeEnv) -> list[str]:
        return [runtime_env.working_dir()] if runtime_env.has_working_dir() else []

    def modify_context(
        self, uris: list[str], runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        if uris:
            directory = str(self.path(uris[0]))
            context.command_prefix.append(f"cd {shlex.quote(directory)} &&")
            add_to_python_path(context, [directory])


class PyModulesPlugin(_Packages):
    """Workers import from them; wheels are installed into a directory of their own."""

    name = "py_modules"
    folder = "py_modules_files"

    def get_uris(self, runtime_env: RuntimeEnv) -> list[str]:
        return runtime_env.py_modules_uris()

    async def create(
        self, uri: str | None, runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> float:
        assert uri is not None
        directory = await download.fetch_package(uri, self._base, self._fetch, logger)
        wheels = list(directory.glob("*.whl")) if uri.endswith(".whl") else []
        if wheels:
            command = [sys.executable, "-m", "pip", "install", "--target", str(directory)]
            await run([*command, "--disable-pip-version-check", str(wheels[0])], logger)
            wheels[0].unlink()
        return download.size_of(directory)

    def modify_context(
        self, uris: list[str], runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        if uris:
            add_to_python_path(context, [str(self.path(uri)) for uri in uris])


class JavaJarsPlugin(_Packages):
    """Java workers have them on their class path."""

    name = "java_jars"
    folder = "java_jars_files"

    def get_uris(self, runtime_env: RuntimeEnv) -> list[str]:
        return runtime_env.java_jars()

    def modify_context(
        self, uris: list[str], runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        context.java_jars += [str(self.path(uri)) for uri in uris]
