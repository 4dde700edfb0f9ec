"""Names of accelerator types: `@ray.remote(accelerator_type=ray.util.accelerators.NVIDIA_A100)`."""

from __future__ import annotations

import warnings

from ray.util.accelerators import accelerators
from ray.util.accelerators.accelerators import *  # noqa: F403 - constants only

_RENAMED = {"NVIDIA_TESLA_A100": "NVIDIA_A100"}


def __getattr__(name: str) -> str:
    new = _RENAMED.get(name)
    if new is None:
        raise AttributeError(f"module 'ray.util.accelerators' has no attribute {name!r}")
    from ray.util.annotations import RayDeprecationWarning

    warnings.warn(f"{name} is deprecated, use {new} instead.", RayDeprecationWarning, stacklevel=2)
    value: str = getattr(accelerators, new)
    return value


__all__ = [*(name for name in vars(accelerators) if name[0].isupper()), *_RENAMED]
