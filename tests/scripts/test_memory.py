"""`ray memory`: the text from rows, and the command on a cluster. The layout is what Ray 2.60 prints."""

import dataclasses
import datetime

import pytest

from ray._core.common.messages import StoreStats
from ray._private.memory_report import HINT, Wanted, report

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678)


@dataclasses.dataclass
class Row:
    object_id: str
    object_size: int
    reference_type: str
    task_status: str = "FINISHED"
    attempt_number: int = 1
    call_site: str = "disabled"
    type: str = "DRIVER"
    pid: int = 9756
    ip: str = "10.0.0.1"


ROWS = [
    Row("aa" * 28, 200003, "LOCAL_REFERENCE"),
    Row("bb" * 28, -1, "ACTOR_HANDLE", "NIL"),
    Row("cc" * 28, 15, "LOCAL_REFERENCE", type="WORKER", pid=3, ip="10.0.0.2"),
]
STORES = [StoreStats(b"n", 100 << 20, 1 << 20, 3), StoreStats(b"m", 100 << 20, 0, 0, 5 << 20, 7 << 20, 4, 2 << 20)]


def test_references_are_grouped_and_sorted_as_wished():
    lines = report(ROWS, STORES, Wanted(), NOW).splitlines()
    assert lines[0] == "======== Object references status: 2026-01-02 03:04:05.000678 ========"
    assert lines[1] == (
        "Grouping by node address...        Sorting by object size...        Display all entries per group..."
    )
    assert lines[4:8] == [
        "--- Summary for node address: 10.0.0.1 ---",
        "Mem Used by Objects  Local References Pinned        Used by task  Captured in Objects  Actor Handles",
        "200003.0 B           1, (200003.0 B)  0, (0.0 B)    0, (0.0 B)    0, (0.0 B)           1, (0.0 B)",
        "",
    ]
    first, second = (i for i, line in enumerate(lines) if "| 9756     |" in line)
    assert "ACTOR_HANDLE" in lines[first] and "| ?        |" in lines[first]  # the least size first
    assert "| 200003.0 B | LOCAL_REFERENCE | " + "aa" * 28 in lines[second]
    assert lines.index("--- Summary for node address: 10.0.0.2 ---") > second
    assert HINT in lines
    assert "Plasma memory usage 1 MiB, 3 objects, 0.5% full, 3.0% needed" in lines
    assert "Spilled 7 MiB, 4 objects" in lines and "Restored 2 MiB" in lines


def test_only_as_many_as_wished_and_in_the_unit_that_is_wished():
    text = report(ROWS, STORES, Wanted("STACK_TRACE", "PID", "MB", 1), NOW)
    assert "Grouping by stack trace...        Sorting by pid...        Display 1 entries per group..." in text
    assert "--- Object references for stack trace: disabled ---" in text
    assert "cc" * 28 in text and "aa" * 28 not in text  # the least pid
    assert "1.5e-05 MB" in text and "0.200018 MB" in text


def test_statistics_alone():
    text = report(ROWS, STORES[:1], Wanted(stats_only=True), NOW)
    assert text.splitlines()[1:3] == [
        "--- Aggregate object store stats across all nodes ---",
        "Plasma memory usage 1 MiB, 3 objects, 1.0% full, 1.0% needed",
    ]
    assert "Spilled" not in text


def test_what_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="'PAGES' is none of B, KB"):
        Wanted(units="PAGES")


def test_the_command_tells_who_holds_what(shell):
    address = shell.start_head()
    code = f"""
import os, ray, subprocess, sys
ray.init()
big = ray.put(b"x" * 3_000_000)
def memory(*arguments):
    command = [sys.executable, "-m", "ray.scripts.scripts", "memory", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
text = memory()
line = next(line for line in text.splitlines() if big.hex() in line)
assert str(os.getpid()) in line and "LOCAL_REFERENCE" in line and "Driver" in line and "3000" in line, text
assert "Plasma memory usage 2 MiB, 1 objects" in text, text
stats = memory("--stats-only", "--address", {address!r})
assert "Plasma memory usage 2 MiB, 1 objects" in stats and big.hex() not in stats
from ray._private.internal_api import memory_summary
assert big.hex() in memory_summary()
print("fine")
"""
    assert shell.python(code) == "fine\n"
    _, complained = shell.ray("memory", "--address", "127.0.0.1:1", status=1)
    assert "Traceback" not in complained and "127.0.0.1:1" in complained
