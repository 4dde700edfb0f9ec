"""Follows what the workers of this node print, and sends it on its way to their drivers.

Floor: node, shell. A module of the agent. The files are the truth and the way is lossy on purpose: a monitor that is
cut off from the GCS reads nothing, and goes on where it was once the GCS is back.

Cost: with inotify an idle monitor runs every `RESCAN_S` only; a busy one makes at most one round per
`ROUND_INTERVAL_S`, however many lines come. Files are closed when quiet, so ten thousand workers need few descriptors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path

from ray._core.common.messages import LogLine
from ray._core.node.inotify import DirectoryWatch, open_watch
from ray._core.node.log_tail import LogFile, Segment, Tail, parse_file_name

logger = logging.getLogger(__name__)

ROUND_INTERVAL_S = 0.02
"""Between two rounds while lines come; with the way to the driver it keeps a line's age under 100 ms."""
POLL_MAX_S = 0.5
"""Without inotify: the interval grows from ROUND_INTERVAL_S to this while nothing happens."""
RESCAN_S = 5.0
"""With inotify too, all files are looked at this often: some file systems tell nothing of writes by others."""
MAX_OPEN_FILES = 200
IDLE_CLOSE_S = 10.0
READ_SIZE = 256 * 1024
"""Read of one file per round at most, so that a chatty worker does not delay the others."""
BATCH_BYTES = 1 << 20

Send = Callable[[list[LogLine]], Awaitable[None]]
"""Takes one batch; returns when it may be given the next (flow control)."""


class FollowedFile:
    """One log file: how far it has been read, and its open descriptor, if any."""

    __slots__ = ("descriptor", "info", "inode", "name", "offset", "read_at_s", "tail")

    def __init__(self, name: str, info: LogFile) -> None:
        self.name = name
        self.info = info
        self.tail = Tail(info.job_id)
        self.offset = 0
        self.inode = 0
        self.descriptor = -1
        self.read_at_s = 0.0

    def __repr__(self) -> str:
        return f"<FollowedFile {self.name} offset={self.offset} open={self.descriptor >= 0} {self.tail!r}>"


class LogFiles:
    """All log files of one directory. Blocking, but for local files and bounded pieces of them."""

    def __init__(
        self,
        directory: Path,
        max_open: int = MAX_OPEN_FILES,
        clock: Callable[[], float] = time.monotonic,
        read_size: int = READ_SIZE,
    ) -> None:
        self.directory = directory
        self._max_open = max_open
        self._clock = clock
        self._read_size = read_size
        self._files: dict[str, FollowedFile] = {}
        self._open: OrderedDict[str, FollowedFile] = OrderedDict()  # least recently read first

    def __len__(self) -> int:
        return len(self._files)

    @property
    def open_count(self) -> int:
        return len(self._open)

    def scan(self) -> set[str]:
        """Names of files that have grown, are new, or are gone."""
        changed, seen = set(), set()
        with os.scandir(self.directory) as entries:
            for entry in entries:
                if (file := self._follow(entry.name)) is None:
                    continue
                seen.add(entry.name)
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    changed.add(entry.name)
                    continue
                if status.st_size != file.offset or file.inode not in (0, status.st_ino):
                    changed.add(entry.name)
        return changed | (self._files.keys() - seen)

    def read(self, name: str) -> tuple[list[tuple[LogFile, Segment]], bool]:
        """New lines of one file, and whether there is more to read at once."""
        file = self._follow(name)
        if file is None:
            return [], False
        status = self._status(name)
        if file.descriptor < 0 and status is None:
            return self._forget(file), False
        if file.descriptor < 0:
            self._open_file(file)
            if file.descriptor < 0:
                return self._forget(file), False
        opened = os.fstat(file.descriptor)
        if opened.st_size < file.offset:  # truncated in place: what is in it now is new
            file.offset, file.tail = 0, Tail(file.tail.job_id)
        data = os.pread(file.descriptor, self._read_size, file.offset)
        file.offset += len(data)
        file.read_at_s = self._clock()
        segments = file.tail.feed(data)
        lines = [(file.info, segment) for segment in segments]
        if len(data) == self._read_size:
            return lines, True
        if status is None:
            return lines + self._forget(file), False
        if status.st_ino != opened.st_ino:  # rotated: the old file is read to its end, the new one follows
            return lines + self._forget(file), True
        return lines, False

    def close_idle(self) -> list[tuple[LogFile, Segment]]:
        """Close files that nobody writes to; returns the last lines of ended workers that lack their newline."""
        now_s = self._clock()
        last: list[tuple[LogFile, Segment]] = []
        for file in list(self._open.values()):
            if now_s - file.read_at_s < IDLE_CLOSE_S:
                break  # the others were read later
            if not _is_alive(file.info.pid):
                last += [(file.info, segment) for segment in file.tail.flush()]
            self._close(file)
        return last

    def close(self) -> list[tuple[LogFile, Segment]]:
        """Close all; returns what ended workers left without a newline."""
        last = []
        for file in self._files.values():
            self._close(file)
            last += [(file.info, segment) for segment in file.tail.flush()]
        self._files.clear()
        return last

    def _follow(self, name: str) -> FollowedFile | None:
        file = self._files.get(name)
        if file is None and (info := parse_file_name(name)) is not None:
            file = self._files[name] = FollowedFile(name, info)
        return file

    def _status(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(self.directory / name, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _open_file(self, file: FollowedFile) -> None:
        """Open at the place where reading stopped; leaves `descriptor` at -1 when there is no such file any more."""
        while len(self._open) >= self._max_open:
            self._close(next(iter(self._open.values())))
        try:
            # O_NOFOLLOW, and only regular files: a link or a pipe of that name must not be read, nor block us.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self.directory / file.name, flags)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                logger.warning("Log file %s cannot be read and is left out: %s", file.name, error)
            return
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return
        if file.inode not in (0, status.st_ino):  # another file of that name since we closed it
            file.offset, file.tail = 0, Tail(file.tail.job_id)
        file.inode, file.descriptor = status.st_ino, descriptor
        self._open[file.name] = file

    def _close(self, file: FollowedFile) -> None:
        if file.descriptor >= 0:
            os.close(file.descriptor)
            file.descriptor = -1
            self._open.pop(file.name, None)

    def _forget(self, file: FollowedFile) -> list[tuple[LogFile, Segment]]:
        self._close(file)
        self._files.pop(file.name, None)
        return [(file.info, segment) for segment in file.tail.flush()]


class LogMonitor:
    """Runs until cancelled or `stop` is called; after `stop`, everything printed so far has been sent."""

    def __init__(self, directory: Path, node_ip: str, send: Send) -> None:
        self._files = LogFiles(directory)
        self._node_ip = node_ip
        self._send = send
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._watch: DirectoryWatch | None = None

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._watch = open_watch(self._files.directory)
        if self._watch is None:
            logger.info("No inotify for %s: polling.", self._files.directory)
        else:
            loop.add_reader(self._watch.fileno(), self._directory_changed)
        try:
            self._changed |= self._files.scan()
            while not self._stopping:
                await self._read_changed()
                await self._wait()
            self._changed |= self._files.scan()
            await self._read_changed()
            await self._deliver(self._files.close())
        finally:
            self._files.close()
            if self._watch is not None:
                loop.remove_reader(self._watch.fileno())
                self._watch.close()

    def _directory_changed(self) -> None:
        assert self._watch is not None
        names = self._watch.read()
        self._changed |= self._files.scan() if names is None else names
        self._wake.set()

    async def _wait(self) -> None:
        """Return when there is something to read, but not before `ROUND_INTERVAL_S` after the last round."""
        self._wake.clear()
        delay_s = ROUND_INTERVAL_S
        quiet_until_s = time.monotonic() + RESCAN_S
        await self._sleep(ROUND_INTERVAL_S)
        while not self._changed and not self._stopping:
            if self._watch is None:
                delay_s = min(delay_s * 1.5, POLL_MAX_S)
                await self._sleep(delay_s)
                self._changed |= self._files.scan()
                await self._deliver(self._files.close_idle())
            elif time.monotonic() >= quiet_until_s:
                quiet_until_s = time.monotonic() + RESCAN_S
                self._changed |= self._files.scan()
                await self._deliver(self._files.close_idle())
            else:
                await self._sleep(quiet_until_s - time.monotonic())
                self._wake.clear()

    async def _sleep(self, delay_s: float) -> None:
        """Sleep, or less when woken by `stop` or, while nothing is waiting to be read, by the directory."""
        if self._changed:  # a burst: let lines gather until the round begins
            if not self._stopping:
                await asyncio.sleep(delay_s)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(delay_s, 0.0))

    async def _read_changed(self) -> None:
        """Read each changed file until all are read to the end, in turn, a bounded piece of each at a time."""
        while self._changed:
            names, self._changed = self._changed, set()
            batch: list[tuple[LogFile, Segment]] = []
            size = 0
            for name in names:
                lines, has_more = self._files.read(name)
                if has_more:
                    self._changed.add(name)
                batch += lines
                size += sum(len(line) for _, segment in lines for line in segment.lines)
                if size >= BATCH_BYTES:
                    await self._deliver(batch)
                    batch, size = [], 0
            await self._deliver(batch)

    async def _deliver(self, batch: list[tuple[LogFile, Segment]]) -> None:
        """Send what belongs to a job; output of workers without one (at their start) stays in its file."""
        lines = [
            LogLine(segment.job_id, self._node_ip, info.pid, segment.name, info.is_err, segment.lines)
            for info, segment in batch
            if segment.job_id
        ]
        if lines:
            await self._send(lines)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, as another user
        return True
    return True
