"""Jobs: one per driver, numbered from 1; a job ends with its driver. Floor: gcs, shell."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from ray._core.common import messages as m
from ray._core.common.ids import JobID
from ray._core.gcs.journal import Journal
from ray._core.gcs.publisher import Publisher
from ray._core.wire import aio

TABLE = "job"
ENDED_KEPT = 10_000
"""Jobs that have ended stay listed up to this many; older ones are forgotten."""


class JobService:
    """Args: now_ms: the clock. describe: name and settings of the session, for drivers."""

    def __init__(
        self, publisher: Publisher, journal: Journal, now_ms: Callable[[], int], describe: Callable[[], tuple[str, str]]
    ) -> None:
        self.jobs: dict[bytes, m.JobInfo] = {}
        self._ended: deque[bytes] = deque()
        self._by_driver: dict[bytes, bytes] = {}
        """Living jobs, by their driver's worker id."""
        self._publisher = publisher
        self._journal = journal
        self._now_ms = now_ms
        self._describe = describe
        self.on_end: Callable[[bytes], None] = lambda job_id: None
        """Called with the id of a job that has ended."""

    def handlers(self) -> dict[type, Callable[[aio.Connection, Any], None]]:
        return {
            m.RegisterJob: self._register,
            m.ListJobs: lambda c, r: c.reply(r, m.JobList(jobs=list(self.jobs.values()))),
        }

    def restore(self) -> None:
        rows = self._journal.load(TABLE)
        infos = sorted((msgspec.msgpack.decode(row, type=m.JobInfo) for row in rows.values()), key=_number)
        self.jobs = {info.job_id: info for info in infos}
        self._by_driver = {info.driver.worker_id: info.job_id for info in infos if not info.is_dead}
        ended = sorted((info for info in infos if info.is_dead), key=lambda info: info.end_time_ms)
        self._ended = deque(info.job_id for info in ended)

    def living(self) -> set[bytes]:
        return {job_id for job_id, info in self.jobs.items() if not info.is_dead}

    def has_ended(self, job_id: bytes) -> bool:
        info = self.jobs.get(job_id)
        return info is not None and info.is_dead

    def living_drivers(self) -> list[m.Address]:
        return [info.driver for info in self.jobs.values() if not info.is_dead]

    def _register(self, connection: aio.Connection, request: m.RegisterJob) -> None:
        """A new job, or one whose driver is back; also one that has not heard of its first registration."""
        job_id = request.job_id or self._by_driver.get(request.driver.worker_id, b"")
        if not job_id:
            job_id = JobID.from_int(self._last_number() + 1).binary()
            info = m.JobInfo(
                job_id=job_id,
                namespace=request.namespace,
                driver=request.driver,
                driver_pid=request.driver_pid,
                driver_host=request.driver_host,
                entrypoint=request.entrypoint,
                start_time_ms=self._now_ms(),
                runtime_env=request.runtime_env,
                metadata=request.metadata,
            )
            self._by_driver[request.driver.worker_id] = job_id
            self._change(info)
        elif job_id not in self.living():
            connection.fail(request, "job_dead", f"The cluster has given up job {job_id.hex()}: its driver was away.")
            return
        session_name, config = self._describe()
        connection.reply(request, m.JobRegistered(job_id=job_id, session_name=session_name, config=config))

    def _last_number(self) -> int:
        """Of the newest job, which is never forgotten."""
        return max(map(_number, self.jobs.values()), default=0)

    def driver_died(self, worker_id: bytes) -> None:
        """A driver or worker has ended; the job of a driver ends with it."""
        job_id = self._by_driver.get(worker_id)
        if job_id is not None:
            self.end(job_id)

    def end(self, job_id: bytes) -> None:
        info = self.jobs[job_id]
        self._by_driver.pop(info.driver.worker_id, None)
        if not info.is_dead:
            self._change(msgspec.structs.replace(info, is_dead=True, end_time_ms=self._now_ms()))
            self.on_end(job_id)
            self._ended.append(job_id)
            if len(self._ended) > ENDED_KEPT:
                forgotten = self._ended.popleft()
                del self.jobs[forgotten]
                self._journal.put(TABLE, forgotten, None)

    def _change(self, info: m.JobInfo) -> None:
        self.jobs[info.job_id] = info
        self._journal.put(TABLE, info.job_id, msgspec.msgpack.encode(info))
        self._publisher.publish("job", m.JobChanged(info), info.job_id)


def _number(info: m.JobInfo) -> int:
    return JobID(info.job_id).int()
