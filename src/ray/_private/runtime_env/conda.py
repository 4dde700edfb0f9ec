"""The field `conda`: an environment of conda's, built from a description or there already."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ray._private.not_included import absent_names
from ray._private.runtime_env import download
from ray._private.runtime_env.commands import run
from ray._private.runtime_env.context import RuntimeEnvContext
from ray._private.runtime_env.plugin import RuntimeEnvPlugin
from ray._private.runtime_env.virtualenvs import inherited_directories

if TYPE_CHECKING:
    from ray.runtime_env import RuntimeEnv


def conda_executable() -> str:
    """Where conda is: RAY_CONDA_HOME, else CONDA_EXE, else the PATH. Raises ValueError when nowhere."""
    home = os.environ.get("RAY_CONDA_HOME")
    candidates = [os.path.join(home, "bin", "conda")] if home else []
    candidates += [os.environ.get("CONDA_EXE", ""), shutil.which("conda") or ""]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise ValueError(
        "Could not find Conda on this node. Install it on all nodes, or say by RAY_CONDA_HOME or CONDA_EXE where it is."
    )


def activation(conda: str, environment: str) -> list[str]:
    """Shell commands that activate an environment, each with its "&&"; conda's own messages go to stderr."""
    script = Path(conda).parents[1] / "etc" / "profile.d" / "conda.sh"
    commands = [f". {shlex.quote(str(script))} &&"] if script.exists() else []
    return [*commands, f"conda activate {shlex.quote(environment)} 1>&2 &&"]


class CondaPlugin(RuntimeEnvPlugin):
    name = "conda"

    def __init__(self, resources_dir: Path) -> None:
        self._base = resources_dir / "conda"
        self._base.mkdir(parents=True, exist_ok=True)

    def path(self, uri: str) -> Path:
        return self._base / uri.partition("://")[2]

    def get_uris(self, runtime_env: RuntimeEnv) -> list[str]:
        uri = runtime_env.conda_uri()
        return [uri] if uri else []

    async def create(
        self, uri: str | None, runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> float:
        assert uri is not None
        conda, name = conda_executable(), runtime_env.conda_env_name()
        if name is not None:
            await self._check_exists(conda, name, logger)
            return 0
        target = self.path(uri)
        done = target / "ray_done"
        if not done.exists():
            shutil.rmtree(target, ignore_errors=True)
            description = self._base / f"{target.name}.yml"
            description.write_text(runtime_env.conda_config() or "{}")  # JSON is YAML
            command = [conda, "env", "create", "--file", str(description), "--prefix", str(target)]
            try:
                await run(command, logger)
            except BaseException:
                shutil.rmtree(target, ignore_errors=True)
                raise
            finally:
                description.unlink()
            _inject_ray(target)
            done.touch()
        return download.size_of(target)

    async def _check_exists(self, conda: str, name: str, logger: logging.Logger) -> None:
        if os.path.isabs(name):
            return  # looked at when the field was written
        listed = json.loads(await run([conda, "env", "list", "--json"], logger))["envs"]
        names = {os.path.basename(path) for path in listed} | {"base"}
        if name not in names:
            raise ValueError(
                f"The given conda environment '{name}' from the runtime env {{'conda': '{name}'}} doesn't exist from "
                f"the output of `conda env list --json`: {listed}."
            )

    def modify_context(
        self, uris: list[str], runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        if not uris:
            return
        environment = runtime_env.conda_env_name() or str(self.path(uris[0]))
        context.py_executable = "python"
        context.command_prefix += activation(conda_executable(), environment)

    def delete_uri(self, uri: str, logger: logging.Logger) -> float:
        return download.remove(self.path(uri))


def _inject_ray(environment: Path) -> None:
    """Let the environment's Python, if it is of this version, import the node's ray and what that needs."""
    if os.environ.get("RAY_RUNTIME_ENV_LOCAL_DEV_MODE") == "1":
        return
    packages = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    if packages.is_dir():
        additions = "; ".join(f"site.addsitedir({directory!r})" for directory in inherited_directories())
        (packages / "_ray_inherited.pth").write_text(f"import site; {additions}\n")


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "_current_py_version _get_conda_dict_with_ray_inserted _inject_ray_to_conda_site "
        "_resolve_install_from_source_ray_dependencies current_ray_pip_specifier get_uri inject_dependencies",
    )
