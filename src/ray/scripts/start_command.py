"""`ray start`: a head, or a node that joins one. It returns once the node serves, or stays with --block."""

from __future__ import annotations

import os
import select
import signal
import sys
from types import FrameType
from typing import Any

import click

from ray._core.common.errors import AuthenticationError
from ray._core.node import membership, session_dir
from ray._core.node.node import Node
from ray._core.node.services import StartError
from ray._core.wire import auth
from ray._private import hooks
from ray.scripts import start_options
from ray.scripts.output import out, output_options
from ray.scripts.where import cluster_address

_GRACEFUL = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
"""How a process of the node may end without being missed."""


@click.command()
@start_options.start_options
@output_options
def start(**given: Any) -> None:
    """Start Ray on this machine.

    With --head it is the head of a new cluster, with --address a further node of one that runs.
    """
    start_options.check(given)
    if given["no_redirect_output"]:
        os.environ["RAY_LOG_TO_STDERR"] = "1"
    ignored = start_options.without_effect(given)
    if ignored:
        flags = ", ".join(ignored)
        out.warning(f"Without effect, since what would listen there is not available yet: {flags}.")
    try:
        gcs_address = None if given["head"] else cluster_address(given["address"])
        params = start_options.node_params(given, gcs_address)
        if hook := hooks.load("RAY_START_HOOK"):
            hook(params, given["head"])
        node = Node(params)
        if given["head"]:
            out.print("Usage stats collection is disabled.")  # there is none
            out.print()
            out.print(f"Local node IP: {params.node_ip or '(found out when joining)'}")
        has_new_token = _find_token(given["head"])
        node.start()
    except auth.AuthenticationFailed as error:
        raise click.ClickException(str(AuthenticationError(str(error)))) from error
    except (ConnectionError, OSError, ValueError, TypeError, StartError, membership.VersionMismatch) as error:
        raise click.ClickException(_told(error, given)) from error
    temp = node.session_dir.parent
    if given["head"]:
        session_dir.write_current_cluster(temp, node.gcs_address)
        _tell_head(node, given["node_ip_address"], has_new_token)
    else:
        recorded = session_dir.read_current_cluster(temp)
        if not (recorded and membership.is_serving(recorded)):  # drivers on this machine find the cluster by it
            session_dir.write_current_cluster(temp, node.gcs_address)
        _tell_worker(node)
    if given["block"]:
        sys.exit(_block(node))
    node.detach()


def _find_token(is_head: bool) -> bool:
    """Whether a token was made: by a head, where none is asked for by name. RAY_AUTH_MODE=token wants one that is
    there. Nothing is told of a token that the user has, or of none where he has opted out."""
    may_make = is_head and auth.token_mode() == ""
    is_there = may_make and bool(auth.load_token())
    auth.load_token(create=may_make)
    return may_make and not is_there


def _told(error: Exception, given: dict[str, Any]) -> str:
    text = str(error)
    if not given["head"] and isinstance(error, ConnectionError):
        text += (
            "\nIs the head running, and does this machine reach it? On the head, `ray status` tells; the address is "
            "the one that `ray start --head` printed, and a firewall must let that port and the nodes' ports through."
        )
    return text


JOBS_PAGE = "https://docs.ray.io/en/latest/cluster/running-applications/job-submission/index.html"


def _tell_head(node: Node, given_ip: str | None, has_new_token: bool) -> None:
    out.print()
    out.success("Ray runtime started.")
    out.print()
    with out.group("Next steps"):
        out.print("Note: The following commands are intended for use on")
        out.print("the head node or within the cluster network.")
        out.print()
        out.print("To add another node to this Ray cluster, run")
        out.print(f"  ray start --address='{node.gcs_address}'", bold=True)
        if has_new_token:
            out.print("after copying the token there that was made for this cluster: `ray get-auth-token` prints it,")
            out.print("RAY_AUTH_TOKEN takes it. Set RAY_AUTH_MODE=disabled to opt out.")
        out.print()
        out.print("To connect to this Ray cluster:")
        out.print("  import ray")
        out.print(f"  ray.init({f'_node_ip_address={given_ip!r}' if given_ip else ''})")
        out.print()
        if node.webui_url:
            out.print("To submit a Ray job using the Ray Jobs CLI:")
            url = f"http://{node.webui_url}"
            out.print(
                f"  RAY_API_SERVER_ADDRESS='{url}' ray job submit --working-dir . -- python my_script.py", bold=True
            )
            out.print()
            out.print(f"See {JOBS_PAGE} ")
            out.print("for more information on submitting Ray jobs to the Ray cluster.")
            out.print()
        _tell_stop()
        out.print()
        out.print("To view the status of the cluster, use")
        out.print("  ray status", bold=True)
        if node.webui_url:
            out.print()
            out.print("To monitor and debug Ray, view the dashboard at ")
            out.print(f"  {node.webui_url}", bold=True)
            out.print()
            out.print("If connection to the dashboard fails, check your firewall settings and network configuration.")


def _tell_worker(node: Node) -> None:
    out.print(f"Local node IP: {node.node_ip_address}")
    out.print()
    out.success("Ray runtime started.")
    out.print()
    _tell_stop()


def _tell_stop() -> None:
    out.print("To terminate the Ray runtime, run")
    out.print("  ray stop", bold=True)


# ------------------------------------------------------------------ --block


def _block(node: Node) -> int:
    """Wait until the node's processes end, or a signal says so; the exit status."""
    out.print()
    with out.group("--block"):
        out.print("This command will now block forever until terminated by a signal.")
        out.print("Running subprocesses are monitored and a message will be printed if any of them terminate ")
        out.print("unexpectedly. Subprocesses exit with SIGTERM will be treated as graceful, thus NOT reported.")
    sys.stdout.flush()

    def end(number: int, frame: FrameType | None) -> None:
        raise _Ended

    try:
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, end)
        missed = _wait_for_missed(node)
    except _Ended:
        node.stop()
        return 0
    if not missed:
        node.stop()
        return 0
    out.error("Some Ray subprocesses exited unexpectedly:")
    for name, status in missed:
        out.error(f"  {name} [exit code={status}]")
    out.error("Remaining processes will be killed.")
    node.kill()
    return 1


class _Ended(Exception):
    """The command was told to end."""


def _wait_for_missed(node: Node) -> list[tuple[str, int]]:
    """(name, status) of processes that ended as none should; empty: all ended as told to."""
    alive = {os.pidfd_open(service.pid): service for service in node.services()}
    while alive:
        for descriptor in select.select(list(alive), [], [])[0]:
            service = alive.pop(descriptor)
            os.close(descriptor)
            status = service.process.wait()
            if status not in _GRACEFUL:
                return [(service.name, status)]
    return []
