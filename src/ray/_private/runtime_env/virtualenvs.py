"""The fields `pip` and `uv`: a virtual environment on top of the node's own.

The new interpreter sees what the node's has (it is told by a .pth file, so that this works when the node itself runs
from a virtual environment), and what is installed into it comes first.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import site
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray._core.common import env_vars
from ray._private.runtime_env import download
from ray._private.runtime_env.commands import run
from ray._private.runtime_env.context import RuntimeEnvContext
from ray._private.runtime_env.plugin import RuntimeEnvPlugin
from ray._version import VERSION

if TYPE_CHECKING:
    from ray.runtime_env import RuntimeEnv

WORKING_DIR_VARIABLE = "RAY_RUNTIME_ENV_CREATE_WORKING_DIR"
"""Requirements may refer to the environment's working_dir by it."""
PIP_OPTIONS = ("--disable-pip-version-check", "--no-cache-dir")


def interpreter_of(virtualenv: Path) -> Path:
    return virtualenv / "bin" / "python"


def site_packages_of(virtualenv: Path) -> Path:
    scheme = sysconfig.get_path("purelib", "venv", vars={"base": str(virtualenv), "platbase": str(virtualenv)})
    return Path(scheme)


def inherited_directories() -> list[str]:
    """Where this interpreter's packages lie."""
    own = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    ours = str(Path(__file__).parents[3])  # whatever says where the node finds ray, it is this one
    return [directory for directory in dict.fromkeys([ours, *own]) if os.path.isdir(directory)]


async def create_virtualenv(target: Path, logger: logging.Logger) -> None:
    """An environment without pip of its own, that sees this interpreter's packages."""
    await run([sys.executable, "-m", "venv", "--without-pip", str(target)], logger)
    packages = site_packages_of(target)
    additions = "; ".join(f"site.addsitedir({directory!r})" for directory in inherited_directories())
    (packages / "_ray_inherited.pth").write_text(f"import site; {additions}\n")
    _pretend_ray(packages)
    if importlib.util.find_spec("pip") is None:
        await run([str(interpreter_of(target)), "-m", "ensurepip"], logger)


def _pretend_ray(packages: Path) -> None:
    """Tell installers that `ray` is there: packages that require it must not bring another one."""
    info = packages / f"ray-{VERSION}.dist-info"
    info.mkdir()
    extras = "".join(f"Provides-Extra: {extra}\n" for extra in ("default", "client", "serve", "tune", "rllib", "data"))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ray\nVersion: {VERSION}\n{extras}")
    (info / "INSTALLER").write_text("runtime_env\n")
    (info / "RECORD").write_text("".join(f"{info.name}/{name},,\n" for name in ("METADATA", "INSTALLER", "RECORD")))


def check_ray(virtualenv: Path) -> None:
    """Raises ValueError when something has brought another ray into the environment."""
    packages = site_packages_of(virtualenv)
    if (packages / "ray").exists() or (packages / "ray.py").exists():
        names = [info.name for info in packages.glob("ray-*.dist-info")]
        versions = ", ".join(name.removeprefix("ray-").removesuffix(".dist-info") for name in names) or "?"
        raise ValueError(
            f"Changing the ray version is not allowed: the environment would have ray {versions}, the cluster "
            f"runs {VERSION}. Take ray out of the packages to install."
        )


class _VirtualenvPlugin(RuntimeEnvPlugin):
    """What pip and uv have in common. `resources_dir`: of this node's environments."""

    def __init__(self, resources_dir: Path) -> None:
        assert self.name is not None
        self._base = resources_dir / self.name
        self._base.mkdir(parents=True, exist_ok=True)

    def path(self, uri: str) -> Path:
        """Of everything of this URI; the environment is `virtualenv` in it."""
        return self._base / uri.partition("://")[2]

    def get_uris(self, runtime_env: RuntimeEnv) -> list[str]:
        uri = runtime_env.pip_uri() if self.name == "pip" else runtime_env.uv_uri()
        return [uri] if uri else []

    async def create(
        self, uri: str | None, runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> float:
        assert uri is not None
        target = self.path(uri)
        done = target / "done"
        if not done.exists():
            shutil.rmtree(target, ignore_errors=True)  # of an attempt that did not come to its end
            target.mkdir(parents=True)
            try:
                await self._build(target, runtime_env, context, logger)
            except BaseException:
                shutil.rmtree(target, ignore_errors=True)
                raise
            done.touch()
        return download.size_of(target)

    async def _build(
        self, target: Path, runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        virtualenv = target / "virtualenv"
        await create_virtualenv(virtualenv, logger)
        config = runtime_env.pip_config() if self.name == "pip" else runtime_env.uv_config()
        requirements = target / "ray_runtime_env_internal_pip_requirements.txt"
        requirements.write_text("\n".join(config["packages"]) + "\n")
        env = dict(os.environ)
        env_vars.apply(context.env_vars, env)
        await self._install(interpreter_of(virtualenv), requirements, config, env, logger)
        check_ray(virtualenv)

    async def _install(
        self, python: Path, requirements: Path, config: dict[str, Any], env: dict[str, str], logger: logging.Logger
    ) -> None:
        raise NotImplementedError

    def modify_context(
        self, uris: list[str], runtime_env: RuntimeEnv, context: RuntimeEnvContext, logger: logging.Logger
    ) -> None:
        if not uris:
            return
        virtualenv = self.path(uris[0]) / "virtualenv"
        if not virtualenv.exists():
            raise ValueError(f"The environment {virtualenv} is gone although it is in use.")
        context.py_executable = str(interpreter_of(virtualenv))
        context.env_vars["VIRTUAL_ENV"] = str(virtualenv)
        context.env_vars["PATH"] = f"{virtualenv / 'bin'}:{context.env_vars.get('PATH', '${PATH}')}"

    def delete_uri(self, uri: str, logger: logging.Logger) -> float:
        logger.info("Deleting %s.", uri)
        return download.remove(self.path(uri))


def _version_requirement(tool: str, version: str | None) -> str:
    """`pip_version` is a specifier ("==22.0"); a bare number is one too."""
    if version and version[0].isdigit():
        return f"{tool}=={version}"
    return f"{tool}{version or ''}"


class PipPlugin(_VirtualenvPlugin):
    name = "pip"

    async def _install(
        self, python: Path, requirements: Path, config: dict[str, Any], env: dict[str, str], logger: logging.Logger
    ) -> None:
        pip: Sequence[str] = (str(python), "-m", "pip")
        if version := config.get("pip_version"):
            wanted = _version_requirement("pip", version)
            await run([*pip, "install", *PIP_OPTIONS, "--ignore-installed", wanted], logger, env=env)
        options = config.get("pip_install_options")
        await run(
            [*pip, "install", "-r", str(requirements), *(PIP_OPTIONS if options is None else options)],
            logger,
            env=env,
            cwd=str(requirements.parent),
        )
        if config.get("pip_check"):
            await run([*pip, "check", "--disable-pip-version-check"], logger, env=env)


class UvPlugin(_VirtualenvPlugin):
    name = "uv"

    async def _install(
        self, python: Path, requirements: Path, config: dict[str, Any], env: dict[str, str], logger: logging.Logger
    ) -> None:
        uv = await self._find_uv(python, config.get("uv_version"), env, logger)
        options = config.get("uv_pip_install_options") or []
        command = [*uv, "pip", "install", "--python", str(python), "-r", str(requirements), *options]
        await run(command, logger, env=env, cwd=str(requirements.parent))
        if config.get("uv_check"):
            await run([*uv, "pip", "check", "--python", str(python)], logger, env=env)

    async def _find_uv(
        self, python: Path, version: str | None, env: dict[str, str], logger: logging.Logger
    ) -> list[str]:
        """The node's uv, or one of the wanted version (or any, when there is none), installed into the environment."""
        if version is None:
            if found := shutil.which("uv"):
                return [found]
            if importlib.util.find_spec("uv") is not None:
                return [sys.executable, "-m", "uv"]
        wanted = _version_requirement("uv", version)
        await run([str(python), "-m", "pip", "install", *PIP_OPTIONS, "--ignore-installed", wanted], logger, env=env)
        return [str(python), "-m", "uv"]
