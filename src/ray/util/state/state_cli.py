"""`ray list`, `ray get`, `ray summary` and `ray logs`.

Source: Ray docs, "State CLI".
"""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ray._private.not_included import absent_names
from ray.scripts.output import with_options
from ray.util.state import api
from ray.util.state.common import (
    DEFAULT_LIMIT,
    DEFAULT_LOG_LIMIT,
    DEFAULT_RPC_TIMEOUT,
    SCHEMAS,
    Filter,
    GetApiOptions,
    ListApiOptions,
    StateResource,
    StateSchema,
    SummaryApiOptions,
    SummaryResource,
)
from ray.util.state.exception import RayStateApiException
from ray.util.state.logs import get_log, list_logs
from ray.util.state.state_text import readable, table, yaml

_NAMES = {resource.value.replace("_", "-"): resource for resource in StateResource}
_GETTABLE = [name for name in _NAMES if name not in ("jobs", "runtime-envs")]
_ADDRESS = click.option("--address", help="host:port of the head; default: RAY_ADDRESS, or what runs here.")
_TIMEOUT = click.option("--timeout", default=DEFAULT_RPC_TIMEOUT, help="Seconds to wait for the answer.")


def _complaining(question: Callable[[], Any], kind: type[click.ClickException] = click.UsageError) -> Any:
    """What `question()` gives; what it raises ends the command with status 2, or as `kind` says."""
    try:
        return question()
    except (RayStateApiException, OSError, NotImplementedError) as error:
        raise kind(str(error)) from error


def parse_filters(texts: Sequence[str]) -> list[Filter]:
    """ "key=value" and "key!=value". Raises ValueError."""
    found: list[Filter] = []
    for text in texts:
        for predicate in ("!=", "="):
            key, sign, value = text.partition(predicate)
            if sign:
                found.append((key.strip(), predicate, value.strip()))
                break
        else:
            raise ValueError(f"The format of a given filter {text} is invalid: it is key=value or key!=value.")
    return found


def _parse_filter(filter: str) -> Filter:
    """Raises ValueError."""
    return parse_filters([filter])[0]


class AvailableFormat(enum.Enum):
    DEFAULT = "default"
    JSON = "json"
    YAML = "yaml"
    TABLE = "table"


def format_list_api_output(
    state_data: Sequence[Any],
    *,
    schema: type[StateSchema],
    format: AvailableFormat = AvailableFormat.DEFAULT,
    detail: bool = False,
) -> str:
    """What `ray list` prints of rows."""
    if not state_data:
        return "No resource in the cluster"
    return output_with_format([each.asdict() for each in state_data], schema=schema, format=format, detail=detail)


def format_get_api_output(
    state_data: Any,
    id: str,
    *,
    schema: type[StateSchema] | None = None,
    format: AvailableFormat = AvailableFormat.YAML,
) -> str:
    """What `ray get` prints of the row or rows of one id; None, and no rows: there is nothing of that id."""
    if not state_data:
        return f"Resource with id={id} not found in the cluster."
    rows = state_data if isinstance(state_data, list) else [state_data]
    return output_with_format([each.asdict() for each in rows], schema=schema, format=format, detail=True)


def output_with_format(
    state_data: list[dict[str, Any]],
    *,
    schema: type[StateSchema] | None,
    format: AvailableFormat = AvailableFormat.DEFAULT,
    detail: bool = False,
) -> str:
    """Rows as text. The default is a table, or YAML with details."""
    if format is AvailableFormat.JSON:
        return json.dumps(state_data)
    if schema is None or format is AvailableFormat.YAML or (detail and format is AvailableFormat.DEFAULT):
        return yaml([readable(row) for row in state_data]) + "\n"
    return get_table_output(state_data, schema, detail)


def get_table_output(state_data: list[dict[str, Any]], schema: type[StateSchema], detail: bool) -> str:
    columns = schema.list_columns(detail)
    lines = [[row[column] for column in columns] for row in map(readable, state_data)]
    rule = "-" * 30
    head = f"\n======== List: {datetime.now()} ========\nStats:\n{rule}\nTotal: {len(state_data)}\n\nTable:\n{rule}\n"
    return head + table([column.upper() for column in columns], lines) + "\n"


@click.command("list", help=f"List what the cluster has of RESOURCE.\n\nRESOURCE is one of {', '.join(_NAMES)}.")
@click.argument("resource", metavar="RESOURCE", type=click.Choice(list(_NAMES)))
@click.option("--format", "form", default="default", type=click.Choice(["default", "json", "yaml", "table"]))
@click.option("-f", "--filter", "filters", multiple=True, help='"key=value" or "key!=value"; several: all must hold.')
@click.option("--limit", default=DEFAULT_LIMIT, help="At most so many entries.")
@click.option("--detail", is_flag=True, help="All columns, as YAML unless --format says otherwise.")
@_TIMEOUT
@_ADDRESS
def ray_list(
    resource: str, form: str, filters: Sequence[str], limit: int, detail: bool, timeout: int, address: str | None
) -> None:
    kind = _NAMES[resource]
    try:
        wanted = parse_filters(filters)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    schema = SCHEMAS[kind]
    known = schema.list_columns()
    for key, _, _ in wanted:
        if key not in known:
            raise click.BadParameter(
                f"Invalid filter key '{key}' for resource '{resource}'. Available filter keys are: {', '.join(known)}"
            )
    options = ListApiOptions(limit=limit, timeout=timeout, detail=detail, filters=wanted)
    client = api.StateApiClient(address)
    found = _complaining(lambda: client.list(kind, options, raise_on_missing_output=False, _explain=True))
    text = format_list_api_output(found, schema=schema, format=AvailableFormat(form), detail=detail)
    click.echo(text)


@click.command(
    "get", help=f"Show all that is known of the RESOURCE with that ID.\n\nRESOURCE is one of {', '.join(_GETTABLE)}."
)
@click.argument("resource", metavar="RESOURCE", type=click.Choice(_GETTABLE))
@click.argument("id", required=False)
@_ADDRESS
@_TIMEOUT
def ray_get(resource: str, id: str | None, address: str | None, timeout: int) -> None:
    if id is None:
        raise click.BadParameter(f"Missing argument 'ID'. Do you mean 'ray list {resource}'?")
    client = api.StateApiClient(address)
    found = _complaining(lambda: client.get(_NAMES[resource], id, GetApiOptions(timeout)))
    click.echo(format_get_api_output(found, id))


def _title(what: str) -> None:
    click.echo(f"\n======== {what}: {datetime.now()} ========")


@click.group("summary")
def summary_state_cli_group() -> None:
    """Count what there is, by function, class or call site."""


def _summary(resource: SummaryResource, timeout: int, address: str | None) -> dict[str, Any]:
    client = api.StateApiClient(address)
    options = SummaryApiOptions(timeout=timeout)
    told: dict[str, Any] = _complaining(
        lambda: client.summary(resource, options=options, raise_on_missing_output=False)["cluster"]
    )
    stats = {key: value for key, value in told.items() if key.startswith(("total_", "callsite_"))}
    _title("Object Summary" if resource is SummaryResource.OBJECTS else f"{resource.value.capitalize()} Summary")
    click.echo(f"Stats:\n{'-' * 36}")
    for key in sorted(stats):
        click.echo(f"{key}: {stats[key]}")
    click.echo(f"\n\nTable (group by {told['summary_by']}):\n{'-' * 36}")
    return told


def _counts(states: dict[str, int]) -> str:
    return ", ".join(f"{state}: {count}" for state, count in sorted(states.items()))


@summary_state_cli_group.command("tasks")
@_TIMEOUT
@_ADDRESS
def task_summary(timeout: int, address: str | None) -> None:
    """Tasks by function."""
    told = _summary(SummaryResource.TASKS, timeout, address)["summary"]
    lines = [[name, _counts(entry["state_counts"]), entry["type"]] for name, entry in sorted(told.items())]
    click.echo(table(["FUNC_OR_CLASS_NAME", "STATE_COUNTS", "TYPE"], lines, number_right=False) + "\n")


@summary_state_cli_group.command("actors")
@_TIMEOUT
@_ADDRESS
def actor_summary(timeout: int, address: str | None) -> None:
    """Actors by class."""
    told = _summary(SummaryResource.ACTORS, timeout, address)["summary"]
    lines = [[name, _counts(entry["state_counts"])] for name, entry in sorted(told.items())]
    click.echo(table(["CLASS_NAME", "STATE_COUNTS"], lines, number_right=False) + "\n")


@summary_state_cli_group.command("objects")
@_TIMEOUT
@_ADDRESS
def object_summary(timeout: int, address: str | None) -> None:
    """Objects by call site."""
    told = _summary(SummaryResource.OBJECTS, timeout, address)["summary"]
    for site, entry in told.items():
        click.echo(yaml({site: entry}))


# ------------------------------------------------------------------ logs


class LogGroup(click.Group):
    """`ray logs GLOB` is `ray logs cluster GLOB`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["cluster", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["cluster", *args]
        return super().parse_args(ctx, args)


@click.group("logs", cls=LogGroup)
def logs_state_cli_group() -> None:
    """List log files, or print one.

    It may be one of the cluster, an actor, a worker, a task or a job.
    """


_NODE = [
    click.option("-id", "--node-id", help="Of this node."),
    click.option("-ip", "--node-ip", help="Of the node with this address."),
]
_READING = [
    click.option("-f", "--follow", is_flag=True, help="Wait for more."),
    click.option("--tail", default=DEFAULT_LOG_LIMIT, help="The last so many lines; -1: all."),
    click.option("--interval", type=float, hidden=True),
    click.option("--encoding", default="utf-8"),
    click.option("--encoding-errors", default="strict"),
    _TIMEOUT,
    _ADDRESS,
]
_ERR = click.option("--err", is_flag=True, help="Standard error instead of standard output.")


def _print(**where: Any) -> None:
    renamed = {"encoding_errors": "errors", "interval": "_interval"}
    if where.pop("err", False):
        where["suffix"] = "err"
    arguments = {renamed.get(name, name): value for name, value in where.items()}
    if arguments["tail"] >= 0 and not arguments["follow"]:
        text = f"Log has been truncated to last {arguments['tail']} lines. Use `--tail` flag to toggle."
        click.echo(f"--- {text} Set to -1 for getting the entire file. ---\n")

    def show() -> None:
        for text in get_log(**arguments):
            sys.stdout.write(text)
            sys.stdout.flush()

    _complaining(show, click.ClickException)


@logs_state_cli_group.command("cluster")
@click.argument("glob_filter", required=False, default="*")
@with_options(*_NODE, *_READING)
def log_cluster(glob_filter: str, node_id: str | None, node_ip: str | None, **reading: Any) -> None:
    """Print the log file GLOB_FILTER names, or list all that match."""
    address, timeout = reading["address"], reading["timeout"]
    if node_ip is None:
        wanted = ("is_head_node", "=", True) if node_id is None else ("node_id", "=", node_id)
        nodes = _complaining(lambda: api.list_nodes(address, filters=[wanted], timeout=timeout), click.ClickException)
        if not nodes:
            raise click.ClickException("There is no such node: say which by --node-id or --node-ip.")
        node_id, shown_ip = nodes[0].node_id, nodes[0].node_ip
    else:
        shown_ip = node_ip
    found = _complaining(lambda: list_logs(address, node_id, node_ip, glob_filter, timeout), click.ClickException)
    names = [name for each in found.values() for name in each]
    if len(names) == 1:
        _print(filename=names[0], node_id=node_id, node_ip=node_ip, **reading)
        return
    if not names:
        click.echo(f"No log file there is called {glob_filter!r}. `ray logs` lists those that there are.", err=True)
    listed = "\n".join(f"{category}:\n" + "\n".join(f"- {name}" for name in each) for category, each in found.items())
    click.echo(f"Node IP: {shown_ip}\n---" + (f"\n{listed}" if names else " {}") + "\n...\n")


@logs_state_cli_group.command("actor")
@click.option("-a", "--id", "actor_id", help="Of this actor.")
@click.option("-pid", "--pid", type=int, help="Of the actor in this process.")
@with_options(*_NODE, _ERR, *_READING)
def log_actor(actor_id: str | None, pid: int | None, **rest: Any) -> None:
    """Print what an actor has printed."""
    if actor_id is None and pid is None:
        raise click.UsageError("Missing option. At least one of `--pid` and `--id` has to be set")
    _print(actor_id=actor_id, pid=pid, **rest)


@logs_state_cli_group.command("worker")
@click.option("-pid", "--pid", type=int, required=True, help="The worker's process id.")
@with_options(*_NODE, _ERR, *_READING)
def log_worker(pid: int, **rest: Any) -> None:
    """Print what a worker has printed."""
    _print(pid=pid, **rest)


@logs_state_cli_group.command("task")
@click.option("--id", "task_id", required=True, help="Of this task.")
@click.option("-a", "--attempt-number", default=0, help="Which attempt of it.")
@with_options(_ERR, *_READING)
def log_task(task_id: str, attempt_number: int, **rest: Any) -> None:
    """Print what a task has printed."""
    _print(task_id=task_id, attempt_number=attempt_number, **rest)


@logs_state_cli_group.command("job")
@click.option("--id", "submission_id", required=True, help="Of the job with this submission id.")
@with_options(*_READING)
def log_job(submission_id: str, **rest: Any) -> None:
    """Print what a submitted job has printed."""
    _print(submission_id=submission_id, **rest)


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "Use the commands.",
        "LogCommandGroup _get_available_formats _get_available_resources _should_explain "
        "format_object_summary_output format_summary_output",
    )
