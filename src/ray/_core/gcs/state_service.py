"""Answers what the state API asks: what is stored here, and what every node's processes know at this moment.

Floor: gcs, shell.
"""

from __future__ import annotations

import msgspec

from ray._core.common import messages as m
from ray._core.gcs.log_relay import LogRelay
from ray._core.gcs.task_table import TaskTable
from ray._core.wire import aio
from ray._core.wire.background import Background

ANSWER_TIMEOUT_S = 20.0
"""A node that does not answer in time is counted as silent. Longer than a raylet waits for its processes, which leaves
time to encode and send some million tasks, and shorter than the state API waits for the GCS."""


class StateService:
    """`raylets`: connections by node id, as the server keeps them."""

    def __init__(self, raylets: dict[bytes, aio.Connection], relay: LogRelay, max_tasks: int) -> None:
        self._raylets, self._relay = raylets, relay
        self._background = Background()
        self.tasks = TaskTable(max_tasks)

    def task_events(self, message: m.TaskEvents) -> None:
        self.tasks.add(message.job_id, message.count, message.blob)

    def dump(self, connection: aio.Connection, request: m.DumpState) -> None:
        """Ask all nodes, and answer when each has, or has lost its connection, or the time is over."""
        if request.what == "events":
            events = [m.EventInfo(at_ms, event) for at_ms, event in self._relay.events]
            connection.reply(request, m.StateDump(blobs=[msgspec.msgpack.encode(events)]))
            return
        self._background.answer(connection, request, self._collect(connection, request))

    async def _collect(self, connection: aio.Connection, request: m.DumpState) -> None:
        asked = [raylet.request(m.DumpState(what=request.what)) for raylet in self._raylets.values()]
        told, _ = await aio.answers(asked, ANSWER_TIMEOUT_S)
        answer = m.StateDump(blobs=[], silent=len(asked) - len(told))  # also nodes that died while they were asked
        if request.what == "tasks":
            answer.blobs, answer.forgotten = self.tasks.batches(), self.tasks.forgotten
        for each in told:
            answer.blobs += each.blobs
            answer.silent += each.silent
        connection.reply(request, answer)
