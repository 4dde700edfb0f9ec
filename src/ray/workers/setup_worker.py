"""Turns its own process into a worker of a runtime environment.

`python setup_worker.py WORKER_SCRIPT FLAGS… --language=PYTHON --serialized-runtime-env-context=JSON`, run by the raylet
and by the proxy of the Ray Client. What it does not know of goes to the worker unchanged.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

_HERE = os.path.dirname(os.path.abspath(__file__))
if sys.path and os.path.abspath(sys.path[0]) == _HERE:
    del sys.path[0]  # run by its path: the modules beside it are not meant to be imported by their bare names

from ray._private.runtime_env.context import RuntimeEnvContext  # noqa: E402 - after the path is right

LANGUAGES = ("PYTHON", "JAVA", "CPP")


def main(argv: list[str] | None = None) -> NoReturn:
    """Become the worker. `argv` None: the command line; the zygote's forks pass theirs."""
    parser = argparse.ArgumentParser(description="Set up the environment of a Ray worker and become it.")
    parser.add_argument("--serialized-runtime-env-context", default="{}", help="JSON of a RuntimeEnvContext")
    parser.add_argument("--language", choices=LANGUAGES, type=str.upper, default="PYTHON")
    args, remaining = parser.parse_known_args(argv)
    context = RuntimeEnvContext.deserialize(args.serialized_runtime_env_context or "{}")
    context.exec_worker(remaining, args.language)


if __name__ == "__main__":
    main()
