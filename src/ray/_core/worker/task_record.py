"""What the owner of a task knows of it: what its calls have in common, its arguments, and how far it has come.

Floor: worker. Filled and read by the submitter and the actors' clients, who hold the lock.
"""

from __future__ import annotations

import copy
import itertools
import time
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ray._core.common import messages as m
from ray._core.common.options import TaskOptions
from ray._core.store import serialization
from ray._core.worker.object_ref import ObjectRef

if TYPE_CHECKING:
    from ray._core.worker.actor_client import ActorClient

_template_ids = itertools.count(1)
EVENTS_KEPT = 8
"""Of a task's story: what went wrong last."""


class CallTemplate(Protocol):
    """What the calls of one function, or of one actor's method, have in common, as far as their results go."""

    name: str
    num_returns: int
    max_retries: int
    timeout_s: float | None
    message: m.TaskTemplate

    def observe(self, duration_us: int) -> None: ...


class Template:
    """What the calls of one function with one set of options have in common."""

    def __init__(
        self, options: TaskOptions, key: str, blob: bytes, job_id: bytes, namespace: str, code_paths: list[str]
    ) -> None:
        self.name = options.name
        self.num_returns = options.num_returns
        self.max_retries = options.max_retries
        self.timeout_s = options.timeout_s
        self.average_us: float | None = None
        placing = options.placing
        self._inherits_strategy = placing.strategy is None
        self._inherits_priority = placing.priority is None
        self._heirs: dict[tuple[bytes, int], Template] = {}
        self._alone = key if options.max_calls else ""
        self._place(
            m.SchedulingClass(
                placing.resources,
                placing.strategy or m.Strategy(),
                placing.runtime_env,
                placing.label_selector,
                job_id,
                placing.fallback_selectors,
                placing.priority or 0,
            )
        )
        self.message = m.TaskTemplate(
            namespace=namespace,
            template_id=next(_template_ids),
            function_key=key,
            function_blob=blob,
            name=options.name,
            function_name=options.function_name,
            method="",
            num_returns=options.num_returns,
            job_id=job_id,
            code_paths=code_paths,
            backpressure=options.backpressure,
            items_per_yield=options.items_per_yield,
            retry_exceptions=retried_errors(options.retry_exceptions),
            max_calls=options.max_calls,
            runs_once=options.max_retries == 0,
            is_told=options.is_told,
        )

    def _place(self, scheduling: m.SchedulingClass) -> None:
        self.scheduling = scheduling
        resources = tuple(sorted(scheduling.resources.items()))
        self.queue_key = (resources, msgspec.msgpack.encode(scheduling), self._alone)

    def inheriting(self, strategy: m.Strategy | None, priority: int) -> Template:
        """This template for a caller that hands down what its calls' own options do not say.

        Args:
            strategy: of the group that captures what the caller submits; None: there is none.
        """
        if strategy is None or not self._inherits_strategy:
            strategy = self.scheduling.strategy
        if not self._inherits_priority:
            priority = self.scheduling.priority
        if strategy is self.scheduling.strategy and priority == self.scheduling.priority:
            return self
        template = self._heirs.get((strategy.placement_group_id, priority))
        if template is None:
            template = self._heirs[strategy.placement_group_id, priority] = copy.copy(self)
            template._place(msgspec.structs.replace(self.scheduling, strategy=strategy, priority=priority))
        return template

    def observe(self, duration_us: int) -> None:
        """Learn from a finished call; weight 1/8, so that a few calls are enough and one outlier is not."""
        known = self.average_us
        self.average_us = float(duration_us) if known is None else known + (duration_us - known) / 8


def retried_errors(wanted: bool | tuple[type[BaseException], ...] | None) -> bytes | None:
    """The option `retry_exceptions` as a worker is told it."""
    if not wanted:
        return None
    return b"" if wanted is True else serialization.dump_code(wanted)


def num_refs(template: CallTemplate) -> int:
    """How many objects a call has from the start; the items of a generator come later."""
    return template.num_returns if template.num_returns >= 0 else 1


class Packed(msgspec.Struct, eq=False):
    """Arguments ready to travel; `refs` are all the refs in them, which the pending task holds."""

    blob: bytes
    deps: list[tuple[int | str, ObjectRef[Any]]]
    refs: list[ObjectRef[Any]]


class Record(msgspec.Struct, eq=False):
    """A task not finished yet."""

    task_id: bytes
    template: CallTemplate
    packed: Packed
    retries_left: int
    actor: ActorClient | None = None
    """Whose method it calls; None: a normal task, whose template is a `Template`."""
    parent_task_id: bytes = b""
    unresolved: int = 0
    argument_nodes: list[bytes] = []
    """Where its large arguments lie, most bytes first."""
    lease_id: int = 0
    """Whose worker it was pushed to; 0: it waits here."""
    attempt: int = 0
    oom_retries: int = 0
    """How often the memory monitor has ended it."""
    is_cancelled: bool = False
    """It runs no more, nor again: `ray.cancel` said so, or its timeout is over."""
    is_expired: bool = False
    """Its timeout is over."""
    told: m.Value | None = None
    """The error that it ended with for whoever waits, while a worker still has it; what that answers is dropped."""
    created_us: int = 0
    """Since the epoch, as these: see `task_times`."""
    ready_us: int = 0
    sent_us: int = 0
    story: list[tuple[int, str]] | None = None
    """What befell it besides: (when, as above; what), oldest first."""

    def note(self, text: str) -> None:
        """Add to its story."""
        self.story = [*(self.story or ()), (time.time_ns() // 1000, text)][-EVENTS_KEPT:]
