"""Runs the tools that build environments."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
from collections.abc import Mapping, Sequence

LINES_KEPT = 50


class SubprocessCalledProcessError(RuntimeError):
    """A tool failed; the text has its command and the end of its output."""


async def run(
    command: Sequence[str],
    logger: logging.Logger,
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
) -> str:
    """Run a command, with its output line by line in the log; returns the output (stdout and stderr).

    Raises:
        SubprocessCalledProcessError: its exit code is not 0.
        OSError: there is no such program.
    """
    logger.info("Running: %s", shlex.join(command))
    process = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 20,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        async for raw in process.stdout:
            lines.append(raw.decode(errors="replace").rstrip())
            logger.info("  %s", lines[-1])
        code = await process.wait()
    except BaseException:  # cancelled, by the timeout of the environment: its children go with it
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if code != 0:
        tail = "\n".join(f"    {line}" for line in lines[-LINES_KEPT:])
        raise SubprocessCalledProcessError(
            f"Run cmd failed with the following details.\nCommand '{shlex.join(command)}' returned non-zero exit "
            f"status {code}.\nLast {LINES_KEPT} lines of its output:\n{tail}"
        )
    return "\n".join(lines)
