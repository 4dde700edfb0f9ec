"""`ray drain-node`, `ray kill-actor` and `ray global-gc`: orders to a running cluster."""

from __future__ import annotations

import os
import time

import click

from ray._core.common import messages as m
from ray._core.node import membership
from ray._core.wire import blocking
from ray.scripts.where import ADDRESS, gcs

NODE_ID_SIZE = 28
REASONS = ["DRAIN_NODE_REASON_IDLE_TERMINATION", "DRAIN_NODE_REASON_PREEMPTION"]


@click.command("drain-node", hidden=True)
@ADDRESS
@click.option("--node-id", help="In hex; default: this machine's node.")
@click.option("--reason", type=click.Choice(REASONS), required=True, help="An idle termination is refused when busy.")
@click.option("--reason-message", required=True, help="For people who wonder.")
@click.option(
    "--deadline-remaining-seconds",
    type=click.IntRange(min=0),
    help="When the node will be gone. What runs there goes on until then; programs may ask when that is.",
)
def drain_node(
    address: str | None,
    node_id: str | None,
    reason: str,
    reason_message: str,
    deadline_remaining_seconds: int | None,
) -> None:
    """Let no new work come to a node; one that is not the head ends when nothing is left on it."""
    at_ms = 0 if deadline_remaining_seconds is None else int((time.time() + deadline_remaining_seconds) * 1000)
    with gcs(address) as client:
        binary = _node_here(client) if node_id is None else _parse(node_id)
        client.request(m.DrainNode(node_id=binary, reason=reason, message=reason_message, deadline_ms=at_ms))


def _parse(node_id: str) -> bytes:
    try:
        binary = bytes.fromhex(node_id)
    except ValueError:
        binary = b""
    if len(binary) != NODE_ID_SIZE:
        raise click.BadParameter(f"Invalid hex ID of a Ray node, got {node_id}")
    return binary


def _node_here(client: blocking.Client) -> bytes:
    for node in membership.list_nodes(client):
        if node.state == "ALIVE" and os.path.exists(node.raylet_path):
            found: bytes = node.node_id
            return found
    raise click.ClickException("No node of the cluster runs on this machine; name one by --node-id.")


@click.command("kill-actor")
@ADDRESS
@click.option("--name", required=True, help="Of the actor.")
@click.option("--namespace", default="", help="Where it has that name.")
@click.option("--force", is_flag=True, help="At once, instead of after what it has been sent.")
@click.option("--no-restart", is_flag=True, help="Even if restarts are left.")
def kill_actor(address: str | None, name: str, namespace: str, force: bool, no_restart: bool) -> None:
    """End a named actor."""
    with gcs(address) as client:
        info = client.request(m.GetActor(name=name, namespace=namespace)).info
        if info is None:
            raise click.ClickException(f"No named actor found: {name} (namespace={namespace or None})")
        cause = "It was killed by `ray kill-actor`."
        client.request(m.KillActor(actor_id=info.actor_id, no_restart=no_restart, cause=cause, force=force))
    click.echo(f"Killed actor {name} ({info.actor_id.hex()}).")


@click.command("global-gc", hidden=True)
@ADDRESS
def global_gc(address: str | None) -> None:
    """Have all processes of the cluster look for garbage."""
    with gcs(address) as client:
        client.send(m.CollectGarbage())
        client.request(m.Ping())  # the order has been taken
    click.echo("Triggered gc on all workers.")
