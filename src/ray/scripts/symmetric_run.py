"""`ray symmetric-run`: the same command on every machine makes a cluster, runs a program on its head, and ends it.

Source: Ray docs, "ray symmetric-run": batch systems such as Slurm start one command on all machines of a job.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import time

import click

from ray._core.common import messages as m
from ray._core.node import machine, membership
from ray.scripts.output import out

POLL_S = 0.2
"""How often a machine looks whether the head serves yet."""
JOIN_TIMEOUT_S = 300.0


@click.command(
    "symmetric-run",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    help="Start Ray on all machines, run ENTRYPOINT, and stop.\n\n"
    "The same command on each; ENTRYPOINT runs on the head:\n\n"
    "ray symmetric-run --address HEAD:6379 [options of `ray start`] -- ENTRYPOINT",
)
@click.option("--address", required=True, help="host:port of the head; whose machine has the address is the head.")
@click.option("--min-nodes", type=click.IntRange(min=1), default=1, help="Begin only once so many nodes are there.")
@click.argument("start_and_entrypoint", nargs=-1, type=click.UNPROCESSED)
def symmetric_run(address: str, min_nodes: int, start_and_entrypoint: tuple[str, ...]) -> None:
    flags, entrypoint = split(sys.argv, start_and_entrypoint)
    if not entrypoint:
        raise click.ClickException("No entrypoint: put the program behind `--`.")
    for flag in flags:
        if flag.partition("=")[0] in ("--head", "--block", "--address", "--port", "--node-ip-address"):
            raise click.ClickException(f"`{flag}` is what this command decides itself.")
    try:
        host, port = membership.split_address(address)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(_head(host, port, min_nodes, flags, entrypoint) if _is_here(host) else _worker(address, flags))


def split(argv: list[str], given: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """(flags of `ray start`, entrypoint). Pure. click drops the first `--`, so it is looked for in the command line."""
    behind = argv[argv.index("--") + 1 :] if "--" in argv else []
    flags = list(given[: len(given) - len(behind)])
    return flags, behind


def _is_here(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1", machine.node_ip(), machine.node_ip(host))


def _start(*flags: str) -> subprocess.Popen[bytes]:
    """`ray start --block`: the node ends with its command."""
    return subprocess.Popen([sys.executable, "-m", "ray.scripts.scripts", "start", *flags, "--block"])


def _head(host: str, port: int, min_nodes: int, flags: list[str], entrypoint: list[str]) -> int:
    ip = "127.0.0.1" if host == "localhost" else host
    node = _start("--head", f"--node-ip-address={ip}", f"--port={port}", *flags)
    address = f"{ip}:{port}"
    try:
        _wait_for_nodes(node, address, min_nodes)
        out.print(f"Running on {min_nodes} or more nodes: {shlex.join(entrypoint)}")
        return subprocess.run(entrypoint, env={**os.environ, "RAY_ADDRESS": address}, check=False).returncode
    finally:
        node.terminate()
        node.wait()


def _wait_for_nodes(node: subprocess.Popen[bytes], address: str, count: int) -> None:
    deadline_at_s = time.monotonic() + JOIN_TIMEOUT_S
    while not membership.is_serving(address):
        if node.poll() is not None:
            raise click.ClickException("The head did not start; see above.")
        if time.monotonic() > deadline_at_s:
            raise click.ClickException(f"The head does not serve after {JOIN_TIMEOUT_S:g} s; see above.")
        time.sleep(POLL_S)
    with membership.open_client(address, "cli") as client:
        left_s = deadline_at_s - time.monotonic()
        if membership.wait_for_state(client, lambda nodes: _living(nodes) >= count, left_s) is None:
            there = _living(membership.list_nodes(client))
            raise click.ClickException(f"Only {there} of {count} nodes are there after {JOIN_TIMEOUT_S:g} s.")


def _living(nodes: list[m.NodeInfo]) -> int:
    return sum(node.state == "ALIVE" for node in nodes)


def _worker(address: str, flags: list[str]) -> int:
    deadline_at_s = time.monotonic() + JOIN_TIMEOUT_S
    while not membership.is_serving(address):
        if time.monotonic() > deadline_at_s:
            raise click.ClickException(f"No head serves at {address} after {JOIN_TIMEOUT_S:g} s.")
        time.sleep(POLL_S)
    node = _start(f"--address={address}", *flags)
    try:
        _wait_for_end(node, address)
    finally:
        node.terminate()
        node.wait()
    return 0


def _wait_for_end(node: subprocess.Popen[bytes], address: str) -> None:
    """Returns when this machine's node has ended, or the head serves no more."""
    while node.poll() is None and membership.is_serving(address):
        with contextlib.suppress(ConnectionError), membership.open_client(address, "cli") as client:
            while node.poll() is None:
                client.next_messages(1.0)  # nothing comes: it returns at once when the head closes
