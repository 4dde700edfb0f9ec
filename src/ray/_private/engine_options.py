"""From checked user options to the engine's own (`ray._core.common.options`), when the first call needs them.

Only now can be known what depends on the session: the runtime environment that children inherit, the namespace.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ray._core.common.call_shape import CallShape
from ray._core.common.options import DYNAMIC, STREAMING, ActorOptions, MethodOptions, Placing, TaskOptions
from ray._core.common.resources import to_fixed
from ray._private.strategies import strategy_of

ASYNC_CONCURRENCY = 1000
"""Calls that an asyncio actor runs at once, unless max_concurrency says otherwise."""
ACCELERATOR_TYPE_AMOUNT = 0.001
"""What `accelerator_type` asks of the resource of that name: enough to be placed there, for a thousand of them."""


def task_options(
    given: Mapping[str, Any], *, name: str, function_name: str, is_generator: bool, parent_env: str
) -> TaskOptions:
    """Options of a remote function.

    Args:
        given: checked by `options.check_task_options`.
        name: of the function, shown where no name was given.
        parent_env: the runtime environment of this process, as JSON.
    Raises:
        ValueError: a scheduling strategy that cannot be.
    """
    max_calls = given.get("max_calls")
    if max_calls is None:
        max_calls = 1 if given.get("num_gpus") else 0  # a worker that used a GPU gives its memory back by ending
    max_retries = given.get("max_retries")
    return TaskOptions(
        placing=_placing(given, _amounts(given, default_cpus=1), parent_env, name),
        name=given.get("name") or name,
        function_name=function_name,
        num_returns=_num_returns(given.get("num_returns"), is_generator),
        max_retries=int(os.environ.get("RAY_TASK_MAX_RETRIES", 3)) if max_retries is None else max_retries,
        retry_exceptions=_retry_exceptions(given.get("retry_exceptions", False)),
        max_calls=max_calls,
        backpressure=_backpressure(given),
        items_per_yield=given.get("_num_objects_per_yield") or 1,
        timeout_s=given.get("timeout"),
        is_told=given.get("enable_task_events", True),
    )


def actor_options(
    given: Mapping[str, Any],
    *,
    class_name: str,
    is_async: bool,
    parent_env: str,
    namespace: str,
    detached_by_default: bool,
) -> ActorOptions:
    """Options of an actor.

    Args:
        given: checked by `options.check_actor_options`.
        namespace: the session's, for an actor that names none.
    Raises:
        ValueError: an empty name or namespace, or options that contradict each other.
    """
    if given.get("name") == "":
        raise ValueError("Actor name cannot be an empty string. Pass None for none.")
    if given.get("namespace") == "":
        raise ValueError('"" is not a valid namespace. Pass None to not specify a namespace.')
    concurrency = given.get("max_concurrency") or (ASYNC_CONCURRENCY if is_async else 1)
    unordered = is_async or concurrency > 1
    wanted = given.get("allow_out_of_order_execution")
    if wanted is False and unordered:
        raise ValueError(
            "allow_out_of_order_execution=False is for actors that run one call at a time, "
            "not for asyncio actors or max_concurrency above 1."
        )
    placed, held = _actor_amounts(given)
    lifetime = given.get("lifetime")
    return ActorOptions(
        placing=_placing(given, placed, parent_env, class_name),
        held=to_fixed(held),
        class_name=class_name,
        name=given.get("name") or "",
        namespace=given.get("namespace") or namespace,
        lifetime_detached=detached_by_default if lifetime is None else lifetime == "detached",
        get_if_exists=given.get("get_if_exists", False),
        max_restarts=given.get("max_restarts") or 0,
        generator_limit=_limit(given.get("_actor_generator_backpressure_num_objects")),
        max_task_retries=given.get("max_task_retries") or 0,
        max_concurrency=concurrency,
        max_pending_calls=given.get("max_pending_calls") or -1,
        concurrency_groups=concurrency_groups(given.get("concurrency_groups")),
        is_async=is_async,
        allow_out_of_order=unordered if wanted is None else wanted,
        is_told=given.get("enable_task_events", True),
    )


def method_options(given: Mapping[str, Any], *, is_generator: bool, shape: CallShape | None) -> MethodOptions:
    """Options of an actor's method, as its class defines them."""
    return MethodOptions(
        num_returns=_num_returns(given.get("num_returns"), is_generator),
        name=given.get("name") or "",
        concurrency_group=given.get("concurrency_group") or "",
        max_task_retries=given.get("max_task_retries"),
        retry_exceptions=_retry_exceptions(given.get("retry_exceptions")),
        backpressure=_backpressure(given),
        items_per_yield=given.get("_num_objects_per_yield") or 1,
        timeout_s=given.get("timeout"),
        shape=shape,
        is_told=given.get("enable_task_events"),
    )


def concurrency_groups(given: Any) -> dict[str, int]:
    """Names and limits. Raises TypeError or ValueError for what is neither."""
    if not given:
        return {}
    if isinstance(given, list):
        given = {group["name"]: group["max_concurrency"] for group in given}
    for name, limit in given.items():
        if not isinstance(name, str) or not isinstance(limit, int):
            raise TypeError(f"concurrency_groups is a dict of int by str; this item is not: {name!r}: {limit!r}")
        if limit < 1:
            raise ValueError(f"The concurrency group {name!r} must run at least 1 call at a time, not {limit}.")
    return dict(given)


# ------------------------------------------------------------------ amounts


def _amounts(given: Mapping[str, Any], default_cpus: float) -> dict[str, float]:
    cpus, gpus = given.get("num_cpus"), given.get("num_gpus") or 0
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(f"GPU resource quantities >1 must be whole numbers. The specified quantity {gpus} is invalid.")
    amounts: dict[str, float] = {
        "CPU": default_cpus if cpus is None else cpus,
        "GPU": gpus,
        "memory": int(given.get("memory") or 0),  # bytes: a part of one is none
        "object_store_memory": given.get("object_store_memory") or 0,
    }
    amounts.update(given.get("resources") or {})
    if kind := given.get("accelerator_type"):
        amounts[f"accelerator_type:{kind}"] = ACCELERATOR_TYPE_AMOUNT
    return amounts


def _actor_amounts(given: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """What placing the actor takes, and what it keeps while it lives.

    Source: Ray docs, "Resources": an actor that names no resource needs 1 CPU to be placed and holds none.
    """
    names = ("num_cpus", "num_gpus", "resources", "accelerator_type")
    amounts = _amounts(given, default_cpus=1)
    if any(given.get(name) is not None for name in names):
        return amounts, amounts
    return amounts, {**amounts, "CPU": 0}


def _placing(given: Mapping[str, Any], amounts: Mapping[str, float], parent_env: str, what: str) -> Placing:
    own_env = given.get("runtime_env")
    if own_env:
        from ray.runtime_env.runtime_env import merged

        parent_env = merged(parent_env, own_env)
    resources = to_fixed(amounts)
    return Placing(
        resources=resources,
        strategy=strategy_of(given, resources, what),
        runtime_env=parent_env,
        label_selector=dict(given.get("label_selector") or {}),
        fallback_selectors=[dict(choice["label_selector"]) for choice in given.get("fallback_strategy") or []],
        priority=given.get("priority"),
    )


# ------------------------------------------------------------------ single values


def _num_returns(value: int | str | None, is_generator: bool) -> int:
    if value is None:
        return STREAMING if is_generator else 1
    if isinstance(value, str):
        return STREAMING if value == "streaming" else DYNAMIC
    return value


def _retry_exceptions(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _backpressure(given: Mapping[str, Any]) -> int:
    return _limit(given.get("_generator_backpressure_num_objects"))


def _limit(value: int | None) -> int:
    return -1 if value is None or value < 0 else value
