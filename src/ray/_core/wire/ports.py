"""Ports within limits, for machines behind a firewall. Floor: wire; `ports` is pure."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Sequence

WORKER_PORTS = "RAY_WORKER_PORTS"
"""The variable that tells a node's workers where they may listen; in the form that `ports` reads."""


def ports(text: str) -> Sequence[int]:
    """The ports that "10002-19999" or "7001,7002" names; none for "".

    Raises:
        ValueError: it is neither.
    """
    least, separator, greatest = text.partition("-")
    try:
        if separator:
            if int(least) > int(greatest):
                raise ValueError("the first is greater than the last")
            return range(int(least), int(greatest) + 1)
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(f"{text!r} is neither a range of ports nor a list of them: {error}.") from None


def bind_within(sock: socket.socket, host: str, allowed: Sequence[int]) -> None:
    """Bind to one of the ports, tried from a random one on; to any when none is named.

    Raises:
        OSError: all are taken.
    """
    if not allowed:
        sock.bind((host, 0))
        return
    first = random.randrange(len(allowed))
    for number in range(len(allowed)):
        try:
            sock.bind((host, allowed[(first + number) % len(allowed)]))
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(
        errno.EADDRINUSE,
        f"All {len(allowed)} ports that workers may listen on are taken. Give the node more of them "
        "(--min-worker-port, --max-worker-port, --worker-port-list).",
    )
