"""How many bytecodes the hottest paths execute, in the caller and in the worker, by function.

    python benchmarks/bytecodes.py [actor|task|put|returns|refs] [--top 30]

Counted by tracing (sys.settrace, event "opcode") on the main thread of either process, for calls that are made one
after another. So the numbers repeat to a percent or two on any machine, however busy; what C code and the kernel do is
not in them. A bytecode takes about 10 ns. tests/benchmarks/test_hot_paths.py holds them against bounds.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import ray
from ray._private.auto_init_hook import connected_core

CALLS = 200
_counts: Counts | None = None
"""Of the thread that is being counted in this process."""


@dataclass
class Counts:
    """By (function, file): bytecodes, and how often it was called."""

    bytecodes: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)

    def per_call(self, calls: int = CALLS) -> float:
        return self.bytecodes.total() / calls

    def trace(self, frame: FrameType, event: str = "call", argument: Any = None) -> Callable[..., Any]:
        """For sys.settrace: counts what happens in this frame."""
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        code = frame.f_code
        key = (code.co_qualname, code.co_filename.rpartition("/src/")[2])
        self.calls[key] += 1
        bytecodes = self.bytecodes

        def count(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "opcode":
                bytecodes[key] += 1
            return count

        return count


def start() -> None:
    """Count from here on what this thread executes, in the functions that it is in, too."""
    global _counts
    _counts = Counts()
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        frame.f_trace = _counts.trace(frame)
        frame = frame.f_back
    sys.settrace(_counts.trace)


def stop() -> Counts:
    sys.settrace(None)
    assert _counts is not None
    return _counts


@ray.remote
class Server:
    def small_value(self) -> bytes:
        return b"ok"

    def start(self) -> None:
        start()

    def stop(self) -> Counts:
        return stop()


@ray.remote
def task(what: Callable[[], Any] | None = None) -> Any:
    return b"ok" if what is None else what()


@ray.remote(num_returns=CALLS)
def many() -> list[int]:
    return list(range(CALLS))


def hold_refs() -> Any:
    return ray.put([ray.put(0) for _ in range(CALLS)])


def measure(path: str) -> tuple[Counts, Counts]:
    """Of the caller and of the worker, for `CALLS` calls. Needs a cluster whose one CPU nobody else uses, and whose
    workers can import this module.

    Args:
        path: "actor": a method is called and its result fetched; "task": a task; "put": a small value is put and got;
            "returns": one task returns `CALLS` values; "refs": a value that holds so many refs is fetched for the
            first time.
    """
    server = Server.remote() if path == "actor" else None
    holders = [hold_refs() for _ in range(2)] if path == "refs" else [None]
    holder = holders[0]
    is_alone = path in ("put", "refs")

    def once() -> None:
        if path == "put":
            ray.get(ray.put(0))
        elif path == "returns":
            ray.get(many.remote())
        elif holder is not None:
            ray.get(holder)
        else:
            ray.get(task.remote() if server is None else server.small_value.remote())

    for _ in range(CALLS):  # what the first calls do besides
        once()
    if not is_alone:
        ray.get(task.remote(start) if server is None else server.start.remote())
    holder = holders[-1]
    core = connected_core()
    with core.lock:
        core.task_log.flush()  # else the many tasks of before are described meanwhile
    start()
    for _ in range(1 if path in ("returns", "refs") else CALLS):
        once()
    caller = stop()
    if is_alone:
        return caller, Counts()
    return caller, ray.get(task.remote(stop) if server is None else server.stop.remote())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", choices=["actor", "task", "put", "returns", "refs"], default="actor")
    parser.add_argument("--top", type=int, default=30, help="functions shown (default 30)")
    options = parser.parse_args()
    ray.init(num_cpus=1, log_to_driver=False)
    for name, counts in zip(("caller", "worker"), measure(options.path), strict=True):
        print(f"{name}: {counts.per_call():.0f} bytecodes a call")
        for key, bytecodes in counts.bytecodes.most_common(options.top):
            print(f"  {bytecodes / CALLS:7.1f} in {counts.calls[key] / CALLS:5.2f} calls of {key[0]}  {key[1]}")
    ray.shutdown()


if __name__ == "__main__":
    import bytecodes  # by its name, for the workers: they find it since it is beside the script

    bytecodes.main()
