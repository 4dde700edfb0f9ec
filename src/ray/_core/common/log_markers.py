"""Lines in a worker's log files that say whose output follows.

Floor: common, pure. Written by the zygote (which node) and the worker (which job, which task or actor); read by the
log monitor, which does not show them. They stand in the file itself, so attribution is exact whoever writes to the
descriptor: Python, a C library, or a child process.

A marker begins with a newline of its own, since what comes before may lack one, and nobody can know without a system
call. The reader drops the empty line that this makes when the text before did end in a newline (see `agent.log_lines`).
"""

from __future__ import annotations

NODE, JOB, TASK, ACTOR = ":node_id:", ":job_id:", ":task_name:", ":actor_name:"
_KINDS = (TASK, ACTOR, JOB, NODE)


def header(node_id: bytes) -> bytes:
    """The first line of a worker's log file; only that node's log monitor reads on."""
    return f"{NODE}{node_id.hex()}\n".encode()


def marker(kind: str, value: str) -> bytes:
    """What to append to a log file, in one write."""
    return f"\n{kind}{value.replace(chr(10), ' ')}\n".encode(errors="backslashreplace")


def parse(line: bytes) -> tuple[str, str] | None:
    """(kind, value) if the line (without its newline) is a marker."""
    if line.startswith(b":"):
        text = line.decode(errors="replace")
        for kind in _KINDS:
            if text.startswith(kind):
                return kind, text[len(kind) :]
    return None
