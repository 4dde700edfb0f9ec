"""Nodes of the cluster: who joins, who leaves, who has died, and what each has free.

Floor: gcs, shell around `nodes.NodeTable`. Raylets register, report and answer pings; views of what they have free go
to all raylets in batches, so that n nodes cost n messages per interval and not n².
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from ray._core.common import messages as m
from ray._core.gcs.nodes import NodeTable
from ray._core.gcs.waiters import Waiters
from ray._core.wire import aio, codec
from ray._version import VERSION

if TYPE_CHECKING:
    from ray._core.gcs.server import GcsServer

logger = logging.getLogger(__name__)
PYTHON = ".".join(map(str, sys.version_info[:2]))
IDLE_TERMINATION = "DRAIN_NODE_REASON_IDLE_TERMINATION"
PREEMPTION = "DRAIN_NODE_REASON_PREEMPTION"
FEW = 100
"""Nodes: up to here whoever asks for the cluster's resources gets them as they are now, and news is acted upon at once;
with more, once for all that has come within a millisecond for each node."""
DEATHS_S = 50e-6
"""In a large cluster deaths are told together, after so long for each node that there is: some three times of what it
takes to send something to one node, so that a lost rack does not keep the GCS busy for longer than its end takes."""
FRESH_WITHIN_S = 0.25
"""A raylet that does not answer by then is listed as it was."""


class NodeManager:
    def __init__(self, server: GcsServer) -> None:
        self._server = server
        self.table = NodeTable()
        self.raylets: dict[bytes, aio.Connection] = {}
        """Connections of living nodes' raylets, by node id."""
        self.waiting: Waiters[None, m.ListNodes] = Waiters()
        """For the next version of the list of nodes."""
        self._version = 1
        self._checks: dict[bytes, asyncio.Task[None]] = {}
        self._have_asked: set[bytes] = set()
        """Nodes that have asked by another connection whether they count, since their last health check."""
        self._publish_timer: asyncio.TimerHandle | None = None
        self._deaths: list[m.NodeChanged] = []
        """Not told yet."""
        self._all_views: bytes | None = None
        """A frame with all views, of some moment since changes were last published: whoever joins hears of what has
        changed meanwhile with all others. So a thousand that join do not cost a million rows."""
        self.handlers: dict[type, Any] = {
            m.RegisterNode: self._register,
            m.CheckNode: self._check_node,
            m.UnregisterNode: self._unregister,
            m.DrainNode: self._drain,
            m.ReportResources: self._reported,
            m.ListNodes: self._list,
            m.GetClusterResources: self._cluster_resources,
        }

    def tell_all(self, connection: aio.Connection, channel: str) -> None:
        """What a new subscriber of `channel` must know first."""
        if channel == "resources":
            if self._all_views is None:
                self._all_views = codec.encode(m.ResourceViews(self.table.views()))
            connection.send_frame(self._all_views)
        elif channel == "node":
            for info in self.table.infos():
                if info.state == "DEAD":
                    connection.send(m.NodeChanged(info))

    # ---------------------------------------------------------- joining

    def _register(self, connection: aio.Connection, request: m.RegisterNode) -> None:
        info = request.info
        if (info.version, info.python) != (VERSION, PYTHON):
            connection.fail(
                request,
                "version_mismatch",
                f"The head runs Ray {VERSION} on Python {PYTHON}, this node {info.version} on "
                f"{info.python}. Install the same versions on both.",
            )
            return
        if self._is_dead(connection, request, info.node_id):
            return
        connection.peer = ("node", info.node_id)
        before = self.raylets.get(info.node_id)
        if before is not None and before is not connection:
            before.abort("the raylet has connected anew")
            self._server.groups.node_is_away(info.node_id)
        self.raylets[info.node_id] = connection
        self._server.peers.came("node", info.node_id, info.node_id, (info.host, info.raylet_port), connection)
        info = self.table.register(msgspec.structs.replace(info, start_time_ms=self._server.now_ms()))
        self._changed(info)
        self._publish_soon() if len(self.raylets) > FEW else self._publish()
        check = self._checks.pop(info.node_id, None)
        if check is not None:
            check.cancel()
        self._checks[info.node_id] = asyncio.get_running_loop().create_task(self._check(info.node_id, connection))
        config = self._server.config.encode()
        answer = m.NodeRegistered(
            session_name=self._server.session_name,
            config=config,
            living_jobs=sorted(self._server.jobs.living()),
        )
        connection.reply(request, answer)
        if info.draining:  # it may not have heard of it before the last GCS died
            connection.send(_draining(info))
        self._server.actors.node_is_back(info.node_id, request.hosted)
        self._server.groups.node_is_back(info.node_id, request.bundles)
        self._server.node_is_back()
        if len(self.raylets) <= FEW:
            self._try_again()

    def _list(self, connection: aio.Connection, request: m.ListNodes) -> None:
        if request.after == self._version:
            self.waiting.add(None, connection, request)
        else:
            connection.reply(request, m.NodeList(nodes=self.table.infos(), version=self._version))

    def _changed(self, info: m.NodeInfo) -> None:
        self._version += 1
        for connection, request in self.waiting.take(None):
            self._list(connection, request)
        for node_id, row in self.table.take_rows():
            self._server.journal.put("node", node_id, row)
        if info.state == "DEAD":
            self._tell_death(m.NodeChanged(info))

    def _tell_death(self, news: m.NodeChanged) -> None:
        self._deaths.append(news)
        if len(self.raylets) <= FEW:
            self._tell_deaths()
        elif len(self._deaths) == 1:
            asyncio.get_running_loop().call_later(len(self.raylets) * DEATHS_S, self._tell_deaths)

    def _tell_deaths(self) -> None:
        deaths, self._deaths = self._deaths, []
        self._server.publisher.publish_together("node", deaths)

    def restore(self) -> None:
        """Nodes that an earlier GCS knew; the living ones have their raylets reconnect."""
        self.table.restore(self._server.journal.load("node"))

    def _check_node(self, connection: aio.Connection, request: m.CheckNode) -> None:
        if not self._is_dead(connection, request, request.node_id):
            self._have_asked.add(request.node_id)
            connection.reply(request)

    def _is_dead(self, connection: aio.Connection, request: m.Request, node_id: bytes) -> bool:
        """Whether the node has been declared dead; the request is refused then."""
        known = self.table.info(node_id)
        if known is None or known.state != "DEAD":
            return False
        text = f"Node {node_id.hex()} was declared dead ({known.death_message}); start it anew."
        connection.fail(request, "node_dead", text)
        return True

    # ---------------------------------------------------------- leaving

    def _unregister(self, connection: aio.Connection, request: m.UnregisterNode) -> None:
        self.died(request.node_id, request.reason, request.message)
        connection.reply(request)

    def _drain(self, connection: aio.Connection, request: m.DrainNode) -> None:
        raylet = self.raylets.get(request.node_id)
        if raylet is None:
            connection.fail(request, "unknown_node", f"There is no living node {request.node_id.hex()}.")
            return
        if request.reason == IDLE_TERMINATION and self.table.is_busy(request.node_id):
            connection.fail(request, "busy", "The node to be drained is not idle: work runs on it, or holds resources.")
            return
        info = self.table.drain(request.node_id, request.reason == PREEMPTION, request.message, request.deadline_ms)
        assert info is not None, "a node with a connection lives"
        self._changed(info)
        self._publish_soon()
        raylet.send(_draining(info))
        connection.reply(request)

    def connection_lost(self, node_id: bytes, connection: aio.Connection) -> None:
        """The node is away: nothing new goes there, and orders that were on their way may be lost."""
        if self.raylets.get(node_id) is connection:
            del self.raylets[node_id]
            logger.warning("Node %s is away: its connection was lost (%s).", node_id.hex(), connection.close_reason)
            self.table.away(node_id)
            self._server.groups.node_is_away(node_id)

    def died(self, node_id: bytes, reason: str, message: str) -> None:
        """Declare a node dead and tell everybody; again: nothing."""
        dead = self.table.die(node_id, reason, message, self._server.now_ms())
        if dead is None:
            return
        logger.warning("Node %s is dead (%s): %s", node_id.hex(), reason, message)
        self._changed(dead)
        self._publish_soon()
        self.raylets.pop(node_id, None)
        self._have_asked.discard(node_id)
        check = self._checks.pop(node_id, None)
        if check is not None and check is not asyncio.current_task():
            check.cancel()
        self._server.actors.node_died(dead)
        self._server.groups.node_died(node_id)
        self._server.log_relay.node_died(node_id)
        self._server.peers.node_died(node_id)

    async def _check(self, node_id: bytes, connection: aio.Connection) -> None:
        """Ask now and then whether the raylet still answers: a machine that lost its power closes no connection."""
        config = self._server.config
        await asyncio.sleep(config.health_check_initial_delay_ms / 1000)
        loop, missed, unanswered = asyncio.get_running_loop(), 0, 0
        while not connection.is_closed:
            asked_at_s = loop.time()
            try:
                await asyncio.wait_for(connection.request(m.Ping(unanswered)), config.health_check_timeout_ms / 1000)
                missed = unanswered = 0
            except TimeoutError:
                unanswered += 1
                missed += not self._server.journal.has_held_since(asked_at_s)  # else the ping has not left
            except ConnectionError:
                return  # `connection_lost` says so
            if node_id in self._have_asked:
                self._have_asked.discard(node_id)
                missed = 0
            if missed >= config.health_check_failure_threshold:
                silent_s = missed * (config.health_check_timeout_ms + config.health_check_period_ms) / 1000
                self.died(node_id, "UNEXPECTED_TERMINATION", f"The raylet did not answer for {silent_s:g} s.")
                connection.abort("the node was declared dead")
                return
            await asyncio.sleep(config.health_check_period_ms / 1000)

    # ---------------------------------------------------------- resources

    def _reported(self, _: aio.Connection, report: m.ReportResources) -> None:
        self.table.report(report)
        if len(self.raylets) <= FEW:
            self._try_again()
        self._publish_soon()

    def _try_again(self) -> None:
        """What had no place may have one now."""
        self._server.groups.nodes_changed()
        self._server.actors.nodes_changed()

    def _cluster_resources(self, connection: aio.Connection, request: m.GetClusterResources) -> None:
        """Answered as things are now: each raylet is asked to report first. Large clusters hear the last reports."""
        asked = [raylet.request(m.Ping()) for raylet in self.raylets.values()] if len(self.raylets) <= FEW else []
        waiting = asyncio.gather(*asked, return_exceptions=True)
        timer = asyncio.get_running_loop().call_later(FRESH_WITHIN_S, waiting.cancel)

        def answer(_: object) -> None:
            timer.cancel()
            demands = self.table.demands() + self._server.actors.demands()
            groups = self._server.groups.table.pending()
            views = self.table.views()
            connection.reply(request, m.ClusterResources(views=views, demands=demands, pending_groups=groups))

        waiting.add_done_callback(answer)

    def _publish_soon(self) -> None:
        if self._publish_timer is None:
            delay_s = max(self._server.config.resource_report_interval_ms, len(self.raylets)) / 1000
            self._publish_timer = asyncio.get_running_loop().call_later(delay_s, self._publish)

    def _publish(self) -> None:
        if self._publish_timer is not None:
            self._publish_timer.cancel()
            self._publish_timer = None
        changes = self.table.take_changes()
        if changes and len(self.raylets) > FEW:
            self._try_again()
        if changes:
            self._all_views = None
            self._server.publisher.publish("resources", m.ResourceViews(changes))


def _draining(info: m.NodeInfo) -> m.SetDraining:
    reason = "AUTOSCALER_DRAIN_PREEMPTED" if info.preempted else "AUTOSCALER_DRAIN_IDLE"
    return m.SetDraining(reason=reason, message=info.drain_message)
