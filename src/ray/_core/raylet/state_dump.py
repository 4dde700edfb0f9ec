"""What the processes of this node know at this moment, for the state API. Floor: raylet, shell."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from ray._core.common import messages as m
from ray._core.raylet.exit_report import exit_type
from ray._core.wire import aio
from ray._core.wire.background import Background

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet
    from ray._core.raylet.workers import Worker

ENDED_KEPT = 1000
"""Of so many processes that have ended the state API still tells: about 300 bytes each."""
ANSWER_TIMEOUT_S = 3.0
"""A process that does not answer in time (it holds the interpreter's lock in C code) is left out, and counted."""


class StateDumper:
    """`cores`: the registered drivers and workers of this node, which the server keeps up to date."""

    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self.cores: dict[aio.Connection, m.RegisterWorker] = {}
        self._ended: deque[m.WorkerInfo] = deque(maxlen=ENDED_KEPT)
        self._background = Background()

    def dump(self, connection: aio.Connection, request: m.DumpState) -> None:
        self._background.answer(connection, request, self._dump(connection, request))

    async def _dump(self, connection: aio.Connection, request: m.DumpState) -> None:
        if request.what == "workers":
            connection.reply(request, m.StateDump(blobs=[msgspec.msgpack.encode(self.workers())]))
            return
        if request.what == "stores":
            connection.reply(request, m.StateDump(blobs=[msgspec.msgpack.encode(self._raylet.objects.stats())]))
            return
        if request.what == "runtime_envs":
            infos = self._raylet.environments.table.infos(self._raylet.node_id)
            connection.reply(request, m.StateDump(blobs=[msgspec.msgpack.encode(infos)]))
            return
        connection.reply(request, await self.collect(request.what))

    async def collect(self, what: str) -> m.StateDump:
        """What the drivers and workers of this node tell."""
        asked = [core.request(m.DumpState(what=what)) for core in self.cores]
        told, silent = await aio.answers(asked, ANSWER_TIMEOUT_S)
        return m.StateDump(blobs=[blob for each in told for blob in each.blobs], silent=silent)

    def workers(self) -> list[m.WorkerInfo]:
        """The living processes, and the newest of those that have ended."""
        node = self._raylet.node
        found = [
            m.WorkerInfo(request.address.worker_id, node.node_id, node.host, request.pid, "DRIVER")
            for request in self.cores.values()
            if request.is_driver
        ]
        return [*found, *map(self._told, self._raylet.pool.workers.values()), *self._ended]

    def _told(self, worker: Worker, exit_type: str = "", exit_detail: str = "", end_time_ms: int = 0) -> m.WorkerInfo:
        node = self._raylet.node
        return m.WorkerInfo(
            worker.worker_id,
            node.node_id,
            node.host,
            worker.pid,
            "WORKER",
            worker.job_id,
            exit_type,
            exit_detail,
            end_time_ms,
            worker.launch_time_ms,
            worker.start_time_ms,
        )

    def driver_gone(self, request: m.RegisterWorker) -> None:
        node = self._raylet.node
        self._ended.append(
            m.WorkerInfo(
                request.address.worker_id,
                node.node_id,
                node.host,
                request.pid,
                "DRIVER",
                exit_type="INTENDED_USER_EXIT",
                exit_detail="Shutdown by ray.shutdown(), or its process has ended.",
                end_time_ms=int(time.time() * 1000),
            )
        )

    def worker_gone(self, worker: Worker, cause: str) -> None:
        kind = exit_type(worker.exit_kind, worker.exit_note)
        self._ended.append(self._told(worker, kind, cause, int(time.time() * 1000)))
