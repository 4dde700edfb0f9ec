"""The metrics server's HTTP: what it answers, and what it does not put up with."""

import asyncio
import os
from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.raylet import metrics_server
from ray._core.raylet.metrics_server import MetricsServer


class Node:
    """What the server sees of a raylet."""

    gcs_answers = True

    def __init__(self):
        info = dict.fromkeys(("hostname", "name", "arena_path"), "")
        self.node = m.NodeInfo(
            b"n",
            "1.2.3.4",
            1,
            "",
            is_head=True,
            session_dir="/tmp/session_x",
            total={"CPU": 20000},
            version="v",
            **info,
        )
        self.leases = SimpleNamespace(scheduler=SimpleNamespace(available={"CPU": 5000}))
        self.objects = SimpleNamespace(stats=lambda: m.StoreStats(b"n", 100, 40, 2))
        self.state = self.gcs = self

    def workers(self):
        return [m.WorkerInfo(b"w", b"n", "1.2.3.4", os.getpid(), kind) for kind in ("DRIVER", "WORKER")]

    def request(self, request):
        answer = asyncio.get_running_loop().create_future()
        if self.gcs_answers:
            answer.set_result(m.ActorList([]) if isinstance(request, m.ListActors) else m.GroupList([]))
        return answer

    async def collect(self, what):
        assert what == "metrics"
        return m.StateDump(blobs=[])


async def talk(data):
    server = MetricsServer(Node())
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    server.close()
    return answer.decode()


def test_the_numbers_of_the_node():
    answer = asyncio.run(talk(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    assert 'ray_resources{Name="CPU",State="USED",Component="raylet",NodeAddress="1.2.3.4"' in answer
    assert 'State="AVAILABLE"' in answer
    assert 'SessionName="session_x"} 1.5\n' in answer
    assert "\nray_object_store_available_memory{" in answer


def test_without_the_gcs_it_tells_the_rest(monkeypatch):
    monkeypatch.setattr(Node, "gcs_answers", False)
    monkeypatch.setattr(metrics_server, "GCS_TIMEOUT_S", 0.01)
    answer = asyncio.run(talk(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert "\nray_resources{" in answer and "gcs_server" not in answer


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("POST /metrics", "405"), ("GET /etc/passwd", "404"), ("HEAD /metrics?x=1", "200"), ("nonsense x", "405")],
)
def test_other_requests(request_line, status):
    answer = asyncio.run(talk(f"{request_line} HTTP/1.1\r\n\r\n".encode()))
    assert answer.startswith(f"HTTP/1.1 {status} ")
    if request_line.startswith("HEAD"):
        assert answer.endswith("\r\n\r\n")


def test_who_sends_too_much_or_nothing_is_hung_up_on(monkeypatch):
    assert asyncio.run(talk(b"x" * (metrics_server.LONGEST_HEAD * 2))) == ""
    monkeypatch.setattr(metrics_server, "READ_TIMEOUT_S", 0.01)
    assert asyncio.run(talk(b"GET /metrics HTT")) == ""
