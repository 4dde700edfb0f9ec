"""Answers what the state API asks: what is stored here, and what every node's processes know at this moment.

Floor: gcs, shell.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from ray._core.common import messages as m
from ray._core.gcs.log_relay import LogRelay
from ray._core.gcs.task_table import TaskTable
from ray._core.wire import aio


class StateService:
    """`raylets`: connections by node id, as the server keeps them."""

    def __init__(self, raylets: dict[bytes, aio.Connection], relay: LogRelay, max_tasks: int) -> None:
        self._raylets, self._relay = raylets, relay
        self.tasks = TaskTable(max_tasks)

    def task_events(self, message: m.TaskEvents) -> None:
        self.tasks.add(message.job_id, message.count, message.blob)

    def dump(self, connection: aio.Connection, request: m.DumpState) -> None:
        """Ask all nodes and answer when each has, or has lost its connection."""
        if request.what == "events":
            events = [m.EventInfo(at_ms, event) for at_ms, event in self._relay.events]
            connection.reply(request, m.StateDump(blobs=[msgspec.msgpack.encode(events)]))
            return
        asked = [raylet.request(m.DumpState(what=request.what)) for raylet in self._raylets.values()]
        gathered = asyncio.gather(*asked, return_exceptions=True)
        gathered.add_done_callback(lambda done: self._answer(connection, request, done.result()))

    def _answer(self, connection: aio.Connection, request: m.DumpState, replies: list[Any]) -> None:
        answer = m.StateDump(blobs=[])
        if request.what == "tasks":
            answer.blobs = self.tasks.batches()
            answer.forgotten = self.tasks.forgotten
        for reply in replies:
            if isinstance(reply, m.StateDump):
                answer.blobs += reply.blobs
                answer.silent += reply.silent
            else:  # a node that died while it was asked
                answer.silent += 1
        connection.reply(request, answer)
