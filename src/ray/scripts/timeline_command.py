"""`ray timeline`: write the cluster's timeline to a file for chrome://tracing."""

from __future__ import annotations

import json
from datetime import datetime

import click

from ray._core.common import messages as m
from ray._core.common.task_events import decode, rows
from ray._core.node import session_dir
from ray._private.timeline import trace_events
from ray.scripts import where


@click.command()
@where.ADDRESS
def timeline(address: str | None) -> None:
    """Take a Chrome tracing timeline of all tasks."""
    with where.gcs(address) as gcs:
        blobs = gcs.request(m.DumpState(what="tasks")).blobs
        hosts = {info.node_id: info.host for info in gcs.request(m.ListNodes()).nodes}
    path = session_dir.temp_dir() / f"ray-timeline-{datetime.now():%Y-%m-%d_%H-%M-%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(trace_events(rows(map(decode, blobs)), hosts)))
    click.echo(f"Trace file written to {path}.")
    click.echo("You can open this with chrome://tracing in the Chrome browser.")
