"""The session directory, and the file that says which cluster runs here. Floor: node, shell.

<temp>/ray_current_cluster       "host:port", written by `ray start`
<temp>/session_latest            link to the newest session
<temp>/session_<time>_<pid>/     mode 0700: logs/ and sockets/ of the session's nodes on this machine
"""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import tempfile
from pathlib import Path

LONGEST_SOCKET_PATH = 107
"""Bytes, of the kernel."""
_LONGEST_NAME = len("0123456789ab") + len("4194304")
"""A core worker's socket: part of its id, and its pid."""
CURRENT_CLUSTER = "ray_current_cluster"


def temp_dir(given: str | None = None) -> Path:
    """Where sessions have their directories.

    Source: Ray docs, "Configuring Ray": RAY_TMPDIR, then TMPDIR, then /tmp.
    """
    return Path(os.path.abspath(given or os.path.join(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray")))


def new_session_name() -> str:
    stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S_%f")
    return f"session_{stamp}_{os.getpid()}"


def prepare(temp: Path, session_name: str) -> Path:
    """Make (or find) the session's directory with all that belongs in it.

    Raises:
        OSError: it cannot be made, or its sockets' paths would be too long for the kernel.
    """
    session = temp / session_name
    longest = len(os.fsencode(session / "sockets")) + 1 + _LONGEST_NAME
    if longest > LONGEST_SOCKET_PATH:
        raise OSError(
            f"AF_UNIX path length cannot exceed {LONGEST_SOCKET_PATH} bytes, and sockets below {session} would have "
            f"{longest}. Choose a shorter temp dir (--temp-dir, _temp_dir or RAY_TMPDIR)."
        )
    temp.mkdir(parents=True, exist_ok=True)
    for directory in (session, session / "logs", session / "sockets", session / "runtime_resources"):
        directory.mkdir(mode=0o700, exist_ok=True)
    _point_latest(temp, session_name)
    return session


def _point_latest(temp: Path, session_name: str) -> None:
    """Replace the link in one step, since several sessions may start at once."""
    link = temp / f".session_latest_{os.getpid()}_{id(session_name)}"
    with contextlib.suppress(PermissionError):  # the temp dir is another user's: sessions there work without the link
        os.symlink(temp / session_name, link)
        os.replace(link, temp / "session_latest")


def listen(sockets_dir: Path, name: str) -> tuple[socket.socket, str]:
    """A listening Unix socket at `name`, or the first free of `name.1`, `name.2`, …; and the name it got."""
    number = 0
    while True:
        unique = f"{name}.{number}" if number else name
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.bind(str(sockets_dir / unique))
        except OSError as error:
            sock.close()
            if not (sockets_dir / unique).exists():
                raise OSError(f"Cannot listen at {sockets_dir / unique}: {error}") from error
            number += 1
            continue
        sock.listen(1024)
        return sock, unique


def write_current_cluster(temp: Path, address: str) -> None:
    """Say that the cluster at `address` runs here. In one step: readers never see half of it."""
    part = temp / f".{CURRENT_CLUSTER}_{os.getpid()}"
    part.write_text(address)
    os.replace(part, temp / CURRENT_CLUSTER)


def read_current_cluster(temp: Path) -> str:
    """ "host:port", or "" """
    try:
        return (temp / CURRENT_CLUSTER).read_text().strip()
    except FileNotFoundError:
        return ""
