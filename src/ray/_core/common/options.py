"""What a task, an actor or a method was asked to be: options after validation, in the engine's own terms.

Floor: common, pure. The public face checks what users write and builds these; the core worker reads them.
"""

from __future__ import annotations

import dataclasses

from ray._core.common.call_shape import CallShape
from ray._core.common.messages import Strategy

STREAMING = -1
"""`num_returns` of a generator whose items become refs as they are yielded."""
DYNAMIC = -2
"""`num_returns="dynamic"`: one ref, whose value is a generator of refs."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """Where something may run and what it needs there. Amounts in fixed point (see resources.py).

    `strategy` None: inherit (a captured parent placement group, else DEFAULT); `priority` None: the parent's, else 0.
    """

    resources: dict[str, int]
    strategy: Strategy | None = None
    runtime_env: str = ""
    label_selector: dict[str, str] = dataclasses.field(default_factory=dict)
    fallback_selectors: list[dict[str, str]] = dataclasses.field(default_factory=list)
    priority: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Options of a remote function.

    `retry_exceptions`: False never, True on any Exception, or the classes. `max_retries` -1: for ever.
    `max_calls` 0: no limit. `backpressure` -1: none. `items_per_yield` above 1: each yield of a stream gives so many.
    `timeout_s`: how long after its submission a call may take to end; None: as long as it likes.
    `is_told`: to the state API and the timeline.
    """

    placing: Placing
    name: str
    function_name: str
    num_returns: int = 1
    max_retries: int = 3
    retry_exceptions: bool | tuple[type[BaseException], ...] = False
    max_calls: int = 0
    backpressure: int = -1
    items_per_yield: int = 1
    timeout_s: float | None = None
    is_told: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MethodOptions:
    """Options of an actor's method, as `@ray.method` and `.options()` give them. None: the actor's own.

    `shape`: which arguments it takes, so that every holder of a handle can refuse a wrong call; None: unknown.
    """

    num_returns: int = 1
    name: str = ""
    concurrency_group: str = ""
    max_task_retries: int | None = None
    retry_exceptions: bool | tuple[type[BaseException], ...] | None = None
    backpressure: int = -1
    items_per_yield: int = 1
    timeout_s: float | None = None
    shape: CallShape | None = None
    is_told: bool | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ActorOptions:
    """Options of an actor. `placing` is what it takes to place it, `held` what it keeps while it lives.

    `generator_limit`: items of all its streams together that may be ahead of their consumers; -1: no limit.
    `is_async`: some method is a coroutine function. `lifetime_detached`: outlives its creator.
    """

    placing: Placing
    held: dict[str, int]
    class_name: str
    name: str = ""
    namespace: str = ""
    lifetime_detached: bool = False
    get_if_exists: bool = False
    max_restarts: int = 0
    max_task_retries: int = 0
    max_concurrency: int = 1
    max_pending_calls: int = -1
    concurrency_groups: dict[str, int] = dataclasses.field(default_factory=dict)
    is_async: bool = False
    allow_out_of_order: bool = False
    generator_limit: int = -1
    is_told: bool = True
