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
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ray._core.common import metrics
from ray._core.common.metrics import Family, Sample, Tags
from ray._core.common.resources import to_float

if TYPE_CHECKING:
    from ray._core.raylet.server import Raylet

logger = logging.getLogger(__name__)
READ_TIMEOUT_S = 5.0
LONGEST_HEAD = 16 * 1024
"""Bytes; Prometheus sends some 300."""
HEALTH = (b"/api/local_raylet_healthz", b"/api/healthz")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsServer:
    def __init__(self, raylet: Raylet) -> None:
        self._raylet = raylet
        self._server: asyncio.Server | None = None

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
        return metrics.text([*self._own(), *families])

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
        yield _gauge("object_store_used_memory", "Bytes of shared memory in use.", here, store.used)
        yield _gauge("object_store_available_memory", "Bytes of shared memory free.", here, store.size - store.used)
        yield _gauge("object_store_num_local_objects", "Objects in shared memory.", here, store.num_objects)
        workers = self._raylet.state.workers()
        yield _gauge("internal_num_processes_started", "Drivers and workers alive.", here, len(workers))
        machine: Tags = (("ip", node.host), ("IsHeadNode", str(node.is_head).lower()), *common)
        yield from _machine(machine)


def _gauge(name: str, description: str, tags: Tags, value: float) -> Family:
    return Family(name, "gauge", description, [Sample(name, tags, value)])


def _machine(tags: Tags) -> Iterator[Family]:
    yield _gauge("node_cpu_count", "Cores of the machine.", tags, os.cpu_count() or 1)
    memory = Path("/proc/meminfo")
    if memory.exists():
        rows = dict(line.split(":", 1) for line in memory.read_text().splitlines())
        total, free = (int(rows[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
        yield _gauge("node_mem_total", "Bytes of memory of the machine.", tags, total)
        yield _gauge("node_mem_available", "Bytes of memory that programs could get.", tags, free)
        yield _gauge("node_mem_used", "Bytes of memory in use.", tags, total - free)
