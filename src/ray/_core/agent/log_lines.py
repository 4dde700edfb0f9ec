"""From the bytes of one worker's log file to lines with their job and name.

Floor: agent, pure. `LogStream.feed` takes the bytes as they come and gives what is whole; markers (see
`common.log_markers`) change job and name and are not given.
"""

from __future__ import annotations

import dataclasses

from ray._core.common import log_markers

MAX_LINE_BYTES = 64 * 1024
"""A longer line is given in pieces, so that a program that never writes a newline cannot fill this process."""


@dataclasses.dataclass(frozen=True, slots=True)
class Lines:
    """Consecutive lines of one job and name."""

    job_id: bytes
    name: str
    lines: list[str]
    is_actor: bool = False


class LogStream:
    """What is known of one file so far.

    Args:
        node_id: whose files to read; a file whose header names another node (several nodes of a test cluster share
            a directory) gives nothing.
    """

    def __init__(self, node_id: bytes) -> None:
        self._node = node_id.hex()
        self.is_foreign = False
        self.job_id = b""
        self.name = ""
        self.is_actor = False
        self.marks = 0
        """How many there were."""
        self._rest = b""

    def __repr__(self) -> str:
        return (
            f"<LogStream job={self.job_id.hex()} name={self.name!r} rest={len(self._rest)} foreign={self.is_foreign}>"
        )

    @property
    def has_rest(self) -> bool:
        """Whether a line without its newline waits for more (an empty line that may belong to a marker does not)."""
        return self._rest not in (b"", b"\n")

    def feed(self, data: bytes) -> list[Lines]:
        """What is whole now, in order. An unfinished line stays, and so does an empty one that may be a marker's."""
        if self.is_foreign:
            return []
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines and not lines[-1] and (not self._rest or self._rest.startswith(b":")):
            lines.pop()
            self._rest = b"\n" + self._rest
        found: list[Lines] = []
        run: list[str] = []
        for line in lines:
            marked = log_markers.parse(line)
            if marked is None:
                run.append(_text(line))
                continue
            if run and not run[-1]:
                run.pop()
            self._take(found, run)
            run = []
            self._apply(*marked)
            if self.is_foreign:
                self._rest = b""
                return found
        if len(self._rest) > MAX_LINE_BYTES:
            run.append(_text(self._rest))
            self._rest = b""
        self._take(found, run)
        return found

    def finish(self) -> list[Lines]:
        """The line that has no newline, as a line: its writer has ended, or has been silent for long enough."""
        rest, self._rest = self._rest, b""
        found: list[Lines] = []
        if rest:
            self._take(found, [_text(line) for line in rest.removesuffix(b"\n").split(b"\n")])
        return found

    def _take(self, found: list[Lines], run: list[str]) -> None:
        if run:
            found.append(Lines(self.job_id, self.name, run, self.is_actor))

    def _apply(self, kind: str, value: str) -> None:
        self.marks += 1
        if kind == log_markers.NODE:
            self.is_foreign = value != self._node
        elif kind == log_markers.JOB:
            self.job_id = bytes.fromhex(value)
        else:
            self.name, self.is_actor = value, kind == log_markers.ACTOR


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
