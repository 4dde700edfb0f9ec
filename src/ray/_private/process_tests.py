"""Helpers of tests that start, watch and kill processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray._common.test_utils import DEFAULT_DRIVER_TIMEOUT_SECONDS, wait_for_condition


def run_string_as_driver_stdout_stderr(
    driver_script: str,
    env: Mapping[str, str] | None = None,
    encode: str = "utf-8",
    timeout: float | None = DEFAULT_DRIVER_TIMEOUT_SECONDS,
) -> tuple[str, str]:
    """As `run_string_as_driver`; what it wrote to each stream. Raises CalledProcessError when it fails."""
    done = subprocess.run(
        [sys.executable, "-"],
        input=driver_script.encode(encode),
        capture_output=True,
        env=None if env is None else dict(env),
        timeout=timeout,
        check=False,
    )
    out, err = done.stdout.decode(encode, "replace"), done.stderr.decode(encode, "replace")
    print(out)
    print(err, file=sys.stderr)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, done.args, out, err)
    return out, err


def run_string_as_driver_nonblocking(
    driver_script: str, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a script in a process of its own; its `stdout` and `stderr` are pipes."""
    process = subprocess.Popen(
        [sys.executable, "-c", driver_script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=None if env is None else dict(env),
    )
    if process.stdin is not None:
        process.stdin.close()
    return process


def check_call_subprocess(argv: Sequence[str], capture_stdout: bool = False, capture_stderr: bool = False) -> Any:
    """Run a command.

    Returns:
        What it wrote to the streams that are captured, as bytes: both as a pair, one alone, or None.
    Raises:
        CalledProcessError: it failed.
    """
    done = subprocess.run(
        argv,
        stdout=subprocess.PIPE if capture_stdout else None,
        stderr=subprocess.PIPE if capture_stderr else None,
        check=True,
    )
    if capture_stdout and capture_stderr:
        return done.stdout, done.stderr
    return done.stdout if capture_stdout else done.stderr if capture_stderr else None


def check_call_ray(args: Sequence[str], capture_stdout: bool = False, capture_stderr: bool = False) -> Any:
    """Run the `ray` command with these arguments; as `check_call_subprocess`."""
    command = [sys.executable, "-m", "ray.scripts.scripts", *args]
    return check_call_subprocess(command, capture_stdout, capture_stderr)


def _state_of(pid: int) -> str | None:
    """The letter of the process's state (see proc(5)); None when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def _children(pid: int) -> list[int]:
    if _state_of(pid) is None:
        raise ProcessLookupError(f"There is no process {pid}.")
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def wait_for_pid_to_exit(pid: int, timeout: float = 20) -> None:
    """Wait until the process has ended (a zombie has). Raises TimeoutError."""
    try:
        wait_for_condition(lambda: _state_of(pid) in (None, "Z", "X"), timeout, retry_interval_ms=50)
    except RuntimeError:
        raise TimeoutError(f"Timed out while waiting for process {pid} to exit.") from None


def wait_for_children_of_pid(pid: int, num_children: int = 1, timeout: float = 20) -> None:
    """Wait until the process has so many children or more. Raises TimeoutError."""
    try:
        wait_for_condition(lambda: len(_children(pid)) >= num_children, timeout, 50, raise_exceptions=True)
    except RuntimeError:
        raise TimeoutError(f"Timed out while waiting for process {pid} to have {num_children} children.") from None


def wait_for_children_of_pid_to_exit(pid: int, timeout: float = 20) -> None:
    """Wait until the children that the process has now have ended. Raises TimeoutError."""
    for child in _children(pid):
        wait_for_pid_to_exit(child, timeout)


def kill_process_by_name(name: str, SIGKILL: bool = False) -> None:
    """Kill the processes below this one whose command line names `name` (never others of the machine)."""
    pending = _children(os.getpid())
    while pending:
        pid = pending.pop()
        try:
            pending += _children(pid)
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if name in command:
                os.kill(pid, signal.SIGKILL if SIGKILL else signal.SIGTERM)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended by itself


def end_raylet(node_id: str, graceful: bool) -> None:
    """End the raylet of a node of this machine, and wait until it has ended.

    Raises:
        ValueError: the cluster knows no living node of this id in hex.
    """
    from ray._core.common import messages as m
    from ray._private.auto_init_hook import connected_core

    nodes = {info.node_id.hex(): info for info in connected_core().ask_gcs(m.ListNodes()).nodes}
    info = nodes.get(node_id)
    if info is None or info.state != "ALIVE":
        raise ValueError(f"There is no living node {node_id}.")
    os.kill(info.pid, signal.SIGTERM if graceful else signal.SIGKILL)
    wait_for_pid_to_exit(info.pid)


def kill_processes(process_infos: Sequence[Any]) -> None:
    """Kill what `Node.all_processes` lists, and wait until it has ended."""
    for info in process_infos:
        info.process.kill()
        info.process.wait()
