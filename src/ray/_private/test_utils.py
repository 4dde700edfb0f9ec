"""Helpers that third-party tests import."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any


def wait_for_condition(
    condition_predictor: Callable[..., bool],
    timeout: float = 10,
    retry_interval_ms: int = 100,
    raise_exceptions: bool = False,
    **kwargs: Any,
) -> None:
    """Call the predicate again and again until it says True.

    Args:
        timeout: seconds.
        raise_exceptions: an exception of the predicate is raised at once; else it counts as False.
    Raises:
        RuntimeError: the time is over; the text tells the last exception.
    """
    deadline_at_s = time.monotonic() + timeout
    last: Exception | None = None
    while time.monotonic() < deadline_at_s:
        try:
            if condition_predictor(**kwargs):
                return
        except Exception as error:
            if raise_exceptions:
                raise
            last = error
        time.sleep(retry_interval_ms / 1000)
    said = f" Last exception: {last!r}" if last else ""
    raise RuntimeError(f"The condition wasn't met before the timeout expired ({timeout} s).{said}") from last


def run_string_as_driver(driver_script: str, env: Mapping[str, str] | None = None, encode: str = "utf-8") -> str:
    """Run a script in a process of its own; its output. Raises CalledProcessError when it fails."""
    done = subprocess.run(
        [sys.executable, "-"],
        input=driver_script.encode(encode),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=None if env is None else dict(env),
        check=False,
    )
    output = done.stdout.decode(encode, "replace")
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, done.args, output)
    return output
