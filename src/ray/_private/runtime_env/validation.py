"""The checks of each field of a runtime environment; each returns the field's normal form.

Reads requirement and conda files of the caller, nothing else. Texts and kinds of errors are those of Ray 2.60.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray._private.runtime_env import uris

AT_JOB_LEVEL = (
    "Passing directories or modules to be dynamically uploaded is only supported at the job level "
    "(i.e., passed to `ray.init`)."
)


def parse_and_validate_working_dir(value: Any) -> str:
    """A directory or archive of this machine, or a URI of an archive."""
    if not isinstance(value, (str, Path)):
        raise TypeError(f"`working_dir` must be a string, got {type(value)}.")
    text = str(value)
    if not uris.has_scheme(text):
        if not Path(text).expanduser().exists():
            raise ValueError(f"{text} is not a valid path.")
        return text
    _check_uri(text, "working_dir", uris.ARCHIVES)
    return text


def parse_and_validate_py_modules(value: Any) -> list[str]:
    """Directories, wheels or archives of this machine, or URIs of them."""
    if not isinstance(value, list):
        raise TypeError(f"`py_modules` must be a list of strings, got {type(value)}.")
    for each in value:
        if not isinstance(each, str):
            raise TypeError(f"`py_module` must be a string, got {type(each)}.")
        if uris.has_scheme(each):
            _check_uri(each, "py_modules", uris.MODULE_FILES)
        elif not Path(each).expanduser().exists():
            raise ValueError(f"{each} is not a valid path.")
    return list(value)


def check_only_uris(runtime_env: Mapping[str, Any]) -> None:
    """Tasks and actors may name packages, but only a job uploads directories. Raises ValueError."""
    modules = runtime_env.get("py_modules") or []
    for each in [runtime_env.get("working_dir"), *modules]:
        if isinstance(each, str) and each and not uris.is_uri(each):
            raise ValueError(f"{each} is not a valid URI. {AT_JOB_LEVEL}")


def _check_uri(text: str, field: str, endings: tuple[str, ...]) -> None:
    if not uris.is_uri(text):
        raise ValueError(f"{text} is not a valid URI. {AT_JOB_LEVEL}")
    scheme = text.partition("://")[0]
    if scheme != uris.Protocol.LOCAL and not text.lower().endswith(endings):
        raise ValueError(f"Only {', '.join(endings)} files are supported for {field} URIs; got {text}.")


def parse_and_validate_excludes(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"runtime_env['excludes'] must be of type List[str], got {type(value)}")
    return list(value)


def parse_and_validate_env_vars(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"runtime_env['env_vars'] must be of type Dict[str, str], got {type(value)}")
    for key, text in value.items():
        if not isinstance(key, str):
            raise TypeError(
                f"runtime_env['env_vars'] must be of type Dict[str, str], but the key {key} is of type {type(key)}"
            )
        if not isinstance(text, str):
            raise TypeError(
                f"runtime_env['env_vars'] must be of type Dict[str, str], but the value {text} is of type {type(text)}"
            )
    return dict(value)


# ------------------------------------------------------------------ packages


def parse_and_validate_pip(value: Any) -> dict[str, Any] | None:
    """`{"packages": […], "pip_check": …, …}`; None when there is nothing to install."""
    fields: dict[str, type] = {"packages": list, "pip_check": bool, "pip_install_options": list, "pip_version": str}
    names = "packages, pip_check, pip_install_options and pip_version"
    result = _installation(value, "pip", fields, names, "str or List[str]")
    if result is None:
        return None
    result.setdefault("pip_check", False)
    return result


def parse_and_validate_uv(value: Any) -> dict[str, Any] | None:
    """As `parse_and_validate_pip`, for uv."""
    fields: dict[str, type] = {"packages": list, "uv_check": bool, "uv_version": str, "uv_pip_install_options": list}
    names = "packages, uv_check, uv_version and uv_pip_install_options"
    result = _installation(value, "uv", fields, names, "List[str], or dict")
    if result is None:
        return None
    result.setdefault("uv_check", False)
    if isinstance(value, dict):
        result.setdefault("uv_pip_install_options", ["--no-cache"])
    return result


def _installation(
    value: Any, tool: str, fields: Mapping[str, type], names: str, accepted: str
) -> dict[str, Any] | None:
    if isinstance(value, (str, list)):
        value = {"packages": value}
    if not isinstance(value, dict):
        raise TypeError(f"runtime_env['{tool}'] must be of type {accepted}, got {type(value)}")
    if not set(value) <= set(fields):
        raise ValueError(f"runtime_env['{tool}'] can only have these fields: {names}, but got: {list(value)}")
    for name, kind in fields.items():
        if name != "packages" and name in value:
            _check_kind(f"runtime_env['{tool}']['{name}']", value[name], kind)
    if "packages" not in value:
        raise ValueError(f"runtime_env['{tool}'] must include field 'packages', but got {value}")
    packages = value["packages"]
    if isinstance(packages, str):
        packages = _requirements(packages)
    if not isinstance(packages, list):
        raise TypeError(f"runtime_env['{tool}']['packages'] must be of type str or List[str], got {type(packages)}")
    for package in packages:
        if not isinstance(package, str):
            raise TypeError(f"runtime_env['{tool}'] must be a list of str; this item is not: {package!r}")
    if not packages:
        return None
    return {**value, "packages": list(dict.fromkeys(packages))}


def _check_kind(name: str, value: Any, kind: type) -> None:
    if kind is list and isinstance(value, list):
        for number, item in enumerate(value):
            if not isinstance(item, str):
                raise TypeError(f"{name} must be of type list[str] got {type(item)} for {number}-th item.")
    elif not isinstance(value, kind):
        shown = "list[str] got" if kind is list else f"{kind.__name__}, got"
        raise TypeError(f"{name} must be of type {shown} {type(value)}")


def _requirements(path: str) -> list[str]:
    file = Path(path).expanduser()
    if not file.is_file():
        raise ValueError(f"{file} is not a valid file")
    return [line for line in file.read_text().splitlines() if line.strip()]


def parse_and_validate_conda(value: Any) -> str | dict[str, Any]:
    """The content of a conda file, the name of an environment, or its absolute path."""
    if sys.platform == "win32":
        raise NotImplementedError("The 'conda' field of runtime_env is not available on Windows.")
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        raise TypeError(f"runtime_env['conda'] must be of type str or dict, got {type(value)}.")
    file = Path(value).expanduser()
    if file.suffix in (".yaml", ".yml"):
        if not file.is_file():
            raise ValueError(f"Can't find conda YAML file {file}.")
        content: dict[str, Any] = _load_yaml(file)
        return content
    if file.is_absolute():
        if not file.is_dir():
            raise ValueError(f"Can't find conda env directory {file}.")
        return str(file)
    return value


def _load_yaml(file: Path) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ImportError(f"To read {file}, install PyYAML, or pass its content as a dict.") from error
    try:
        return yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"Failed to read conda file {file}: {error}.") from error


# ------------------------------------------------------------------ fields against each other


def check_together(fields: Mapping[str, Any]) -> None:
    """Raises ValueError or TypeError for fields that exclude each other, or that lack one they belong to."""
    given = {name for name, value in fields.items() if value is not None}
    installers = [fields.get(name) for name in ("pip", "conda", "uv")]
    if sum(map(bool, installers)) > 1:
        raise ValueError(
            "The 'pip' field, 'uv' field, and 'conda' field of runtime_env cannot be specified at the same time.\n"
            f"specified pip field: {installers[0]}\n"
            f"specified conda field: {installers[1]}\n"
            f"specified uv field: {installers[2]}\n"
            "To use pip with conda, please only set the 'conda'field, and specify your pip dependencies "
            "within the conda YAML config dict: see https://conda.io/projects/conda/en/latest/user-guide/tasks/"
            "manage-environments.html#create-env-file-manually"
        )
    for name in ("container", "image_uri"):
        others = given - {name, "config", "env_vars"}
        if fields.get(name) and others:
            raise ValueError(
                f"The '{name}' field currently cannot be used together with other fields of runtime_env. "
                f"Specified fields: {others}"
            )


CHECKS: dict[str, Callable[[Any], Any]] = {
    "working_dir": parse_and_validate_working_dir,
    "py_modules": parse_and_validate_py_modules,
    "excludes": parse_and_validate_excludes,
    "env_vars": parse_and_validate_env_vars,
    "pip": parse_and_validate_pip,
    "uv": parse_and_validate_uv,
    "conda": parse_and_validate_conda,
}


def fingerprint(value: Any) -> str:
    """Equal content, equal text: SHA-1 of the sorted JSON, in hex."""
    import hashlib

    return hashlib.sha1(json.dumps(value, sort_keys=True).encode()).hexdigest()
