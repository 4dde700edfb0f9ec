"""`ray COMMAND`: the group of all commands. A command's module is imported when the command is called."""

from __future__ import annotations

import importlib
import logging
from typing import Any

import click

from ray._private.not_included import absent_names
from ray._version import VERSION

COMMANDS = {
    "debug": "ray.scripts.debug_command:debug",
    "disable-usage-stats": "ray.scripts.usage_command:disable_usage_stats",
    "drain-node": "ray.scripts.node_commands:drain_node",
    "enable-usage-stats": "ray.scripts.usage_command:enable_usage_stats",
    "kill-actor": "ray.scripts.node_commands:kill_actor",
    "explain": "ray.scripts.explain_command:explain",
    "get": "ray.util.state.state_cli:ray_get",
    "get-auth-token": "ray.scripts.token_command:get_auth_token",
    "global-gc": "ray.scripts.node_commands:global_gc",
    "health-check": "ray.scripts.status_command:health_check",
    "job": "ray.scripts.job_commands:job",
    "list": "ray.util.state.state_cli:ray_list",
    "logs": "ray.util.state.state_cli:logs_state_cli_group",
    "memory": "ray.scripts.memory_command:memory",
    "microbenchmark": "ray.scripts.benchmark_command:microbenchmark",
    "start": "ray.scripts.start_command:start",
    "status": "ray.scripts.status_command:status",
    "stop": "ray.scripts.stop_command:stop",
    "summary": "ray.util.state.state_cli:summary_state_cli_group",
    "symmetric-run": "ray.scripts.symmetric_run:symmetric_run",
    "timeline": "ray.scripts.timeline_command:timeline",
}
"""Where each command is: "module:name"."""
_OTHER_NAMES = {
    "healthcheck": "health-check",
    "logs_state_cli_group": "logs",
    "ray_get": "get",
    "ray_list": "list",
    "summary_state_cli_group": "summary",
}
"""What tests call the function of a command."""


INSTALL = "pip install 'pure-ray[default]'"
"""Brings what all commands need."""


class LazyGroup(click.Group):
    """Knows its commands by name and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load(cmd_name) if cmd_name in COMMANDS else super().get_command(ctx, cmd_name)


def load(name: str) -> click.Command:
    """The command of that name; one that says what to install, when a package that it needs is missing.

    Raises:
        KeyError: there is none of that name.
    """
    module, _, attribute = COMMANDS[name].partition(":")
    try:
        command: click.Command = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "ray":
            raise
        return _without(name, error.name)
    return command


def _without(name: str, package: str) -> click.Command:
    def refuse(**_: Any) -> None:
        raise click.ClickException(f"`ray {name}` needs the package {package}. Install it by: {INSTALL}.")

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    text = f"(Needs the package {package}.)"
    return click.Command(name, callback=refuse, help=text, context_settings=settings, add_help_option=False)


@click.group(cls=LazyGroup)
@click.option("--logging-level", default="info", help="Of the logger `ray`: debug, info, warning, error or critical.")
@click.option("--logging-format", default="%(message)s", help="Format of its lines.")
@click.version_option(VERSION, prog_name="ray")
def cli(logging_level: str, logging_format: str) -> None:
    """Ray in pure Python: start, look at and stop clusters."""
    level = logging.getLevelName(logging_level.upper())
    if not isinstance(level, int):
        raise click.BadParameter(f"{logging_level!r} is no level.", param_hint="--logging-level")
    logger = logging.getLogger("ray")
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(logging_format))
        logger.addHandler(handler)
        logger.propagate = False


def main() -> Any:
    return cli()


_absent = absent_names(
    __name__,
    "There is no cluster launcher.",
    "attach down exec get_head_ip get_worker_ips kill_random_node rsync_down rsync_up submit up",
)


def __getattr__(name: str) -> Any:
    """`scripts.start` and the like, as tests take them."""
    command = _OTHER_NAMES.get(name) or name.replace("_", "-")
    if command in COMMANDS:
        return load(command)
    return _absent(name)


if __name__ == "__main__":
    main()
