"""The dashboard's process, started by the head's raylet at the first connection to its port.

`python -m ray.dashboard.dashboard --listen-fd N --gcs-address H:P --session-dir DIR [--allowed-host NAME …]`
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette

import ray
from ray._core.common import messages as m
from ray._core.common import service_logging
from ray._core.wire import auth
from ray._private.auto_init_hook import connected_core
from ray._private.not_included import absent_names
from ray.dashboard.guard import Guard, own_names
from ray.dashboard.modules.job.common import RAY_INTERNAL_NAMESPACE_PREFIX
from ray.dashboard.modules.job.job_head import JobHead
from ray.dashboard.modules.job.job_manager import JobManager
from ray.dashboard.modules.state import StateHead

logger = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1


def make_app(session_dir: Path, gcs_address: str) -> Starlette:
    """The application without its guard; this process must be connected to the cluster."""
    nodes: list[m.NodeInfo] = connected_core().ask_gcs(m.ListNodes()).nodes
    head = next(node.node_id.hex() for node in nodes if node.is_head and node.state == "ALIVE")
    manager = JobManager(gcs_address, head)
    jobs = JobHead(manager, session_dir / "logs", session_dir.name)
    state = StateHead()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await manager.recover()
        yield

    return Starlette(routes=[*jobs.routes(), *state.routes()], lifespan=lifespan)


def main() -> None:
    parser = argparse.ArgumentParser(prog="dashboard", description="The HTTP face of a pure-ray cluster.")
    parser.add_argument("--listen-fd", type=int, required=True, help="inherited socket that is bound and listens")
    parser.add_argument("--gcs-address", required=True, help="host:port")
    parser.add_argument("--session-dir", required=True)
    parser.add_argument("--allowed-host", action="append", default=[], help="a name that requests may call it by")
    args = parser.parse_args()
    service_logging.set_up("dashboard")
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # it is its raylet's
    ray.init(
        address=args.gcs_address,
        namespace=f"{RAY_INTERNAL_NAMESPACE_PREFIX}dashboard",
        log_to_driver=False,
        configure_logging=False,
    )
    token = auth.load_token().decode() or None
    app: Any = Guard(make_app(Path(args.session_dir), args.gcs_address), token, own_names(*args.allowed_host))
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="websockets-sansio", timeout_graceful_shutdown=1)
    sock = socket.socket(fileno=args.listen_fd)
    sock.setblocking(False)
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main()


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "Dashboard",
    )
