"""How a child's environment follows from its parent's. Pure.

Source: Ray docs, "Environment dependencies", "Inheritance": fields that the child names replace the parent's as a
whole, except `env_vars`, which are merged key by key; all others are inherited.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_INSTALLERS = ("pip", "uv", "conda")
_SELF_CONTAINED = ("container", "image_uri")


def merge_child(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """The environment of a task or actor with `child`, made by something that runs in `parent`.

    A child that names one of pip, uv and conda does not inherit another of them: they exclude each other. So a child
    in a container of its own inherits nothing but variables and config.
    """
    inherited = dict(parent)
    if any(child.get(name) for name in _INSTALLERS):
        for name in _INSTALLERS:
            inherited.pop(name, None)
    if any(child.get(name) for name in _SELF_CONTAINED):
        inherited = {name: value for name, value in inherited.items() if name in ("env_vars", "config")}
    result = {**inherited, **child}
    variables = {**(parent.get("env_vars") or {}), **(child.get("env_vars") or {})}
    if variables:
        result["env_vars"] = variables
    return result


def merge_job(job: Mapping[str, Any], driver: Mapping[str, Any], *, driver_wins: bool) -> dict[str, Any]:
    """The environment of a submitted job whose driver passes one to `ray.init` as well.

    Args:
        driver_wins: what RAY_OVERRIDE_JOB_RUNTIME_ENV=1 asks for.
    Raises:
        ValueError: both name the same field, or the same variable.
    """
    conflicts = sorted((set(job) & set(driver)) - {"env_vars"})
    variables = sorted(set(job.get("env_vars") or {}) & set(driver.get("env_vars") or {}))
    if (conflicts or variables) and not driver_wins:
        what = ", ".join(conflicts + [f"env_vars[{name!r}]" for name in variables])
        raise ValueError(
            "Failed to merge the Job's runtime env with the one of ray.init: both set "
            f"{what}. The job's: {dict(job)}; of ray.init: {dict(driver)}. Set each in one place only, or set "
            "RAY_OVERRIDE_JOB_RUNTIME_ENV=1 to let ray.init's win."
        )
    return merge_child(job, driver)


def normalized(runtime_env: Mapping[str, Any]) -> str:
    """JSON with sorted keys; "" for no environment at all. Equal environments have equal texts."""
    return json.dumps(runtime_env, sort_keys=True) if runtime_env else ""
