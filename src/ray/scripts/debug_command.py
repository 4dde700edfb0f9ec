"""`ray debug`: the breakpoints that tasks wait at, and a session with one of them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
from datetime import datetime
from typing import Any

import click

from ray._core.common import messages as m
from ray._core.wire import auth, tls
from ray.scripts import where
from ray.util.rpdb import KEY_PREFIX, NAMESPACE
from ray.util.state.state_text import table


@click.command()
@where.ADDRESS
@click.option("-v", "--verbose", is_flag=True, help="Show where in the code each one waits.")
def debug(address: str | None, verbose: bool) -> None:
    """Show the active breakpoints and attach to one."""
    while True:
        sessions = _sessions(address)
        if not sessions:
            click.echo("No active breakpoints: put `breakpoint()` into a task and run it.")
        else:
            _show(sessions, verbose)
        said = click.prompt("Enter breakpoint index or press enter to refresh", default="", show_default=False)
        if said.isdigit() and int(said) < len(sessions):
            attach(sessions[int(said)]["pdb_address"])
        elif said in ("q", "quit", "exit"):
            return
        elif said:
            click.echo(f"{said!r} is no index; q ends.")


def _sessions(address: str | None) -> list[dict[str, Any]]:
    with where.gcs(address) as gcs:
        keys = gcs.request(m.KvKeys(namespace=NAMESPACE, prefix=KEY_PREFIX.encode())).keys
        values = [gcs.request(m.KvGet(namespace=NAMESPACE, key=key)).value for key in keys]
    found = [json.loads(value) for value in values if value is not None]  # one may have ended meanwhile
    return sorted(found, key=lambda session: float(session["timestamp"]))


def _show(sessions: list[dict[str, Any]], verbose: bool) -> None:
    rows = [
        [
            datetime.fromtimestamp(each["timestamp"]).strftime("%Y-%m-%d %H:%M:%S"),
            each["proctitle"],
            f"{each['filename']}:{each['lineno']}",
        ]
        for each in sessions
    ]
    click.echo("Active breakpoints:\n" + table(["TIMESTAMP", "RAY TASK", "FILENAME:LINENO"], rows))
    if verbose:
        for number, each in enumerate(sessions):
            click.echo(f"\n{number}:\n{each['traceback']}")


def attach(address: str) -> None:
    """Connect this terminal with a breakpoint until the session ends.

    Raises ClickException when nobody waits there any more.
    """
    host, _, port = address.rpartition(":")
    try:
        connection = socket.create_connection((host, int(port)), timeout=10)
        if host != "127.0.0.1":  # there a process of the same user is let in as it is
            connection = tls.wrap(connection, tls.client_context(host), host)
            auth.handshake_blocking(connection, auth.load_token())
        connection.settimeout(None)
    except OSError as error:
        raise click.ClickException(f"The breakpoint at {address} cannot be reached: {error}") from error
    with connection:
        relay(connection, sys.stdin.fileno(), sys.stdout.fileno())


def relay(connection: socket.socket, source: int, sink: int) -> None:
    """Bytes from descriptor `source` to the connection and from there to `sink`, until the connection ends."""
    sources: list[Any] = [connection, source]
    while True:
        readable, _, _ = select.select(sources, [], [])
        if connection in readable:
            try:
                data = connection.recv(1 << 16)
            except ConnectionResetError:
                return
            if not data:
                return
            os.write(sink, data)
        if source in readable:
            data = os.read(source, 1 << 16)
            if data:
                with contextlib.suppress(BrokenPipeError):  # the session has just ended: seen at the next turn
                    connection.sendall(data)
            else:
                sources.remove(source)
                connection.shutdown(socket.SHUT_WR)
