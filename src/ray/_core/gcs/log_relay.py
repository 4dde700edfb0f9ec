"""Worker output and error events on their way to the driver of the job, and the flush at a driver's end.

Floor: gcs, shell.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Any

from ray._core.common import messages as m
from ray._core.gcs.held_lines import HeldLines
from ray._core.gcs.nodes import NodeTable
from ray._core.gcs.publisher import Publisher
from ray._core.gcs.waiters import Waiters
from ray._core.wire import aio

logger = logging.getLogger(__name__)


MOST_EVENTS = 1000
"""Kept for the state API."""
MOST_UNSENT = 16 << 20
"""Bytes that may wait for a driver to read them before it is sent no more output."""


class LogRelay:
    def __init__(self, publisher: Publisher, nodes: NodeTable) -> None:
        self._publisher, self._nodes = publisher, nodes
        self._agents: dict[bytes, aio.Connection] = {}
        self.events: deque[tuple[int, m.ErrorEvent]] = deque(maxlen=MOST_EVENTS)
        """With the time, in ms since the epoch, at which they came."""
        self._held = HeldLines(time.monotonic())
        self._unshown: dict[Any, int] = {}
        """Lines that a driver which does not read has missed, by its connection."""
        self._flushes: list[_Flush] = []
        self._waiting: Waiters[bytes, m.ListLogs | m.ReadLog] = Waiters()
        """Questions to agents that are on their way up."""

    def __repr__(self) -> str:
        return f"<LogRelay agents={len(self._agents)} flushes={len(self._flushes)}>"

    def lines(self, message: m.LogLines) -> None:
        by_job: dict[bytes, list[m.LogLine]] = {}
        for each in message.batch:
            by_job.setdefault(each.job_id, []).append(each)
        for job_id, batch in by_job.items():
            drivers = self._publisher.subscribers("log", job_id)
            for driver in drivers:
                self._show(driver, job_id, batch)
            if not drivers:
                self._held.hold(job_id, batch, time.monotonic())

    def _show(self, driver: Any, job_id: bytes, batch: list[m.LogLine]) -> None:
        """Send the lines on, unless the driver does not read (it is stopped, say): they must not fill this process."""
        count = sum(len(each.lines) for each in batch)
        if driver.unsent_bytes > MOST_UNSENT:
            self._unshown[driver] = self._unshown.get(driver, 0) + count
            return
        unshown = self._unshown.pop(driver, 0)
        if unshown:
            text = (
                f"{unshown} lines that workers printed are not shown here, since this driver did not read for a while. "
                "They are in the log files of the workers (ray logs)."
            )
            driver.send(m.ErrorEvent(job_id, "output_not_shown", text, "gcs_server"))
        driver.send(m.LogLines(batch))

    def subscribed(self, connection: aio.Connection, channel: str, job_id: bytes) -> None:
        """Somebody wants a job's output: what came before is for them."""
        held = self._held.take(job_id) if channel == "log" else []
        if held:
            connection.send(m.LogLines(held))

    def event(self, message: m.ErrorEvent) -> None:
        self.events.append((time.time_ns() // 1_000_000, message))
        logger.warning("%s of job %s: %s", message.kind, message.job_id.hex() or "(all)", message.message)
        self._publisher.publish("error", message, message.job_id or m.EVERY_JOB)

    def forward(self, connection: aio.Connection, request: m.ListLogs | m.ReadLog) -> None:
        """A question about the log files of a node: its agent answers, once it is there."""
        agent = self._agents.get(request.node_id)
        if agent is None:
            if request.node_id in self._living():
                self._waiting.add(request.node_id, connection, request)
            else:
                connection.fail(request, "no_agent", f"There is no living node {request.node_id.hex()}.")
            return
        rid = request.rid

        def answered(reply: asyncio.Future[Any]) -> None:
            request.rid = rid
            problem = reply.exception()
            if isinstance(problem, aio.RequestFailed):
                connection.fail(request, problem.kind, problem.message)
            elif problem is not None:
                connection.fail(request, "no_agent", str(problem))
            else:
                connection.reply(request, reply.result())

        agent.request(request).add_done_callback(answered)

    # ---------------------------------------------------------- flushing

    def agent_connected(self, node_id: bytes, connection: aio.Connection) -> None:
        self._agents[node_id] = connection
        self._forward_again(node_id)
        for flush in self._flushes:
            if node_id in flush.unasked:
                self._ask(flush, node_id)

    def _forward_again(self, node_id: bytes) -> None:
        for asker, request in self._waiting.take(node_id):
            self.forward(asker, request)

    def _living(self) -> set[bytes]:
        return {info.node_id for info in self._nodes.infos() if info.state == "ALIVE"}

    def agent_gone(self, node_id: bytes, connection: aio.Connection) -> None:
        if self._agents.get(node_id) is connection:
            del self._agents[node_id]

    def flush(self, connection: aio.Connection, request: m.FlushLogs) -> None:
        """Answer once every living node has shipped. A node whose agent is still on its way up is waited for."""
        flush = _Flush(connection, request, self._living())
        self._flushes.append(flush)
        for node_id in list(flush.unasked):
            if node_id in self._agents:
                self._ask(flush, node_id)
        self._finish_if_done(flush)

    def node_died(self, node_id: bytes) -> None:
        """A machine that lost its power closes no connection: nothing is waited for from there."""
        agent = self._agents.pop(node_id, None)
        if agent is not None:
            agent.abort("its node has died")
        self._forward_again(node_id)
        for flush in list(self._flushes):
            flush.unasked.discard(node_id)
            self._finish_if_done(flush)

    def requester_gone(self, connection: aio.Connection) -> None:
        self._waiting.gone(connection)
        self._unshown.pop(connection, None)
        self._flushes = [flush for flush in self._flushes if flush.connection is not connection]

    def _ask(self, flush: _Flush, node_id: bytes) -> None:
        flush.unasked.discard(node_id)
        flush.asked.add(node_id)

        def answered(reply: asyncio.Future[Any]) -> None:
            if (error := reply.exception()) is not None:
                logger.warning("The logs of node %s were not flushed: %s", node_id.hex(), error)
            flush.asked.discard(node_id)
            self._finish_if_done(flush)

        self._agents[node_id].request(m.FlushLogs(job_id=flush.request.job_id)).add_done_callback(answered)

    def _finish_if_done(self, flush: _Flush) -> None:
        if flush in self._flushes and not flush.unasked and not flush.asked:
            self._flushes.remove(flush)
            flush.connection.reply(flush.request)


class _Flush:
    """A driver's request: nodes not asked yet (no agent), and nodes asked."""

    def __init__(self, connection: aio.Connection, request: m.FlushLogs, nodes: set[bytes]) -> None:
        self.connection, self.request = connection, request
        self.unasked, self.asked = nodes, set[bytes]()
