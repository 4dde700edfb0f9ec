"""The log monitor: what the workers of this node print goes to the GCS, which has it for the job's driver.

Floor: agent, shell. Alone: `python -m ray._core.agent.main --only log_monitor …` (see main).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable
from typing import Protocol

from ray._core.agent.log_lines import Lines, LogStream
from ray._core.agent.log_rotation import ROTATED, Rotator
from ray._core.agent.watch import watch
from ray._core.common import log_markers
from ray._core.common.messages import LogLine, LogLines
from ray._core.wire.background import Background

logger = logging.getLogger(__name__)
WORKER_FILE = re.compile(r"worker-[0-9a-f]+-[0-9a-f]*-(\d+)\.(out|err)")
READ_BYTES = 256 * 1024
"""Read of one file at a time, so that one that prints without end does not keep the others waiting."""
QUIET_S = 0.5
"""A line without its newline is shipped once its file has been quiet for this long."""


class Sender(Protocol):
    """The connection to the GCS."""

    def send(self, message: LogLines) -> None: ...

    async def drain(self) -> None: ...


class _Tail:
    """A file that is being read."""

    def __init__(self, path: str, node_id: bytes, pid: int, is_err: bool) -> None:
        self.path, self.pid, self.is_err = path, pid, is_err
        self.offset = 0
        self.marked_before = 0
        """From this offset on the file has no marks."""
        self.stream = LogStream(node_id)
        self.is_closed = False
        """Somebody who wrote into it has closed it: its worker, which so ended, or one of that worker's children."""
        self.quiet: asyncio.TimerHandle | None = None

    def head(self, node_id: bytes) -> tuple[bytes, bytes]:
        """What the file must begin with for its reader to know where it is: header, and the marks in force."""
        stream = self.stream
        marks = log_markers.marker(log_markers.JOB, stream.job_id.hex()) if stream.job_id else b""
        if stream.name:
            marks += log_markers.marker(log_markers.ACTOR if stream.is_actor else log_markers.TASK, stream.name)
        return log_markers.header(node_id), marks

    def read(self) -> tuple[list[Lines], bool]:
        """The next lines, and whether there may be more. A file that is gone has no more."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(self.offset)
                data = file.read(READ_BYTES)
        except FileNotFoundError:
            return [], False
        self.offset += len(data)
        marks = self.stream.marks
        found = self.stream.feed(data)
        if self.stream.marks != marks:
            self.marked_before = self.offset
        return found, len(data) == READ_BYTES


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's by now
        return True
    return True


class LogMonitor:
    """Reads the worker logs in `log_dir` that belong to `node_id`.

    Args:
        resume: what is in the files already has been shipped by the log monitor that ran before this one.
        rotator: of that directory; None: files grow without end.
    """

    def __init__(
        self,
        log_dir: str,
        node_id: bytes,
        node_ip: str,
        sender: Sender,
        resume: bool = False,
        rotator: Rotator | None = None,
    ) -> None:
        self._rotator = rotator
        self._rotations = Background()
        self._log_dir, self._node_id, self._node_ip = log_dir, node_id, node_ip
        self._sender = sender
        self._resume = resume
        self._tails: dict[str, _Tail] = {}
        self._ended: set[str] = set()
        """Files that are read to their ends; so a flush looks at the files of living workers only."""
        self._dirty: dict[str, None] = {}
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stop_watching: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"<LogMonitor files={len(self._tails)} dirty={len(self._dirty)}>"

    def start(self) -> None:
        """Watch first, look second: nothing falls between."""
        self._stop_watching = watch(self._log_dir, self._changed)
        if self._resume:
            for tail in self._tails_of(os.listdir(self._log_dir)):
                while tail.read()[1]:
                    pass
        self._changed(set(os.listdir(self._log_dir)), set())
        self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        self._stop_watching()
        if self._task is not None:
            self._task.cancel()
        self._rotations.cancel()

    async def flush(self, job_id: bytes) -> None:
        """Ship all that has been written for a job until now, unfinished lines too."""
        for tail in self._tails_of(os.listdir(self._log_dir)):
            while True:
                more = self._ship(tail)
                if tail.stream.job_id == job_id and not more:
                    self._send(tail, tail.stream.finish())
                if not more:
                    self._end_if_over(tail)
                    break
                await self._sender.drain()

    # ---------------------------------------------------------- inside

    def _tails_of(self, names: list[str] | set[str]) -> list[_Tail]:
        return [tail for name in names if (tail := self._tail(name)) is not None]

    def _tail(self, name: str) -> _Tail | None:
        tail = self._tails.get(name)
        if tail is None and name not in self._ended:
            match = WORKER_FILE.fullmatch(name)
            if match is None:
                return None
            path = os.path.join(self._log_dir, name)
            tail = self._tails[name] = _Tail(path, self._node_id, int(match[1]), match[2] == "err")
        return tail

    def _changed(self, names: set[str], closed: set[str]) -> None:
        for name in names:
            tail = self._tail(name)
            if tail is None:
                self._look_at_size(name)
            elif not tail.stream.is_foreign:
                self._dirty[name] = None
                tail.is_closed = tail.is_closed or name in closed
                if tail.quiet is not None:
                    tail.quiet.cancel()
                    tail.quiet = None
        if self._dirty:
            self._work.set()

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._dirty:
                name = next(iter(self._dirty))
                del self._dirty[name]
                tail = self._tails[name]
                if self._ship(tail):
                    self._dirty[name] = None  # at the end of the line of those that have more
                elif tail.stream.has_rest:
                    self._ship_rest_later(tail)
                await self._sender.drain()

    def _end_if_over(self, tail: _Tail) -> None:
        """The file is read to its end: if its worker has ended as well, nothing will follow."""
        name = os.path.basename(tail.path)
        if tail.is_closed and name not in self._dirty and not _runs(tail.pid):
            self._send(tail, tail.stream.finish())
            if tail.quiet is not None:
                tail.quiet.cancel()
            del self._tails[name]
            self._ended.add(name)

    def _ship(self, tail: _Tail) -> bool:
        found, more = tail.read()
        self._send(tail, found)
        name = os.path.basename(tail.path)
        if not more and self._rotator is not None and self._rotator.is_due(name, tail.offset):
            self._rotations.start(self._rotate_tail(self._rotator, tail, name))
        return more

    # ---------------------------------------------------------- rotation

    async def _rotate_tail(self, rotator: Rotator, tail: _Tail, name: str) -> None:
        if tail.marked_before > rotator.cut_before(tail.offset):
            return  # which marks hold where the file is to be cut is not known; it grows on
        moved = await rotator.rotate(name, tail.offset, *tail.head(self._node_id))
        tail.offset -= moved
        tail.marked_before = max(tail.marked_before - moved, 0)

    def _look_at_size(self, name: str) -> None:
        """Of a file that is no worker's: nobody here reads it."""
        rotator = self._rotator
        if rotator is None or not ROTATED.fullmatch(name):
            return
        try:
            size = os.stat(os.path.join(self._log_dir, name)).st_size
        except FileNotFoundError:
            return
        if rotator.is_due(name, size):
            self._rotations.start(self._rotate_other(rotator, name, size))

    async def _rotate_other(self, rotator: Rotator, name: str, size: int) -> None:
        await rotator.rotate(name, size)

    # ---------------------------------------------------------- sending

    def _ship_rest_later(self, tail: _Tail) -> None:
        loop = asyncio.get_running_loop()
        tail.quiet = loop.call_later(QUIET_S, lambda: self._send(tail, tail.stream.finish()))

    def _send(self, tail: _Tail, found: list[Lines]) -> None:
        batch = [
            LogLine(each.job_id, self._node_ip, tail.pid, each.name, tail.is_err, each.lines)
            for each in found
            if each.job_id  # before its first job a worker says nothing that a driver could want
        ]
        if batch:
            self._sender.send(LogLines(batch))
