"""The zygote's program, and that of a worker which has an interpreter of its own.

With `--zygote-fd N`, in a fork of the raylet: imports what every worker needs, then forks on the raylet's word.
`python default_worker.py --worker-id HEX --job-id HEX`, run by setup_worker.py: is one worker.
"""

from __future__ import annotations

import argparse
import importlib
import os
import socket
import sys
from functools import partial
from typing import Any, NoReturn

if sys.path and os.path.abspath(sys.path[0]) == os.path.dirname(os.path.abspath(__file__)):
    del sys.path[0]  # run by its path: the modules beside it are not meant to be imported by their bare names

import cloudpickle  # noqa: F401 - every worker unpickles functions; importing it costs a child 12 ms

import ray._private.worker  # noqa: F401 - tasks call ray.get and f.remote; importing it costs a child 80 ms
from ray._core.common.messages import Fork
from ray._core.raylet import zygote
from ray._core.worker import invocation
from ray._core.worker.core import CoreWorker
from ray._core.worker.main import prepare, run
from ray._core.worker.process_title import ProcessTitle


def import_for(request: Fork) -> bool:
    """Import what the node's agent consists of before it is forked, so that zygote and agent share it: 1 MiB.

    Only then, when the first workers are there already.
    """
    name = "ray._core.agent.main"
    if request.role != "agent" or name in sys.modules:
        return False
    importlib.import_module(name)
    return True


def run_child(core: CoreWorker, request: Fork) -> NoReturn:
    """What a fork does; it never returns to the zygote. `core` was made there."""
    if request.role == "agent":
        from ray._core.agent import main as agent

        ProcessTitle().show("Agent")
        agent.main(request.argv)
        raise SystemExit
    if request.role == "exec":
        from ray.workers import setup_worker

        ids = (f"--worker-id={request.worker_id.hex()}", f"--job-id={request.job_id.hex()}")
        setup_worker.main([__file__, *ids, *request.argv])
    _be_worker(core, request.worker_id, request.job_id)


def _be_worker(core: CoreWorker, worker_id: bytes, job_id: bytes) -> NoReturn:
    sys.breakpointhook = _breakpoint
    if os.environ.get("RAY_DEBUG_POST_MORTEM", "0") == "1":
        from ray.util import rpdb

        invocation.post_mortem = rpdb._post_mortem
    run(core, worker_id, job_id)


def _breakpoint(*args: Any, **kwargs: Any) -> None:
    """`breakpoint()` in a task waits for a debugger, for a worker has no terminal."""
    from ray.util import rpdb

    frame = sys._getframe().f_back
    rpdb.stop_at(frame)


def _preload(modules: list[str]) -> None:
    """A module that fails here fails in the task that needs it, too, and that is where its user looks."""
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:
            print(f"preload_python_modules: {name} could not be imported: {error!r}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description="Forks workers, or is one. Started by the raylet.")
    parser.add_argument("--zygote-fd", type=int, help="inherited socket to the raylet: be the zygote")
    parser.add_argument("modules", nargs="*", help="with --zygote-fd: import these, too")
    parser.add_argument("--worker-id", default="", help="in hex: be this worker")
    parser.add_argument("--job-id", default="", help="in hex: the job that the worker is for")
    args, _ = parser.parse_known_args()
    if args.zygote_fd is not None:
        os.environ["RAY_RAYLET_PID"] = str(os.getppid())
        ProcessTitle("").show("raylet: zygote")  # a fork has its parent's
        _preload(args.modules)
        zygote.serve(socket.socket(fileno=args.zygote_fd), import_for, partial(run_child, prepare()))
    elif args.worker_id:
        _be_worker(prepare(), bytes.fromhex(args.worker_id), bytes.fromhex(args.job_id))
    else:
        parser.error("one of --zygote-fd and --worker-id is needed")


if __name__ == "__main__":
    main()
