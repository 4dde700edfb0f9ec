"""Running the tools that build environments, under the names that tests and plug-ins import."""

from __future__ import annotations

import logging
from typing import Any

from ray._private.runtime_env.commands import SubprocessCalledProcessError, run


async def check_output_cmd(cmd: list[str], *, logger: logging.Logger, cmd_index_gen: Any = None, **kwargs: Any) -> str:
    """What a command writes, with its lines in the log.

    Args:
        kwargs: `env` and `cwd`.
    Raises:
        SubprocessCalledProcessError: its exit code is not 0.
    """
    return await run(cmd, logger, **kwargs)


__all__ = ["SubprocessCalledProcessError", "check_output_cmd"]
