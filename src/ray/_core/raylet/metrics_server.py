"""Answers `GET /metrics` with the numbers of this node and its processes, in Prometheus's text format, and says at
`/api/local_raylet_healthz` and `/api/healthz` that the node is well, which probes of Kubernetes ask for.

Floor: raylet, shell. It is here and not in the agent since the raylet holds a line to every process of the node.
Nothing is collected until somebody asks. Like Ray's own it asks for no token: a scraper has none. It reads no more of
a request than its first lines, and one connection carries one request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from ray._core.common import messages as m
from ray._core.common import metrics
from ray._core.common.metrics import Family, Sample, Tags
from ray._core.common.resources import to_float
from ray._core.raylet.cluster_metrics import cluster_families
from ray._core.raylet.machine_metrics import MachineMetrics, gauge
from ray._core.wire import aio

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

logger = logging.getLogger(__name__)
READ_TIMEOUT_S = 5.0
GCS_TIMEOUT_S = 2.0
"""Prometheus waits ten seconds for all."""
LONGEST_HEAD = 16 * 1024
"""Bytes; Prometheus sends some 300."""
HEALTH = (b"/api/local_raylet_healthz", b"/api/healthz")
_KIND = {True: "head", False: "worker"}
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsServer:
    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self._server: asyncio.Server | None = None
        self._machine = MachineMetrics("/")

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, which is chosen if `port` is 0. Raises OSError when it is taken."""
        self._server = await asyncio.start_server(self._serve, host or None, port, limit=LONGEST_HEAD)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # What is suppressed is a client that went away, is too slow, or talks something else than HTTP.
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_TIMEOUT_S)
            status, body = await self._answer(head)
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
            )
            if not head.startswith(b"HEAD "):
                writer.write(body)
            await asyncio.wait_for(writer.drain(), READ_TIMEOUT_S)
        writer.close()

    async def _answer(self, head: bytes) -> tuple[str, bytes]:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return "405 Method Not Allowed", b"Only GET.\n"
        if path in HEALTH:  # who answers is the raylet's loop, so the answer itself is the proof
            return "200 OK", b"success"
        if path not in (b"/", b"/metrics"):
            return "404 Not Found", b"There is /metrics.\n"
        return "200 OK", (await self.text()).encode()

    async def text(self) -> str:
        """The node's numbers, and those of its drivers and workers; of one that does not answer there are none."""
        answer = await self._raylet.state.collect("metrics")
        families = [
            family for blob in answer.blobs for family in msgspec.msgpack.decode(blob, type=list[Family], strict=False)
        ]
        return metrics.text([*self._own(), *await self._cluster(), *families])

    def _own(self) -> Iterator[Family]:
        node = self._raylet.node
        session = os.path.basename(node.session_dir)
        common = (("Version", node.version), ("SessionName", session))
        here: Tags = (("Component", "raylet"), ("NodeAddress", node.host), *common)
        free = to_float(self._raylet.leases.scheduler.available)
        resources = []
        for name, total in to_float(node.total).items():
            left = free.get(name, 0.0)
            resources.append(Sample("resources", (("Name", name), ("State", "AVAILABLE"), *here), left))
            resources.append(Sample("resources", (("Name", name), ("State", "USED"), *here), total - left))
        yield Family("resources", "gauge", "Logical resources, by state.", resources)
        store = self._raylet.objects.stats()
        yield gauge("object_store_used_memory", "Bytes of shared memory in use.", here, store.used)
        yield gauge("object_store_available_memory", "Bytes of shared memory free.", here, store.size - store.used)
        yield gauge("object_store_num_local_objects", "Objects in shared memory.", here, store.num_objects)
        workers = self._raylet.state.workers()
        yield gauge("internal_num_processes_started", "Drivers and workers alive.", here, len(workers))
        yield Family("object_store_memory", "gauge", "Bytes of objects, by where they are.", _places(store, here))
        ip: Tags = (("ip", node.host), *common)
        machine: Tags = (("IsHeadNode", str(node.is_head).lower()), ("RayNodeType", _KIND[node.is_head]), *ip)
        yield from self._machine.machine(machine)
        components = {each.pid: each.type.lower() for each in workers if not each.exit_type}
        yield from self._machine.processes({os.getpid(): "raylet", **components}, ip)

    async def _cluster(self) -> list[Family]:
        """What only the GCS knows; the head tells it, so that it is told once. Nothing while the GCS is away."""
        node = self._raylet.node
        if not node.is_head:
            return []
        gcs = self._raylet.gcs
        told, _ = await aio.answers([gcs.request(m.ListActors()), gcs.request(m.ListGroups())], GCS_TIMEOUT_S)
        actors = [actor for each in told if isinstance(each, m.ActorList) for actor in each.actors]
        groups = [group for each in told if isinstance(each, m.GroupList) for group in each.groups]
        tags: Tags = (
            ("Component", "gcs_server"),
            ("NodeAddress", node.host),
            ("Version", node.version),
            ("SessionName", os.path.basename(node.session_dir)),
        )
        return cluster_families(actors, groups, tags) if told else []


def _places(store: m.StoreStats, tags: Tags) -> list[Sample]:
    """Objects in the shared memory, in its file on disk, and spilled."""
    bytes_at = {
        ("MMAP_SHM", "SEALED"): store.used - store.overflow_bytes,
        ("MMAP_DISK", "SEALED"): store.overflow_bytes,
        ("SPILLED", ""): store.on_disk_bytes,
    }
    return [
        Sample("object_store_memory", (("Location", place), ("ObjectState", state), *tags), max(size, 0))
        for (place, state), size in bytes_at.items()
    ]
