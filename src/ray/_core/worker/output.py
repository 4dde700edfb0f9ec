"""What this worker prints, and the marks in its log files that say for whom.

Floor: worker, shell. The log monitor reads the files (see `agent.log_lines`). Descriptors 1 and 2 are the files, so
output of C libraries and child processes is marked as exactly as Python's.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from io import TextIOWrapper

from ray._core.common import log_markers


class WorkerOutput:
    """`name` is what both files were last told.

    The executor compares it with each task's name: a worker that runs the same function again and again pays one
    comparison for it. A change costs two writes (measured: 1.4 µs each on a 2-core machine).
    """

    def __init__(self) -> None:
        self.name = ""
        self._job_id = b""
        streams = _lines_to(1), _lines_to(2)
        sys.stdout, sys.stderr = streams
        sys.__stdout__, sys.__stderr__ = streams  # type: ignore[misc] # so that who restores them gets these
        faulthandler.enable()  # a crash in C code says where, on the driver too
        self._flushes = [stream.flush for stream in streams]

    def announce(self, job_id: bytes, kind: str, name: str) -> None:
        """What follows in both files is of this job, and of this task or actor (kind: log_markers.TASK or ACTOR)."""
        self.flush()
        mark = log_markers.marker(kind, name)
        if job_id != self._job_id:
            mark = log_markers.marker(log_markers.JOB, job_id.hex()) + mark
        for descriptor in (1, 2):
            try:
                os.write(descriptor, mark)
            except OSError:  # user code has closed it: nothing is printed there any more
                continue
        self.name, self._job_id = name, job_id

    def flush(self) -> None:
        """Hand a last line without newline to the system. Without anything to flush: 0.25 µs."""
        for flush in self._flushes:
            try:
                flush()
            except (ValueError, OSError):  # closed by user code, or the disk is full
                continue


def _lines_to(descriptor: int) -> TextIOWrapper:
    """A text stream that hands each line to the system when it is whole, whatever PYTHONUNBUFFERED says.

    So what a task printed outlives its process (in blocks, as a file is written by default, the last one is lost), at
    one system call a line; unbuffered, `print` makes one for each argument: 14 µs for three, against 4.
    """
    return open(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
