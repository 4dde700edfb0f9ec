"""Log files of the cluster: which there are, and what is in them.

Source: Ray docs, "State API", `list_logs` and `get_log`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from ray._core.agent.log_lines import Lines, LogStream
from ray._core.common import messages as m
from ray._private.state_source import Source
from ray.util.state.common import DEFAULT_RPC_TIMEOUT, StateResource
from ray.util.state.exception import RayStateApiException

FOLLOW_INTERVAL_S = 0.5
_CHUNK = 1 << 20
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_CATEGORIES = {
    "worker_out": r"worker-.*\.out",
    "worker_err": r"worker-.*\.err",
    "core_worker": r"python-core-worker-.*\.log",
    "driver": r"(job-driver-|python-core-driver-).*\.log",
    "raylet": r"raylet\..*",
    "gcs_server": r"gcs_server\..*",
    "autoscaler": r"monitor\..*",
    "agent": r"(agent\.|dashboard_agent|log_monitor).*",
    "dashboard": r"dashboard.*",
    "runtime_env": r"runtime_env.*",
}


def list_logs(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    glob_filter: str | None = None,
    timeout: int = DEFAULT_RPC_TIMEOUT,
) -> dict[str, list[str]]:
    """Names of the log files of one node, by category.

    Raises:
        AssertionError: neither `node_id` nor `node_ip`.
        RayStateApiException: no such node, or its agent does not answer.
    """
    assert node_ip is not None or node_id is not None, "At least one of node ip and node id is required"
    source = Source(address)
    source.timeout_s = timeout
    names = source.ask(m.ListLogs(node_id=_node(source, node_id, node_ip), pattern=glob_filter or "*")).names
    found: dict[str, list[str]] = {}
    for name in names:
        category = next((each for each, pattern in _CATEGORIES.items() if re.fullmatch(pattern, name)), "internal")
        found.setdefault(category, []).append(name)
    return found


def get_log(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    filename: str | None = None,
    actor_id: str | None = None,
    task_id: str | None = None,
    pid: int | None = None,
    follow: bool = False,
    tail: int = -1,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    suffix: str = "out",
    encoding: str | None = "utf-8",
    errors: str | None = "strict",
    submission_id: str | None = None,
    attempt_number: int = 0,
    _interval: float | None = None,
    filter_ansi_code: bool = False,
) -> Iterator[Any]:
    """The text of a log in pieces: of a file by its name, or of the worker of an actor, a task or a process.

    Of a worker's file the lines that only the log monitor wants are left out; of a task's, lines that the worker
    printed under another name.

    Args:
        tail: only the last so many lines; -1: all.
        follow: wait for more at the end, for ever.
        suffix: "out" or "err".
        encoding: None: bytes instead of text.
    Raises:
        RayStateApiException: nothing of that kind, or the node does not answer.
    """
    source = Source(address)
    source.timeout_s = timeout
    wanted = _File(source, node_id, node_ip, filename, suffix)
    if actor_id is not None:
        wanted.of_actor(actor_id)
    elif task_id is not None:
        wanted.of_task(task_id, attempt_number)
    elif pid is not None:
        wanted.of_process(pid)
    elif submission_id is not None:
        wanted.of_submission(submission_id)
    if not wanted.name:
        raise RayStateApiException("One of filename, actor_id, task_id, pid and submission_id is needed.")
    return _read(wanted, follow, tail, encoding, errors, _interval or FOLLOW_INTERVAL_S, filter_ansi_code)


class _File:
    """Which file of which node. `only`: the name under which the wanted lines were printed; "" for any."""

    def __init__(self, source: Source, node_id: str | None, node_ip: str | None, name: str | None, suffix: str) -> None:
        self.source, self.suffix = source, suffix
        self.name = name or ""
        self.only = ""
        self.only_actor = False
        self.is_worker = False
        self.node_id = b""
        if node_id is not None or node_ip is not None:
            self.node_id = _node(source, node_id, node_ip)
        elif name:
            self.node_id = _node(source, None, None)

    def of_actor(self, actor_id: str) -> None:
        row = self._row(StateResource.ACTORS, "actor_id", actor_id)
        self.node_id = bytes.fromhex(row["node_id"] or "")
        self.only_actor = True  # a worker that ran tasks before may become an actor
        self.of_process(row["pid"])

    def of_task(self, task_id: str, attempt: int) -> None:
        row = self._row(StateResource.TASKS, "task_id", task_id, attempt)
        if row["node_id"] is None:
            raise RayStateApiException(f"Task {task_id} has not run yet: it is {row['state']}.")
        self.node_id = bytes.fromhex(row["node_id"])
        if row["actor_id"] is None:
            self.only = row["name"]
        self.of_process(row["worker_pid"])

    def of_submission(self, submission_id: str) -> None:
        for row in self.source.rows(StateResource.JOBS, self.source.timeout_s):
            if row["submission_id"] == submission_id:
                break
        else:
            raise RayStateApiException(f"There is no job with the submission id {submission_id}.")
        if not row["driver_node_id"]:
            raise RayStateApiException(
                f"The job {submission_id} has no log: it has not started. It is {row['status']}."
            )
        self.name, self.node_id = f"job-driver-{submission_id}.log", bytes.fromhex(row["driver_node_id"])

    def of_process(self, pid: int) -> None:
        if not self.node_id:
            self.node_id = _node(self.source, None, None)
        names = self._names_like(f"worker-*-{pid}.{self.suffix}")
        if not names:  # it runs inside another program, whose process id the file has: a container, `uv run`
            for row in self.source.rows(StateResource.WORKERS, self.source.timeout_s):
                if row["pid"] == pid and row["node_id"] == self.node_id.hex():
                    names = self._names_like(f"worker-{row['worker_id']}-*.{self.suffix}")
        if not names:
            raise RayStateApiException(f"There is no .{self.suffix} log of a worker with process id {pid} there.")
        self.name, self.is_worker = names[-1], True

    def _names_like(self, pattern: str) -> list[str]:
        return list(self.source.ask(m.ListLogs(node_id=self.node_id, pattern=pattern)).names)

    def _row(self, resource: StateResource, column: str, wanted: str, attempt: int | None = None) -> dict[str, Any]:
        for row in self.source.rows(resource, self.source.timeout_s):
            if row[column] == wanted.lower() and attempt in (None, row.get("attempt_number")):
                return row
        raise RayStateApiException(f"There is no {column} {wanted}.")

    def wants(self, lines: Lines) -> bool:
        return self.only in ("", lines.name) and (lines.is_actor or not self.only_actor)

    def chunk(self, offset: int, last_lines: int) -> m.LogChunk:
        request = m.ReadLog(node_id=self.node_id, name=self.name, offset=offset, length=_CHUNK, last_lines=last_lines)
        answer: m.LogChunk = self.source.ask(request)
        return answer


def _read(
    wanted: _File,
    follow: bool,
    tail: int,
    encoding: str | None,
    errors: str | None,
    interval_s: float,
    filter_ansi_code: bool,
) -> Iterator[Any]:
    if wanted.is_worker:  # the markers say what the lines are, so the file is read from its start
        yield from _worker_lines(wanted, follow, tail, encoding, interval_s, filter_ansi_code)
        return
    chunk = wanted.chunk(0, tail)
    while True:
        if chunk.data:
            text: Any = chunk.data if encoding is None else chunk.data.decode(encoding, errors or "strict")
            yield _ANSI.sub("", text) if filter_ansi_code and encoding is not None else text
        elif not follow:
            return
        else:
            time.sleep(interval_s)  # another machine's file: there is nothing to wait for
        chunk = wanted.chunk(chunk.offset + len(chunk.data), -1)


def _worker_lines(
    wanted: _File, follow: bool, tail: int, encoding: str | None, interval_s: float, filter_ansi_code: bool
) -> Iterator[Any]:
    stream, offset = LogStream(wanted.node_id), 0
    kept: list[str] = []
    is_first = True
    while True:
        chunk = wanted.chunk(offset, -1)
        offset = chunk.offset + len(chunk.data)
        found = stream.feed(chunk.data) if chunk.data else stream.finish()
        kept += [line for each in found if wanted.wants(each) for line in each.lines]
        if chunk.data:
            continue
        if is_first and tail >= 0:
            kept = kept[len(kept) - min(tail, len(kept)) :]
        is_first = False
        if kept:
            text = "\n".join(kept) + "\n"
            text = _ANSI.sub("", text) if filter_ansi_code else text
            yield text if encoding is not None else text.encode()
            kept = []
        if not follow:
            return
        time.sleep(interval_s)


def _node(source: Source, node_id: str | None, node_ip: str | None) -> bytes:
    """By id or address; without either the only node there is."""
    if node_id is not None:
        return bytes.fromhex(node_id)
    alive = [info for info in source.ask(m.ListNodes()).nodes if info.state == "ALIVE"]
    found = [info for info in alive if node_ip in (None, info.host)]
    if len(found) == 1:
        node: bytes = found[0].node_id
        return node
    what = f"of address {node_ip}" if node_ip is not None else "in the cluster"
    raise RayStateApiException(f"There are {len(found)} living nodes {what}: say which with node_id.")
