"""Known attacks on Ray clusters, made on a real one: each gets nothing, and leaves no trace.

ShadowRay (CVE-2023-48022: jobs from anybody), DNS rebinding (CVE-2025-62593), drive-by requests of other verbs
(CVE-2026-27482), files and commands by query parameters (CVE-2023-6019, -6020, -6021), pickles to control-plane ports.
"""

import http.client
import json
import os
import pickle
import socket

import psutil
import pytest
from gone import wait_gone

import ray
from ray._core.wire import auth
from ray._private.auto_init_hook import connected_core

EVIL = "http://evil.example"
ENTRYPOINT = '{"entrypoint": "touch %s"}'


@pytest.fixture(scope="module")
def port():
    """Of the dashboard of a cluster with tokens."""
    ray.shutdown()
    context = ray.init(num_cpus=1, object_store_memory=100 << 20, dashboard_port=0, logging_level="ERROR")
    processes = psutil.Process().children(recursive=True)
    yield int(context.dashboard_url.rpartition(":")[2])
    ray.shutdown()
    assert wait_gone(processes, timeout=10) == []


def ask(port, verb, path, body=None, **headers):
    """Status, headers and body. Header names are given with underscores; with `token=True` the right token comes."""
    if headers.pop("token", False):
        headers["authorization"] = f"Bearer {auth.load_token().decode()}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(verb, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def jobs(port):
    """Those that were submitted; the driver of these tests is one, too."""
    return [job for job in json.loads(ask(port, "GET", "/api/jobs/", token=True)[2]) if job["type"] == "SUBMISSION"]


def test_a_job_of_somebody_without_the_token_does_not_run(port, tmp_path):
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer "}, {"cookie": "a=b"}):
        status, _, _ = ask(port, "POST", "/api/jobs/", ENTRYPOINT % (tmp_path / "run"), **headers)
        assert status in (401, 403)
    assert jobs(port) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "verb", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT", "FOO"]
)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL},
        {"origin": "null"},
        {"host": "rebound.evil.example:8265"},
        {"host": "rebound.evil.example", "origin": "http://rebound.evil.example"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},
    ],
)
def test_a_page_of_another_site_gets_nothing_by_any_verb(port, verb, headers, tmp_path):
    """Not even if the browser had the token: it is known by where the request comes from."""
    body = ENTRYPOINT % (tmp_path / "run") if verb in ("POST", "PUT", "PATCH", "DELETE") else None
    status, answered, text = ask(port, verb, "/api/jobs/", body, token=True, **headers)
    assert status in (400, 403)  # 400: a verb that HTTP does not know in this place
    assert not [name for name in answered if name.lower().startswith("access-control")]
    assert "DRIVER" not in text
    assert jobs(port) == []
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_the_dashboard_works(port):
    headers = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert ask(port, "GET", "/", **headers)[0] == 200


@pytest.mark.parametrize("headers", [{}, {"origin": EVIL, "token": True}, {"host": "evil.example", "token": True}])
def test_a_websocket_is_not_opened_for_strangers(port, headers):
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13"}
    key = {"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert ask(port, "GET", "/api/jobs/any/logs/tail", **upgrade, **key, **headers)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/js/../../../../../../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/static/js/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/logs/../../../../etc/passwd",
        "/log_proxy?url=file:///etc/passwd",
        "/api/v0/logs/file?node_ip=NODE&filename=../../../../../../etc/passwd",
        "/api/v0/logs/file?node_ip=NODE&filename=/etc/passwd",
        "/api/v0/logs/stream?node_ip=NODE&filename=..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/api/v0/logs?node_ip=NODE&glob=/etc/*",
        "/api/v0/logs?node_ip=NODE&glob=../../../../etc/pass*",
        "/api/jobs/..%2f..%2f..%2fetc%2fpasswd/logs",
        "/api/packages/gcs/..%2f..%2f..%2fetc%2fpasswd",
    ],
)
def test_no_path_leads_out_of_the_log_directory(port, path):
    for token in (False, True):
        status, _, text = ask(port, "GET", path.replace("NODE", connected_core().node.host), token=token)
        assert "root:" not in text
        assert status >= 400 or '"result": []' in text or '"result":[]' in text or "glob" in path


@pytest.mark.parametrize("inject", [";touch {}", "$(touch {})", "`touch {}`", "&&touch {}", "|touch {}", "\ntouch {}"])
def test_no_parameter_becomes_a_command(port, inject, tmp_path):
    command = "".join(f"%{byte:02x}" for byte in inject.format(tmp_path / "run").encode())
    for path in (
        f"/worker/traceback?pid=1{command}&native=1",
        f"/worker/cpu_profile?pid=1&format=flamegraph{command}",
        f"/worker/cpu_profile?pid=1&duration=1{command}",
        f"/memory_profile?pid=1{command}",
        f"/api/v0/logs/file?node_ip={connected_core().node.host}&pid=1{command}",
        f"/api/v0/logs/file?node_id={command}&filename=raylet.out",
        f"/api/jobs/{command}/logs",
    ):
        assert ask(port, "GET", path, token=True)[0] >= 400
    assert list(tmp_path.iterdir()) == []


class Evil:
    """Unpickling it leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_to_any_port_of_the_control_plane_is_never_opened(port, tmp_path):
    pickled = pickle.dumps(Evil(tmp_path / "run"))
    framed = len(pickled).to_bytes(4, "little") + bytes(4) + pickled
    core = connected_core()
    listening = {int(core.gcs_address.rpartition(":")[2]), core.node.raylet_port, core.address.port, port}
    listening.add(core.node.metrics_port)
    assert len(listening) == 5
    for each in listening:
        for data in (pickled, framed, b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(pickled) + pickled):
            with socket.create_connection(("127.0.0.1", each), 10) as sock:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                try:
                    while sock.recv(1 << 16):
                        pass
                except ConnectionResetError:
                    pass
    assert list(tmp_path.iterdir()) == []


def test_without_a_cluster_only_loopback_is_listened_on(port):
    """`ray.init()` on a machine of its own opens no port to others."""
    mine = {process.pid for process in [psutil.Process(), *psutil.Process().children(recursive=True)]}
    found = [each for each in psutil.net_connections("tcp") if each.pid in mine and each.status == "LISTEN"]
    assert len(found) >= 5
    assert {each.laddr.ip for each in found} <= {"127.0.0.1", "::1"}


def test_what_is_on_disk_is_for_this_user_alone(port):
    session = connected_core().node.session_dir
    for directory in (session, f"{session}/sockets"):
        assert os.stat(directory).st_mode & 0o777 == 0o700
    assert os.stat(connected_core().node.arena_path).st_mode & 0o777 == 0o600
