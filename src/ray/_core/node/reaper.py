"""The reaper: frees what a node leaves behind when its processes, or the process that owns it, end by any signal.

Floor: node, shell. Run as a plain file that imports hardly anything, so that it starts in a few milliseconds and stays
small (3.1 MiB; with `json` and `signal`, which import much, 4.2): `python -S -E reaper.py [--detached] OWNER_PID`. On
its standard input come charges, as bytes,

    123 NUL /dev/shm/… NUL … NUL NUL     when process 123 has ended, remove the files and directories

and an empty one at last. Without --detached it kills all those processes when its owner has ended, or has closed the
pipe. (The owner's end of the pipe alone would not do: a process that the owner forks inherits it.) It ends when none of
them is left.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what the module `signal` is made of, without its enums
import os
import select
import sys

END = b"\0\0"
"""Of a charge."""
FORMAT, SOCKET = 0o170000, 0o140000
"""Of a file's mode: what `stat` has as S_IFMT and S_IFSOCK."""
POLL_S = 0.5
"""How often processes are looked at where the kernel cannot tell of their end (macOS)."""


def charge(pid: int, files: list[str]) -> bytes:
    """What to write to its standard input."""
    return b"\0".join([str(pid).encode(), *map(os.fsencode, files)]) + END


class Watched:
    """A process of the node. `fd` becomes readable at its end; -1: unknown to the kernel, so it is polled."""

    def __init__(self, pid: int, files: list[bytes] | None = None) -> None:
        self.pid = pid
        self.files = {path: _identity(path) for path in files or []}
        self.is_gone = False
        self.fd = -1
        try:
            self.fd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
        except ProcessLookupError:
            self.is_gone = True
        except OSError:  # an older kernel, or a sandbox without pidfd_open
            self.fd = -1

    def look(self, readable: set[int]) -> bool:
        """Whether it has ended."""
        if not self.is_gone:
            self.is_gone = self.fd in readable if self.fd >= 0 else not _runs(self.pid)
        return self.is_gone

    def kill(self) -> None:
        if self.is_gone:
            return
        try:
            if self.fd >= 0:
                _signal.pidfd_send_signal(self.fd, _signal.SIGKILL)
            else:
                os.kill(self.pid, _signal.SIGKILL)
        except ProcessLookupError:
            self.is_gone = True

    def clean(self) -> None:
        """Remove the files, but none that another node has made since under a name that had become free."""
        for path, known in self.files.items():
            now = _identity(path)
            if now is None or known not in (None, now):
                continue
            if os.path.isdir(path):
                import shutil  # hardly ever needed, and larger than all of this process

                shutil.rmtree(path, ignore_errors=True)
                continue
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue


def _identity(path: bytes) -> tuple[int, int] | None:
    """What tells a file from its successor, which may get the same inode; None while there is none.

    The time tells sockets apart, whose names are used again; memory that is written to changes its own.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns if status.st_mode & FORMAT == SOCKET else 0


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Reaper:
    """`owner` None: the node is detached, and nobody's end kills it."""

    def __init__(self, pipe: int, owner: Watched | None) -> None:
        self.pipe = pipe
        self.owner = owner
        self.watched: list[Watched] = []
        self._said = b""

    def run(self) -> None:
        while self.pipe >= 0 or self.watched:
            readable = self._wait()
            if self.pipe in readable:
                self._read()
            if self.owner is not None and (self.owner.look(readable) or self.pipe < 0):
                for process in self.watched:
                    process.kill()
                self.pipe, self.owner = -1, None
            for process in [each for each in self.watched if each.look(readable)]:
                process.clean()
                self.watched.remove(process)

    def _wait(self) -> set[int]:
        looked_at = [*self.watched, *([self.owner] if self.owner else [])]
        fds = [each.fd for each in looked_at if each.fd >= 0] + ([self.pipe] if self.pipe >= 0 else [])
        is_polling = any(each.fd < 0 or each.is_gone for each in looked_at)
        readable, _, _ = select.select(fds, [], [], POLL_S if is_polling else None)
        return set(readable)

    def _read(self) -> None:
        data = os.read(self.pipe, 1 << 16)
        if not data:
            self.pipe = -1
            return
        *charges, self._said = (self._said + data).split(END)
        for charge in charges:
            if not charge:
                self.pipe = -1
                return
            pid, *files = charge.split(b"\0")
            self.watched.append(Watched(int(pid), files))


def main() -> None:
    for signum in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        _signal.signal(signum, _signal.SIG_IGN)  # it goes last, by itself
    owner = None if "--detached" in sys.argv else Watched(int(sys.argv[-1]))
    Reaper(0, owner).run()


if __name__ == "__main__":
    main()
