"""Whether the other end of a TCP connection is a process of this user on this machine.

Floor: wire, shell. For listeners that plain tools (telnet, nc) must reach, where a handshake cannot be asked of the
peer: the debugger. Linux only; elsewhere nobody is known.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path


def is_own_process(sock: socket.socket) -> bool:
    """The kernel's table of sockets says who owns the other end (proc_net_tcp(5), column uid)."""
    address, port = sock.getpeername()[:2]
    uid = _owner("/proc/net/tcp" if sock.family == socket.AF_INET else "/proc/net/tcp6", address, port, sock.family)
    return uid is not None and uid in (0, os.geteuid())


def _owner(table: str, address: str, port: int, family: int) -> int | None:
    wanted = f"{_kernel_form(address, family)}:{port:04X}"
    try:
        lines = Path(table).read_text().splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if fields[1] == wanted:
            return int(fields[7])
    return None


def _kernel_form(address: str, family: int) -> str:
    """The address as the kernel prints it: words of the machine's byte order."""
    words = struct.unpack(f"={1 if family == socket.AF_INET else 4}I", socket.inet_pton(family, address))
    return "".join(f"{word:08X}" for word in words)
