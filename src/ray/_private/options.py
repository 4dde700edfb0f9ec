"""The options that users give to tasks, actors and methods: the table of them, and their checks.

`check_*` refuse what cannot be right as soon as it is written; `engine_options.py` turns the rest into the engine's
terms when the first call is made (some of it depends on the session).
Source: Ray docs, "ray.remote", "ray.method"; the kinds of errors are those that Ray 2.60 raises.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

SMALLEST = 0.0001
"""The smallest amount of a resource; also its precision."""
WHOLE_RESOURCES = ("neuron_cores", "HPU", "RBLN", "FURIOSA", "MBLT")
TPU_COUNTS = (1, 2, 4, 8)


@dataclasses.dataclass(frozen=True)
class Option:
    """`kinds`: types accepted, None's included. `check` raises ValueError for a value out of range."""

    kinds: tuple[type, ...]
    check: Callable[[str, Any], None] | None = None

    def accept(self, name: str, value: Any) -> None:
        if not isinstance(value, self.kinds):
            accepted = ", ".join("None" if kind is type(None) else kind.__name__ for kind in self.kinds)
            raise TypeError(f"The type of keyword '{name}' must be one of {accepted}, but received {type(value)}")
        if self.check is not None and value is not None:
            self.check(name, value)


_NONE = type(None)
_NUMBER = (float, int, _NONE)


def check_amount(name: str, value: float) -> None:
    """Refuse an amount of a resource that no scheduler could count."""
    if not isinstance(value, (int, float)):
        raise TypeError(f"The quantity of resource {name} is a number, not {type(value).__name__}")
    if value < 0:
        raise ValueError(f"The quantity of resource {name} cannot be negative: {value}")
    if 0 < value < SMALLEST:
        raise ValueError(f"The precision of the quantity of resource {name} cannot go beyond {SMALLEST}: {value}")


def _check_resources(name: str, resources: dict[str, float]) -> None:
    if "CPU" in resources or "GPU" in resources:
        raise ValueError("Use the 'num_cpus' and 'num_gpus' keywords instead of 'CPU' and 'GPU' in 'resources'.")
    for resource, amount in resources.items():
        check_amount(resource, amount)
        if resource in WHOLE_RESOURCES and amount != int(amount):
            raise ValueError(f"The quantity of {resource} must be a whole number, not {amount}.")
        if resource == "TPU" and amount and amount not in TPU_COUNTS:
            raise ValueError(f"A request of {amount} TPU is no supported configuration: {TPU_COUNTS}.")


def at_least(least: int, *, infinite: str = "") -> Callable[[str, Any], None]:
    def check(name: str, value: int) -> None:
        if value < least:
            raise ValueError(f"The keyword '{name}' is {least} or more{infinite}, not {value}.")

    return check


_COUNT = Option((int, _NONE), at_least(0))
_RETRIES = Option((int, _NONE), at_least(-1, infinite=" (-1: without limit)"))


def _check_retry_exceptions(name: str, value: Any) -> None:
    if not isinstance(value, bool) and not all(isinstance(e, type) and issubclass(e, Exception) for e in value):
        raise ValueError(f"{name} must be a boolean or a list of exception classes, not {value!r}.")


def _check_backpressure(name: str, value: int) -> None:
    if value == 0:
        raise ValueError(f"{name}=0 is not allowed: the generator could never yield. Use 1 or more, or -1 for none.")


def _check_items_per_yield(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be a positive integer, not {value}.")


def _check_num_returns(name: str, value: int | str) -> None:
    if isinstance(value, str):
        if value not in ("streaming", "dynamic"):
            raise TypeError(f"{name} is a number, 'streaming' or 'dynamic', not {value!r}.")
    elif value < 0:
        raise ValueError(f"{name} must be >= 0, but got {value}.")


def _check_lifetime(name: str, value: str) -> None:
    if value not in ("detached", "non_detached"):
        raise ValueError(f"The actor's {name} is 'detached', 'non_detached' or None, not {value!r}.")


def _check_runtime_env(name: str, value: Mapping[str, Any]) -> None:
    from ray._private.runtime_env.validation import check_only_uris
    from ray.runtime_env import RuntimeEnv

    check_only_uris(RuntimeEnv(**value))


_LABEL = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(rf"([A-Za-z0-9]([A-Za-z0-9.-]{{0,251}}[A-Za-z0-9])?/)?{_LABEL}")
_LABEL_SELECTOR = re.compile(rf"(!?({_LABEL})?)|(!?in\(\s*{_LABEL}(\s*,\s*{_LABEL})*\s*\))")


def check_label_selector(name: str, value: Mapping[str, str]) -> None:
    """Keys are label keys; values `v`, `!v`, `in(a,b)` or `!in(a,b)`."""
    for key, selector in value.items():
        if not isinstance(key, str) or not isinstance(selector, str):
            raise TypeError(f"{name} is a dict of str by str; this item is not: {key!r}: {selector!r}")
        if not _LABEL_KEY.fullmatch(key):
            raise ValueError(f"{name}: {key!r} is no label key (63 letters, digits, '-', '_', '.', alphanumeric ends).")
        if not _LABEL_SELECTOR.fullmatch(selector):
            raise ValueError(f"{name}: {selector!r} is none of value, !value, in(a,b), !in(a,b).")


def _check_fallback(name: str, value: list[Any]) -> None:
    for choice in value:
        if set(choice) != {"label_selector"} or not choice["label_selector"]:
            raise ValueError(f"Each item of {name} is {{'label_selector': {{…}}}} with at least one label: {choice}")
        check_label_selector("label_selector", choice["label_selector"])
    if value:
        raise NotImplementedError(f"{name} is not available yet; use label_selector alone.")


def _no_task_store_memory(name: str, value: int) -> None:
    raise ValueError(f"Setting '{name}' is not implemented for tasks.")


def _not_yet(name: str, value: Any) -> None:
    if value:
        raise NotImplementedError(f"{name}={value!r} is not available yet.")


def _check_actor_backpressure(name: str, value: int) -> None:
    if value == 0:
        raise ValueError(f"{name} must be above 0, or -1 for no limit.")


_COMMON = {
    "label_selector": Option((dict, _NONE), check_label_selector),
    "fallback_strategy": Option((list, _NONE), _check_fallback),
    "accelerator_type": Option((str, _NONE)),
    "memory": Option(_NUMBER, check_amount),
    "name": Option((str, _NONE)),
    "num_cpus": Option(_NUMBER, check_amount),
    "num_gpus": Option(_NUMBER, check_amount),
    "object_store_memory": Option((int, _NONE), at_least(0)),
    "placement_group": Option((object,)),  # its type is checked with the strategy's
    "placement_group_bundle_index": Option((int,)),
    "placement_group_capture_child_tasks": Option((bool, _NONE)),
    "resources": Option((dict, _NONE), _check_resources),
    "runtime_env": Option((dict, _NONE), _check_runtime_env),
    "scheduling_strategy": Option((object,)),
    "enable_task_events": Option((bool,)),
    "_labels": Option((dict, _NONE)),
}
_GENERATOR = {
    "_generator_backpressure_num_objects": Option((int, _NONE), _check_backpressure),
    "_num_objects_per_yield": Option((int, _NONE), _check_items_per_yield),
}
TASK_OPTIONS = {
    **_COMMON,
    "object_store_memory": Option((int, _NONE), _no_task_store_memory),
    "max_calls": _COUNT,
    "max_retries": _RETRIES,
    "num_returns": Option((int, str, _NONE), _check_num_returns),
    "retry_exceptions": Option((bool, list, tuple), _check_retry_exceptions),
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
            f"num_returns={num_returns!r} can only be used with generator functions (functions that use 'yield')."
        )


def _forbid(given: Mapping[str, Any], names: Iterable[str], text: str) -> None:
    for name in names:
        if name in given:
            raise ValueError(text.format(name))


def _forbid_items_per_yield(given: Mapping[str, Any], where: str) -> None:
    name = "_num_objects_per_yield"
    if given.get(name, 1) != 1:
        raise ValueError(f"{name} cannot be set for one call. Use {where}({name}=…) instead.")
