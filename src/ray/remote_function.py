"""Remote functions: what `@ray.remote` makes of a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ray._core.common.errors import RaySystemError
from ray._core.common.options import Placing, TaskOptions
from ray._core.common.resources import UNIT, to_fixed
from ray._core.worker.submitter import Template

_KNOWN = ("max_retries", "memory", "name", "num_cpus", "num_gpus", "num_returns", "resources", "retry_exceptions")


def task_options(function: Callable[..., Any], given: Mapping[str, Any]) -> TaskOptions:
    """Check what the user wrote.

    Raises:
        ValueError: an unknown option, or a value out of range.
        TypeError: a value of a wrong type.
    """
    unknown = sorted(set(given) - set(_KNOWN))
    if unknown:
        raise ValueError(f"Invalid option keyword {unknown[0]} for remote functions. Valid ones are {list(_KNOWN)}.")
    amounts = {"CPU": 1 if given.get("num_cpus") is None else given["num_cpus"]}
    amounts |= {"GPU": given.get("num_gpus") or 0, "memory": given.get("memory") or 0}
    custom = given.get("resources") or {}
    if not isinstance(custom, dict):
        raise TypeError(f"resources is a dict of amounts by name, not {type(custom).__name__}.")
    if {"CPU", "GPU"} & set(custom):
        raise ValueError("Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources'.")
    for name, amount in (amounts | custom).items():
        if not isinstance(amount, (int, float)):
            raise TypeError(f"The amount of {name} is a number, not {type(amount).__name__}.")
        if amount < 0 or 0 < amount < 1 / UNIT:
            raise ValueError(f"The amount of {name} is 0 or at least {1 / UNIT}, not {amount}.")
    num_returns = 1 if given.get("num_returns") is None else given["num_returns"]
    max_retries = 3 if given.get("max_retries") is None else given["max_retries"]
    for name, value, least in (("num_returns", num_returns, 0), ("max_retries", max_retries, -1)):
        if not isinstance(value, int):
            raise TypeError(f"{name} is an int, not {type(value).__name__}.")
        if value < least:
            raise ValueError(f"{name} is {least} or more, not {value}.")
    retry = given.get("retry_exceptions") or False
    if not isinstance(retry, bool):
        retry = tuple(retry)
        if not all(isinstance(each, type) and issubclass(each, Exception) for each in retry):
            raise ValueError("retry_exceptions is a bool or a list of subclasses of Exception.")
    return TaskOptions(
        placing=Placing(resources=to_fixed(amounts | custom)),
        name=given.get("name") or function.__name__,
        function_name=f"{function.__module__}.{function.__qualname__}",
        num_returns=num_returns,
        max_retries=max_retries,
        retry_exceptions=retry,
    )


class RemoteFunction:
    """A function whose calls are tasks: `f.remote(…)` starts one and returns its ref (or refs) at once."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        if inspect.iscoroutinefunction(function):
            raise ValueError("'async def' should not be used for remote tasks. You can wrap the async function.")
        self._function = function
        self._given = dict(options)
        self._options = task_options(function, options)
        self._signature = inspect.signature(function)
        self._session: object = None
        self._template: Template | None = None
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"Remote functions cannot be called directly. Instead of running '{self.__name__}()', "
            f"try '{self.__name__}.remote()'."
        )

    def options(self, **options: Any) -> RemoteFunction:
        """The same function with other options; this one stays as it is."""
        return RemoteFunction(self._function, self._given | options)

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Start a task. Raises TypeError for arguments that do not fit the signature or cannot be pickled."""
        from ray._private.worker import connected

        core = connected()
        if self._session is not core.session_token or self._template is None:
            self._template = core.template(self._function, self._options)
            self._session = core.session_token
        self._signature.bind(*args, **kwargs)
        try:
            refs = core.submit(self._template, args, kwargs)
        except RaySystemError:
            raise
        except Exception as error:
            raise TypeError(f"Could not serialize an argument of the task {self.__name__}: {error}") from error
        return refs[0] if len(refs) == 1 else refs or None

    def __reduce__(self) -> Any:
        return RemoteFunction, (self._function, self._given)
