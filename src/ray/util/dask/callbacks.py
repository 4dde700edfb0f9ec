"""What a program may be told of a graph that runs on Ray, while it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

_HOOKS = ("presubmit", "postsubmit", "pretask", "posttask", "postsubmit_all", "finish")


class RayDaskCallback:
    """Told of all graphs that are computed in a `with` block of it, or between `register` and `unregister`.

    Subclasses define the methods they want; each may also be given to the constructor as a function.

    - `_ray_presubmit(task, key, deps)`: before it is submitted; what it returns, unless None, is the result instead.
    - `_ray_postsubmit(task, key, deps, object_ref)`: after that.
    - `_ray_pretask(key, object_refs)`: in the worker, before the task runs; what it returns is handed to the next.
    - `_ray_posttask(key, result, pre_state)`: in the worker, after it.
    - `_ray_postsubmit_all(object_refs, dsk)`: all are submitted.
    - `_ray_finish(result)`: all are done.
    """

    ray_active: ClassVar[list[RayDaskCallback]] = []

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        """Args: hooks: functions by name, without underscore: `ray_presubmit=…`. Raises TypeError for other names."""
        for name, function in hooks.items():
            if name.removeprefix("ray_") not in _HOOKS:
                raise TypeError(f"RayDaskCallback has no hook {name}; there are {[f'ray_{hook}' for hook in _HOOKS]}.")
            setattr(self, f"_{name}", function)

    def __enter__(self) -> Self:
        self.register()
        return self

    def __exit__(self, *args: object) -> None:
        self.unregister()

    def register(self) -> None:
        self.ray_active.append(self)

    def unregister(self) -> None:
        self.ray_active.remove(self)


def hooks(name: str, callbacks: list[RayDaskCallback]) -> list[Callable[..., Any]]:
    """The functions of that name, of those that have one."""
    found = (getattr(callback, f"_ray_{name}", None) for callback in callbacks)
    return [function for function in found if function is not None]
