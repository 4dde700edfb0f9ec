"""The options that users give to tasks, actors and methods: the table of them, and their checks.

`check_*` refuse what cannot be right as soon as it is written; `engine_options.py` turns the rest into the engine's
terms when the first call is made (some of it depends on the session).
Source: Ray docs, "ray.remote", "ray.method"; the kinds of errors are those that Ray 2.60 raises.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ray._private.label_utils import validate_fallback_strategy, validate_label_selector

SMALLEST = 0.0001
"""The smallest amount of a resource; also its precision."""
WHOLE_RESOURCES = ("neuron_cores", "HPU", "RBLN", "FURIOSA", "MBLT", "TTNPU")
TPU_COUNTS = (1, 2, 4, 8)
MOST_URGENT = 1_000_000
"""The highest priority; the lowest is as far below 0."""


@dataclasses.dataclass(frozen=True)
class Option:
    """`kinds`: types accepted, None's included. `check` raises ValueError for a value out of range."""

    kinds: tuple[type, ...]
    check: Callable[[str, Any], None] | None = None

    def accept(self, name: str, value: Any) -> None:
        if not isinstance(value, self.kinds):
            accepted = self.kinds if len(self.kinds) > 1 else self.kinds[0]
            raise TypeError(f"The type of keyword '{name}' must be {accepted}, but received type {type(value)}")
        if self.check is not None and value is not None:
            self.check(name, value)


_NONE = type(None)
_NUMBER = (float, int, _NONE)


def check_amount(name: str, value: float) -> None:
    """Refuse an amount of a resource that no scheduler could count."""
    if not isinstance(value, (int, float)):
        raise TypeError(f"The quantity of resource {name} is a number, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"The quantity of resource {name} cannot be negative, as {value} is")
    if 0 < value < SMALLEST:
        raise ValueError(
            f"The precision of the fractional quantity of resource {name} cannot go beyond {SMALLEST}, as {value} does"
        )


def _check_resources(name: str, resources: dict[str, float]) -> None:
    if "CPU" in resources or "GPU" in resources:
        raise ValueError("Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' keyword")
    for resource, amount in resources.items():
        check_amount(resource, amount)
        if resource in WHOLE_RESOURCES and amount != int(amount):
            raise ValueError(f"The quantity of {resource} must be a whole number, not {amount}.")
        if resource == "TPU" and amount and amount not in TPU_COUNTS:
            raise ValueError(f"A request of {amount} TPU is no supported configuration: {TPU_COUNTS}.")


def _check_count(name: str, value: int) -> None:
    if value < 0:
        raise ValueError(f"The keyword '{name}' only accepts None, 0 or a positive integer, not {value}.")


def _check_retries(name: str, value: int) -> None:
    if value < -1:
        raise ValueError(
            f"The keyword '{name}' only accepts None, 0, -1 or a positive integer, where -1 represents infinity; "
            f"not {value}."
        )


_COUNT = Option((int, _NONE), _check_count)
_RETRIES = Option((int, _NONE), _check_retries)


def _check_retry_exceptions(name: str, value: Any) -> None:
    if not isinstance(value, bool) and not all(isinstance(e, type) and issubclass(e, Exception) for e in value):
        raise ValueError(f"{name} must be either a boolean or a list of exceptions, not {value!r}.")


def _check_backpressure(name: str, value: int) -> None:
    if value == 0:
        raise ValueError(
            f"{name}=0 is not allowed: the generator could never yield. Use a value > 0, or -1 for no back-pressure."
        )


def _check_items_per_yield(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be a positive integer, not {value}.")


def _check_timeout(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is a finite number of seconds above 0, or None for no limit; not {value}.")


def _check_num_returns(name: str, value: int | str) -> None:
    if isinstance(value, str):
        if value not in ("streaming", "dynamic"):
            raise TypeError(f"{name} is a number, 'streaming' or 'dynamic', not {value!r}.")
        if value == "dynamic":
            _warn(f"{name}='dynamic' is deprecated: a generator function streams its items by itself.")
    elif value < 0:
        raise ValueError(
            f"The keyword '{name}' only accepts None, a non-negative integer, 'streaming' (for generators), or "
            f"'dynamic', not {value}. For None it is 1, and 'streaming' for generators."
        )


def _warn_store_memory(name: str, value: int) -> None:
    _check_count(name, value)
    _warn(f"Setting '{name}' for actors is deprecated: it reserves nothing.")


def _warn(text: str) -> None:
    """At the user's line, or near it: options come by several ways."""
    from ray.util.annotations import RayDeprecationWarning

    warnings.warn(text, RayDeprecationWarning, stacklevel=7)


def _check_lifetime(name: str, value: str) -> None:
    if value not in ("detached", "non_detached"):
        raise ValueError(
            f"actor `{name}` argument must be one of 'detached', 'non_detached' and 'None', not {value!r}."
        )


def _check_runtime_env(name: str, value: Mapping[str, Any]) -> None:
    from ray._private.runtime_env.validation import check_only_uris
    from ray.runtime_env import RuntimeEnv

    check_only_uris(RuntimeEnv(**value))


def check_label_selector(name: str, value: Mapping[str, str]) -> None:
    wrong = validate_label_selector(value)
    if wrong:
        raise ValueError(wrong)


def _check_fallback(name: str, value: list[Any]) -> None:
    wrong = validate_fallback_strategy(value)
    if wrong:
        raise ValueError(wrong)


def _no_task_store_memory(name: str, value: int) -> None:
    raise ValueError(f"Setting '{name}' is not implemented for tasks")


def _not_yet(name: str, value: Any) -> None:
    if value:
        raise NotImplementedError(f"{name}={value!r} is not available yet.")


def _check_actor_backpressure(name: str, value: int) -> None:
    if value == 0:
        raise ValueError(f"{name} must be above 0, or -1 for no limit.")


def _check_priority(name: str, value: int) -> None:
    if abs(value) > MOST_URGENT:
        raise ValueError(f"{name} is an int from {-MOST_URGENT} to {MOST_URGENT}, higher first; not {value}.")


_COMMON = {
    "label_selector": Option((dict, _NONE), check_label_selector),
    "fallback_strategy": Option((list, _NONE), _check_fallback),
    "accelerator_type": Option((str, _NONE)),
    "memory": Option(_NUMBER, check_amount),
    "name": Option((str, _NONE)),
    "num_cpus": Option(_NUMBER, check_amount),
    "num_gpus": Option(_NUMBER, check_amount),
    "object_store_memory": Option((int, _NONE), _warn_store_memory),
    "placement_group": Option((object,)),  # its type is checked with the strategy's
    "placement_group_bundle_index": Option((int,)),
    "placement_group_capture_child_tasks": Option((bool, _NONE)),
    "resources": Option((dict, _NONE), _check_resources),
    "runtime_env": Option((dict, _NONE), _check_runtime_env),
    "scheduling_strategy": Option((object,)),
    "enable_task_events": Option((bool,)),
    "_labels": Option((dict, _NONE)),
    "priority": Option((int, _NONE), _check_priority),  # our own: see docs/timeouts_and_priorities.md
}
_GENERATOR = {
    "_generator_backpressure_num_objects": Option((int, _NONE), _check_backpressure),
    "_num_objects_per_yield": Option((int, _NONE), _check_items_per_yield),
}
_TIMEOUT = Option(_NUMBER, _check_timeout)
"""Our own, beyond Ray's: see docs/timeouts_and_priorities.md."""
TASK_OPTIONS = {
    **_COMMON,
    "object_store_memory": Option((int, _NONE), _no_task_store_memory),
    "max_calls": _COUNT,
    "max_retries": _RETRIES,
    "num_returns": Option((int, str, _NONE), _check_num_returns),
    "retry_exceptions": Option((bool, list, tuple), _check_retry_exceptions),
    "timeout": _TIMEOUT,
    **_GENERATOR,
}
ACTOR_OPTIONS = {
    **_COMMON,
    "concurrency_groups": Option((list, dict, _NONE)),
    "enable_tensor_transport": Option((bool, _NONE), _not_yet),
    "lifetime": Option((str, _NONE), _check_lifetime),
    "max_concurrency": _COUNT,
    "max_restarts": _RETRIES,
    "max_task_retries": _RETRIES,
    "max_pending_calls": _RETRIES,
    "namespace": Option((str, _NONE)),
    "get_if_exists": Option((bool,)),
    "allow_out_of_order_execution": Option((bool, _NONE)),
    "_actor_generator_backpressure_num_objects": Option((int, _NONE), _check_actor_backpressure),
}
METHOD_OPTIONS = {
    "num_returns": Option((int, str, _NONE), _check_num_returns),
    "concurrency_group": Option((str, _NONE)),
    "max_task_retries": _RETRIES,
    "retry_exceptions": Option((bool, list, tuple, _NONE), _check_retry_exceptions),
    "enable_task_events": Option((bool, _NONE)),
    "tensor_transport": Option((str, _NONE), _not_yet),
    "timeout": _TIMEOUT,
    **_GENERATOR,
}
CALL_OPTIONS = {**METHOD_OPTIONS, "name": Option((str, _NONE)), "_labels": Option((dict, _NONE))}
"""What `.options()` of an actor's method takes."""


def _check(table: Mapping[str, Option], given: Mapping[str, Any], what: str) -> None:
    for name, value in given.items():
        option = table.get(name)
        if option is None:
            raise ValueError(f"Invalid option keyword {name} for {what}. Valid ones are {list(table)}.")
        option.accept(name, value)
    strategy = given.get("scheduling_strategy")
    if strategy is not None and not isinstance(strategy, str):
        from ray._private.strategies import check_type

        check_type(strategy)
    group = given.get("placement_group", "default")
    if group is not None and not isinstance(group, str):
        from ray._private.strategies import check_group_type

        check_group_type(group)


def check_task_options(given: Mapping[str, Any], *, is_generator: bool, override: bool = False) -> None:
    """Refuse wrong options of a remote function.

    Args:
        override: they come from `.options()`, where some are not allowed.
    Raises:
        ValueError, TypeError: as `Option` says.
    """
    if override:
        _forbid(given, ("max_calls",), "Setting '{}' is not supported in '.options()'.")
        _forbid_items_per_yield(given, "@ray.remote")
    _check(TASK_OPTIONS, given, "remote functions")
    check_streaming(given.get("num_returns"), is_generator)


def check_actor_options(given: Mapping[str, Any], *, override: bool = False) -> None:
    """Refuse wrong options of an actor class. Raises as `check_task_options`.

    Options that `.options()` adds are checked by themselves and together with the older ones.
    """
    if override:
        _forbid(given, ("concurrency_groups",), "Setting '{}' is not supported in '.options()'.")
    _check(ACTOR_OPTIONS, given, "actors")
    if not override and given.get("get_if_exists") and not given.get("name"):
        raise ValueError("The actor name must be specified to use `get_if_exists`.")


def check_method_options(given: Mapping[str, Any]) -> None:
    """Refuse wrong options of `@ray.method`. Raises AssertionError for an unknown one, as Ray does."""
    for name in given:
        assert name in METHOD_OPTIONS, (
            f"Unexpected keyword argument to @ray.method: '{name}'. "
            f"The supported keyword arguments are {list(METHOD_OPTIONS)}."
        )
    _check(METHOD_OPTIONS, given, "actor methods")


def check_call_options(given: Mapping[str, Any], *, is_generator: bool) -> None:
    """Refuse wrong options of `handle.method.options()`."""
    unknown = [name for name in given if name not in CALL_OPTIONS]
    if unknown:
        raise TypeError(f"Unknown option {unknown[0]!r} of an actor method. Valid ones are {list(CALL_OPTIONS)}.")
    _forbid_items_per_yield(given, "@ray.method")
    _check(CALL_OPTIONS, given, "actor methods")
    check_streaming(given.get("num_returns"), is_generator)


def check_streaming(num_returns: Any, is_generator: bool) -> None:
    if isinstance(num_returns, str) and not is_generator:
        raise ValueError(
            f"num_returns={num_returns!r} can only be used with generator functions (functions that use 'yield'). "
            "The decorated function is not a generator function."
        )


def _forbid(given: Mapping[str, Any], names: Iterable[str], text: str) -> None:
    for name in names:
        if name in given:
            raise ValueError(text.format(name))


def _forbid_items_per_yield(given: Mapping[str, Any], where: str) -> None:
    name = "_num_objects_per_yield"
    if given.get(name, 1) != 1:
        raise ValueError(f"{name} cannot be set for one call. Use {where}({name}=…) instead.")
