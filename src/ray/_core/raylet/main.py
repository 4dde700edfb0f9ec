"""A raylet's process: it forks the zygote off, then serves.

Floor: raylet, shell. `python -m ray._core.raylet.main --settings JSON --ready-fd N`, run by node.services. At the top
are the imports that raylet and zygote share; each makes its own at the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from ray._core.common import config, service_logging
from ray._core.raylet import zygote_process
from ray._core.wire import aio  # noqa: F401 - with the messages and the codec it is most of what both need


def main() -> None:
    parser = argparse.ArgumentParser(prog="raylet", description="The local scheduler of a pure-ray node.")
    parser.add_argument("--session-dir", required=True, help="of this node's session; `ray stop` goes by it")
    parser.add_argument("--listen-fd", type=int, required=True, help="inherited Unix socket, bound and listening")
    parser.add_argument("--settings", required=True, help="JSON of this node's settings")
    parser.add_argument("--ready-fd", type=int, required=True, help="pipe on which to say that it serves")
    args = parser.parse_args()
    settings: dict[str, Any] = json.loads(args.settings)
    dashboard = settings.get("dashboard")
    not_for_it = [args.listen_fd, args.ready_fd, *([dashboard["fd"]] if dashboard else [])]
    zygote = zygote_process.fork(config.load(settings["config"]).preload_python_modules, not_for_it)

    from ray._core.raylet import server
    from ray._core.raylet.machine import Machine

    service_logging.set_up("raylet")
    asyncio.run(server.serve(settings, Machine(args.listen_fd, zygote), args.ready_fd))


if __name__ == "__main__":
    main()
