"""`ray.timeline()`: when which task ran on which worker, as events of Chrome's trace viewer.

Source: Ray docs, "ray.timeline"; the format is "Trace Event Format", phase X (complete events).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ray._core.common import messages as m
from ray._core.common.task_events import Span, TaskRow, decode, rows
from ray._private.auto_init_hook import connected_core
from ray._private.client_mode_hook import client_mode_hook


@client_mode_hook
def timeline(filename: str | None = None) -> list[dict[str, Any]] | None:
    """A list of trace events, or None when they were written to `filename` as JSON (load it in chrome://tracing).

    Raises RaySystemError before `ray.init`.
    """
    core = connected_core()
    dump: m.StateDump = core.ask_gcs(m.DumpState(what="tasks"))
    hosts = {info.node_id: info.host for info in core.ask_gcs(m.ListNodes()).nodes}
    batches = list(map(decode, dump.blobs))
    events = trace_events(rows(batches), hosts)
    events += span_events((span for batch in batches for span in batch.spans), hosts)
    if filename is None:
        return events
    with open(filename, "w") as file:
        json.dump(events, file)
    return None


def trace_events(told: Iterable[TaskRow], hosts: dict[bytes, str]) -> list[dict[str, Any]]:
    """Of tasks that ran to their end. Pure. Times in µs since the epoch."""
    events = []
    for row in told:
        event, kind = row.event, row.kind
        if not event.started_us or not event.ended_us:
            continue
        is_method = kind.type == "ACTOR_TASK"
        name = kind.function_name.rsplit(".", 1)[-1] if is_method else kind.function_name
        events.append(
            {
                "cat": f"task::{kind.name}",
                "name": name,
                "pid": hosts.get(event.node_id, ""),
                "tid": f"worker:{event.worker_id.hex()}",
                "ts": float(event.started_us),
                "dur": float(event.ended_us - event.started_us),
                "ph": "X",
                "cname": "generic_work",
                "args": {"name": name, "task_id": event.task_id.hex()},
            }
        )
    return events


def span_events(spans: Iterable[Span], hosts: dict[bytes, str]) -> list[dict[str, Any]]:
    """Of what `ray._private.profiling.profile` has named. Pure. Its extra "name" is shown instead of its type."""
    return [
        {
            "cat": span.name,
            "name": span.extra.get("name", span.name),
            "pid": hosts.get(span.node_id, ""),
            "tid": f"{'driver' if span.is_driver else 'worker'}:{span.worker_id.hex()}",
            "ts": float(span.started_us),
            "dur": float(span.ended_us - span.started_us),
            "ph": "X",
            "cname": "generic_work",
            "args": {**span.extra, **({"task_id": span.task_id.hex()} if span.task_id else {})},
        }
        for span in spans
    ]
