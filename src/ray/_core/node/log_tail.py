"""What workers print, cut into lines: names of log files, and the text in them.

Floor: node, pure. Driven by `log_monitor`, which reads the files.

A worker writes lines of its own between the user's: `:job_id:<hex>`, `:task_name:<name>` and `:actor_name:<name>`
tell whose output follows. They are taken out here and never shown.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ray._core.common.ids import JOB_ID_SIZE

MAX_LINE_BYTES = 64 * 1024
"""A longer line is shown up to here: one line must not fill the memory of monitor, GCS and driver."""
CUT_MARK = " [line cut: the rest is in the worker's log file]"

_FILE_NAME = re.compile(r"worker-(?P<worker>[0-9a-f]+)-(?P<job>[0-9a-f]*)-(?P<pid>\d+)\.(?P<stream>out|err)")
_MAGIC_LINE = re.compile(rb":(job_id|task_name|actor_name):(.*)")
_MAGIC_BEHIND_TEXT = re.compile(rb"(.*?):(task_name|actor_name):(\S+)")
"""User code that ended without a newline leaves its text before the magic line; it is a line of its own."""


class LogFile(NamedTuple):
    """What a log file's name tells. `job_id` is b"" for a worker that was started for no job."""

    worker_id: bytes
    job_id: bytes
    pid: int
    is_err: bool


class Segment(NamedTuple):
    """Lines printed one after the other under one name, of one job."""

    job_id: bytes
    name: str
    lines: list[str]


def parse_file_name(name: str) -> LogFile | None:
    """The worker whose output `name` holds; None for every other file of the directory."""
    match = _FILE_NAME.fullmatch(name)
    if match is None:
        return None
    try:
        worker_id = bytes.fromhex(match["worker"])
    except ValueError:  # an odd number of digits: no file of ours
        return None
    return LogFile(worker_id, parse_job_id(match["job"]), int(match["pid"]), match["stream"] == "err")


def parse_job_id(text: str) -> bytes:
    """The job id in `text`; b"" for none, nil, or what is no job id."""
    try:
        job_id = bytes.fromhex(text)
    except ValueError:
        return b""
    return job_id if len(job_id) == JOB_ID_SIZE and job_id not in (b"\xff" * JOB_ID_SIZE, bytes(JOB_ID_SIZE)) else b""


class Tail:
    """The text of one log file, fed in pieces of any size.

    Lines are cut as bytes and decoded whole, so a character split between two pieces is never broken.
    """

    __slots__ = ("_is_cut", "_partial", "job_id", "max_line", "name")

    def __init__(self, job_id: bytes, max_line: int = MAX_LINE_BYTES) -> None:
        self.job_id = job_id
        self.name = ""
        self.max_line = max_line
        self._partial = bytearray()
        self._is_cut = False  # the line in `_partial` is longer than kept

    def __repr__(self) -> str:
        return f"<Tail job={self.job_id.hex()} name={self.name!r} partial={len(self._partial)}>"

    def feed(self, data: bytes) -> list[Segment]:
        """The lines that are complete now."""
        *complete, rest = data.split(b"\n")
        segments: list[Segment] = []
        for piece in complete:
            self._keep(piece)
            self._end_line(segments)
        if rest:
            self._keep(rest)
        return segments

    def flush(self) -> list[Segment]:
        """The last line of a file that nobody will write to again, which may lack its newline."""
        segments: list[Segment] = []
        if self._partial:
            self._end_line(segments)
        return segments

    def _keep(self, piece: bytes) -> None:
        room = self.max_line - len(self._partial)
        if len(piece) > room:
            self._is_cut = True
            piece = piece[:room]
        self._partial += piece

    def _end_line(self, segments: list[Segment]) -> None:
        line = bytes(self._partial)
        mark = CUT_MARK if self._is_cut else ""
        self._partial.clear()
        self._is_cut = False
        if match := _MAGIC_LINE.fullmatch(line):
            self._rename(match[1], match[2])
            return
        name = _MAGIC_BEHIND_TEXT.fullmatch(line) if b":task_name:" in line or b":actor_name:" in line else None
        text = name[1] if name else line
        self._add(segments, text.removesuffix(b"\r").decode("utf-8", "replace") + mark)
        if name:
            self._rename(name[2], name[3])

    def _rename(self, kind: bytes, value: bytes) -> None:
        text = value.decode("utf-8", "replace").strip()
        if kind == b"job_id":
            self.job_id = parse_job_id(text)
        else:
            self.name = text

    def _add(self, segments: list[Segment], line: str) -> None:
        last = segments[-1] if segments else None
        if last is not None and last.job_id == self.job_id and last.name == self.name:
            last.lines.append(line)
        else:
            segments.append(Segment(self.job_id, self.name, [line]))
