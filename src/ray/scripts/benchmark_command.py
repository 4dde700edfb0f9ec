"""`ray microbenchmark`: how fast this machine runs the workloads that Ray's users know."""

from __future__ import annotations

import sys

import click


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, add_help_option=False)
@click.pass_context
def microbenchmark(context: click.Context) -> None:
    """Measure tasks, actors, objects and waits here.

    `--help` tells how to choose.
    """
    from ray._private import ray_perf

    sys.exit(ray_perf.main(context.args))
