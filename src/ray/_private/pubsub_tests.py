"""What tests read of the cluster's error events and of the lines that workers print. Names of `test_utils`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ray
from ray._private.gcs_pubsub import GcsErrorSubscriber, GcsLogSubscriber

_ANY_NUMBER = 10**6


def init_error_pubsub() -> GcsErrorSubscriber:
    """A subscription to the cluster's error events, for `get_error_message`."""
    subscriber = GcsErrorSubscriber(ray.get_runtime_context().gcs_address)
    subscriber.subscribe()
    return subscriber


def get_error_message(
    subscriber: GcsErrorSubscriber, num: float = _ANY_NUMBER, error_type: str | None = None, timeout: float = 20
) -> list[dict[str, Any]]:
    """Events until there are `num`, or `timeout` seconds are over.

    Args:
        error_type: only those of this `type`.
    """
    deadline_at_s = time.monotonic() + timeout
    events: list[dict[str, Any]] = []
    while len(events) < num and (left_s := deadline_at_s - time.monotonic()) > 0:
        _, event = subscriber.poll(timeout=left_s)
        if event is not None and error_type in (None, event["type"]):
            events.append(event)
    return events


def init_log_pubsub() -> GcsLogSubscriber:
    """A subscription to what all workers print, for `get_log_data` and its kin."""
    subscriber = GcsLogSubscriber(ray.get_runtime_context().gcs_address)
    subscriber.subscribe()
    return subscriber


def get_log_data(
    subscriber: GcsLogSubscriber,
    num: float = _ANY_NUMBER,
    timeout: float = 20,
    job_id: str | None = None,
    matcher: Callable[[str], bool] | None = None,
) -> list[dict[str, Any]]:
    """Batches of lines until there are `num` lines, or `timeout` seconds are over.

    Args:
        job_id: only lines of this job, in hex.
        matcher: only batches with such a line.
    """
    deadline_at_s = time.monotonic() + timeout
    found: list[dict[str, Any]] = []
    while sum(len(batch["lines"]) for batch in found) < num and (left_s := deadline_at_s - time.monotonic()) > 0:
        batch = subscriber.poll(timeout=left_s)
        if not batch or (job_id is not None and batch["job"] != job_id):
            continue
        if matcher is None or any(matcher(line) for line in batch["lines"]):
            found.append(batch)
    return found


def get_log_message(subscriber: GcsLogSubscriber, *args: Any, **kwargs: Any) -> list[list[str]]:
    """The lines of `get_log_data`, batch by batch."""
    return [batch["lines"] for batch in get_log_data(subscriber, *args, **kwargs)]


def get_log_sources(subscriber: GcsLogSubscriber, *args: Any, **kwargs: Any) -> set[str]:
    """The process ids that `get_log_data` has lines of."""
    return {batch["pid"] for batch in get_log_data(subscriber, *args, **kwargs)}


def get_log_batch(subscriber: GcsLogSubscriber, num: int, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """`num` batches of lines, or what came in time."""
    return get_log_data(subscriber, num, *args, **kwargs)[:num]
