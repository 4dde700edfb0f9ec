"""Leases of this process: asked of its raylet, followed to others, kept, and given back to whoever granted them.

Floor: worker. All methods are locked. `leases.LeaseQueue` decides how many; `submitter` uses them.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.wire.connection import Connection
from ray._core.worker.leases import LeaseQueue, ReturnLease

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker
    from ray._core.worker.submitter import Submitter
    from ray._core.worker.task_record import Template

TURN_S = 0.1
"""A queue whose tasks never end gives a lease back after this if other queues of its owner wait for one."""
RETRY_S = 0.1
"""After a raylet could not be reached: until word of its death is here, it would be named again."""


@dataclasses.dataclass(slots=True)
class Held:
    """A lease: `worker` runs the tasks of `queue`, `raylet` granted it."""

    queue: LeaseQueue
    worker: Connection
    raylet: Connection
    pid: int
    worker_exits: bool = False


class LeaseClient:
    def __init__(self, core: CoreWorker, submitter: Submitter) -> None:
        self._core = core
        self._submitter = submitter
        self.held: dict[int, Held] = {}
        self._of_worker: dict[Connection, set[int]] = {}
        self._raylets: dict[bytes, Connection] = {}
        self._open: dict[LeaseQueue, dict[int, tuple[Connection, int]]] = {}
        """Requests not answered yet, by a number of ours: whom they were sent to, under which rid."""
        self._num_open = 0
        self._levels: Counter[int] = Counter()
        """Open requests by priority."""
        self._yields: dict[LeaseQueue, int] = {}
        """How many idle leases of others may go back for this queue without lingering: one for each request of it. So
        one that waits in vain (for what no node has free) does not cost the others a lease for each call."""
        self._idle: dict[LeaseQueue, None] = {}
        """Queues that have idle leases."""
        self._numbers = itertools.count()
        self._sweeping = False

    # ---------------------------------------------------------- asking

    def ask(self, queue: LeaseQueue, template: Template, prefer_nodes: list[bytes]) -> None:
        self._yields[queue] = self._yields.get(queue, 0) + 1
        self._ask(self._core.raylet, queue, template, 0, prefer_nodes)

    def turn_s(self, queue: LeaseQueue) -> float | None:
        """After which time a lease of `queue` goes back; None: nobody else waits for one.

        Who is lower or equal in priority gets a turn now and then, or none: that is for the raylet to say.
        """
        if self._num_open <= queue.open_requests:
            return None
        return 0.0 if max(self._levels) > queue.priority else TURN_S

    def _ask(
        self, raylet: Connection, queue: LeaseQueue, template: Template, hops: int, prefer_nodes: list[bytes]
    ) -> None:
        request = m.RequestLease(
            scheduling=template.scheduling,
            hops=hops,
            prefer_nodes=prefer_nodes,
            name=template.name,
            retriable=template.max_retries != 0,
            owner_id=self._core.worker_id,
        )
        number = next(self._numbers)

        def answered(reply: Any) -> None:
            self._closed(queue, number)
            self._answered(raylet, queue, template, hops, reply)

        self._open.setdefault(queue, {})[number] = (raylet, 0)
        self._num_open += 1
        self._levels[queue.priority] += 1
        rid = raylet.request(request, answered)
        requests = self._open.get(queue)
        if requests is not None and number in requests:
            requests[number] = (raylet, rid)

    def _closed(self, queue: LeaseQueue, number: int) -> tuple[Connection, int] | None:
        """A request is answered, or taken back; again: nothing."""
        requests = self._open.get(queue, {})
        request = requests.pop(number, None)
        if request is not None:
            self._num_open -= 1
            self._levels[queue.priority] -= 1
            if not self._levels[queue.priority]:
                del self._levels[queue.priority]
            if not requests:
                del self._open[queue]
                self._yields.pop(queue, None)
        return request

    def open_requests(self, queue: LeaseQueue) -> list[tuple[bytes, int]]:
        """Of its requests that are not answered: the node where each lies, and its rid there."""
        own_id = self._core.node.node_id
        requests = self._open.get(queue, {}).values()
        return [(own_id if raylet is self._core.raylet else raylet.peer[1], rid) for raylet, rid in requests]

    def withdraw(self, queue: LeaseQueue) -> None:
        """Fewer tasks wait in `queue`: take requests back that nobody needs."""
        requests = self._open.get(queue, {})
        for number in list(requests)[len(queue.waiting) :]:
            request = self._closed(queue, number)
            if request is not None:
                request[0].send(m.CancelLease(request[1]))

    def _answered(self, raylet: Connection, queue: LeaseQueue, template: Template, hops: int, reply: Any) -> None:
        submitter = self._submitter
        if isinstance(reply, m.LeaseGranted):
            self._granted(raylet, queue, template, reply)
        elif not queue.waiting:
            queue.refused()
            submitter.drop_needless(queue)
        elif isinstance(reply, m.Failed) and reply.kind == "cancelled":
            queue.refused()
            submitter.carry_out(queue, template, queue.fill())
        elif isinstance(reply, m.LeaseSpilled):
            self._ask(self._remote(reply), queue, template, hops + 1, [])
        elif reply.kind == "connection_lost" and raylet is not self._core.raylet:
            # That node has died, or cannot be reached from here. Our own raylet soon knows others.
            again = partial(self._ask, self._core.raylet, queue, template, 0, [])
            self._core.reactor.call_later(RETRY_S, again)
        else:
            queue.refused()
            submitter.refused(queue, reply)
            submitter.drop_needless(queue)

    def _granted(self, raylet: Connection, queue: LeaseQueue, template: Template, granted: m.LeaseGranted) -> None:
        try:
            worker = self._core.peer(granted.worker)
        except OSError:  # it died between grant and now
            raylet.send(m.ReturnLease(granted.lease_id, worker_broken=True))
            queue.refused()
            self._submitter.carry_out(queue, template, queue.fill())
            return
        self.held[granted.lease_id] = Held(queue, worker, raylet, granted.pid)
        self._of_worker.setdefault(worker, set()).add(granted.lease_id)
        now_s = time.monotonic()
        self._submitter.carry_out(queue, template, queue.granted(granted.lease_id, granted.worker.worker_id, now_s))
        self._sweep_later()

    def _remote(self, where: m.LeaseSpilled) -> Connection:
        """The connection to another node's raylet; when it cannot be made, its requests fail as connection_lost."""
        if where.node_id == self._core.node.node_id:
            return self._core.raylet
        connection = self._raylets.get(where.node_id)
        if connection is None or connection.is_closed:
            core = self._core
            connection = core.reactor.connect_tcp(where.host, where.port, core, core.token)
            core.watch_nodes()
            connection.peer, connection.role = ("raylet", where.node_id), "raylet"
            connection.send(
                m.Hello(m.PROTOCOL, core.mode, core.node.node_id, core.worker_id, core.job_id, core.address)
            )
            self._raylets[where.node_id] = connection
        return connection

    # ---------------------------------------------------------- giving back

    def give_back(self, lease_id: int) -> None:
        held = self._forget(lease_id)
        if held is not None:
            held.raylet.send(m.ReturnLease(lease_id, worker_exits=held.worker_exits))
            self._submitter.drop_needless(held.queue)

    def has_idle(self, queue: LeaseQueue) -> None:
        """A lease of `queue` has become idle: it lingers, unless another queue waits for one."""
        self._idle[queue] = None
        wanting = next((other for other in self._yields if other is not queue), None)
        if wanting is not None:
            self._yields[wanting] -= 1
            if not self._yields[wanting]:
                del self._yields[wanting]
            self._expire(queue, 0.0)

    def expire_others(self, wanting: LeaseQueue) -> None:
        """Idle leases of other classes stand in the way of one that asks: back with them at once."""
        for queue in list(self._idle):
            if queue is not wanting:
                self._expire(queue, 0.0)

    def give_back_idle(self) -> None:
        """This process ends: its raylets would kill the workers it has leased, with what they own."""
        for queue in list(self._idle):
            self._expire(queue, 0.0)

    def _expire(self, queue: LeaseQueue, linger_s: float) -> None:
        for order in queue.expire(time.monotonic(), linger_s):
            assert isinstance(order, ReturnLease)
            self.give_back(order.lease_id)
        if not queue.idle:
            self._idle.pop(queue, None)

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._core.reactor.call_later(self._core.config.lease_linger_ms / 1000, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        self._core.refs.drain()
        for queue in list(self._idle):
            self._expire(queue, self._core.config.lease_linger_ms / 1000)
        if self.held:
            self._sweep_later()

    def revoked(self, lease_id: int) -> None:
        held = self.held.get(lease_id)
        if held is not None:
            for order in held.queue.revoke(lease_id, time.monotonic()):
                if isinstance(order, ReturnLease):
                    self.give_back(order.lease_id)

    # ---------------------------------------------------------- losses

    def worker_lost(self, worker: Connection) -> list[tuple[Held, list[bytes]]]:
        """The leases of a worker that has gone, each with the ids of what had been pushed to it, oldest first."""
        lost = []
        for lease_id in list(self._of_worker.get(worker, ())):
            held = self._forget(lease_id)
            assert held is not None
            held.raylet.send(m.ReturnLease(lease_id, worker_broken=True))
            lost.append((held, held.queue.lost(lease_id)))
            if not held.queue.idle:
                self._idle.pop(held.queue, None)
            self._submitter.drop_needless(held.queue)
        return lost

    def raylet_lost(self, node_id: bytes, raylet: Connection) -> None:
        """A node's raylet has gone, and with it every worker it had: their connections need not be waited for."""
        if self._raylets.get(node_id) is raylet:
            del self._raylets[node_id]
        for worker in {held.worker for held in self.held.values() if held.raylet is raylet}:
            worker.close("its node has died")

    def node_died(self, node_id: bytes) -> None:
        raylet = self._raylets.get(node_id)
        if raylet is not None:
            raylet.close("its node has died")

    def _forget(self, lease_id: int) -> Held | None:
        held = self.held.pop(lease_id, None)
        if held is not None:
            leases = self._of_worker[held.worker]
            leases.discard(lease_id)
            if not leases:
                del self._of_worker[held.worker]
        return held
