"""The zygote's entry point: imports what every worker needs, then forks on the raylet's word.

`python -m ray.workers.default_worker --zygote-fd N`, run by the raylet.
"""

from __future__ import annotations

import argparse
import socket
from typing import NoReturn

import cloudpickle  # noqa: F401 - every worker unpickles functions; importing it costs a child 12 ms

import ray._private.worker  # noqa: F401 - tasks call ray.get and f.remote; importing it costs a child 80 ms
from ray._core.common.messages import Fork
from ray._core.raylet import zygote
from ray._core.worker.main import run


def run_child(request: Fork) -> NoReturn:
    """What a fork does; it never returns to the zygote."""
    if request.role == "agent":
        from ray._core.agent import main as agent  # here, so that the zygote's memory has no asyncio in it

        agent.main(request.argv)
        raise SystemExit
    run(request.worker_id, request.job_id)


def main() -> None:
    parser = argparse.ArgumentParser(description="Forks workers. Started by the raylet.")
    parser.add_argument("--zygote-fd", type=int, required=True, help="inherited socket to the raylet")
    zygote.serve(socket.socket(fileno=parser.parse_args().zygote_fd), run_child)


if __name__ == "__main__":
    main()
