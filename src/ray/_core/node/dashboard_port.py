"""The port of a head's dashboard, bound before there is a dashboard. Floor: node, shell."""

from __future__ import annotations

import importlib.util
import socket

DEFAULT_PORT = 8265
PORTS_TRIED = 50
NEEDED = ("starlette", "uvicorn", "websockets")
"""Packages without which there is no dashboard (`pip install pure-ray[default]`)."""


def bind(host: str, port: int | None, wanted: bool | None) -> socket.socket | None:
    """A listening socket, or None for a head without dashboard.

    Args:
        port: None: the default one, or one of the next when that is taken. 0: any.
        wanted: None: if the packages for it are installed.
    Raises:
        ModuleNotFoundError: it is wanted, and a package is missing.
        OSError: the port that was asked for is taken.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if wanted is False or (missing and not wanted):
        return None
    if missing:
        raise ModuleNotFoundError(
            f"The dashboard needs {', '.join(missing)}: pip install 'pure-ray[default]', or start without it "
            "(include_dashboard=False)."
        )
    tried = [port] if port is not None else [DEFAULT_PORT + number for number in range(PORTS_TRIED)]
    for candidate in tried:
        try:
            return socket.create_server((host, candidate), backlog=128)
        except OSError as error:
            if candidate == tried[-1]:
                raise OSError(
                    f"Failed to bind to {host}:{candidate} because it's already occupied. You can use `ray start "
                    "--dashboard-port ...` or `ray.init(dashboard_port=...)` to select a different port."
                ) from error
    raise AssertionError("unreachable")
