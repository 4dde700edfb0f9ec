"""Coroutines that run beside the handler that began them. Floor: wire, shell."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ray._core.common.messages import Request
from ray._core.wire.aio import Connection


class Background:
    """Holds each until its end, since asyncio itself does not; tells the loop's exception handler when one fails."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Background running={len(self)}>"

    def __len__(self) -> int:
        """How many run."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def answer(self, connection: Connection, request: Request, work: Coroutine[Any, Any, None]) -> None:
        """Start what answers a request. If it fails, the request fails, so that nobody waits for its answer."""
        self.start(self._answer(connection, request, work))

    def cancel(self) -> None:
        """End all of them, at their next step."""
        for task in self._tasks:
            task.cancel()

    async def _answer(self, connection: Connection, request: Request, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            text = f"{type(request).__name__} could not be answered ({error!r}); this is a bug, see the peer's log."
            connection.fail(request, "internal", text)
            raise

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            told = {"message": "What ran beside a handler failed.", "exception": error, "task": task}
            task.get_loop().call_exception_handler(told)
