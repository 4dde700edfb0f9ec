"""Ways to connect, and what goes wrong: versions, tokens, TLS, several contexts, too many clients, bad sessions."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import Server

import ray
from ray._common.tls_utils import generate_self_signed_tls_certs
from ray.cluster_utils import Cluster
from ray.util.client import settings

START = "import ray\n"


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A client in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "INITIAL_TIMEOUT_SEC", 0.3)
    monkeypatch.setattr(settings, "MAX_TIMEOUT_SEC", 0.3)


# ------------------------------------------------------------------ forms of connecting


def test_connect_and_disconnect(start_server: Callable[..., Any]) -> None:
    server = start_server()
    info = ray.util.connect(f"127.0.0.1:{server.port}", namespace="low-level")
    assert set(info) == {"num_clients", "python_version", "ray_version", "ray_commit"}
    assert info["num_clients"] == 1
    assert ray.get_runtime_context().namespace == "low-level"
    with pytest.raises(RuntimeError, match="already connected"):
        ray.util.connect(f"127.0.0.1:{server.port}")
    ray.util.disconnect()
    ray.util.disconnect()
    assert not ray.is_initialized()
    again = ray.init(server.address)  # the server makes another session
    assert ray.get(ray.put(1)) == 1
    assert (again.ray_version, again._num_clients) == (ray.__version__, 1)
    with again:
        pass
    assert not ray.is_initialized()


def test_the_builder(start_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_server()
    with pytest.warns(DeprecationWarning, match=r"ray\.init"):
        context = ray.client(f"127.0.0.1:{server.port}").namespace("built").env({"env_vars": {"BUILT": "1"}}).connect()
    here = ray.get_runtime_context()
    assert (here.namespace, here.runtime_env["env_vars"]) == ("built", {"BUILT": "1"})
    context.disconnect()
    monkeypatch.setenv("RAY_ADDRESS", server.address)
    monkeypatch.setenv("RAY_NAMESPACE", "of-the-environment")
    monkeypatch.setenv("RAY_RUNTIME_ENV", '{"env_vars": {"FILLED": "1"}}')
    with ray.init():
        here = ray.get_runtime_context()
        assert (here.namespace, here.runtime_env["env_vars"]) == ("of-the-environment", {"FILLED": "1"})


def test_a_scheme_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "somewhere.py").write_text(
        "class ClientBuilder:\n"
        "    def __init__(self, address): self.address = address\n"
        "    def _init_args(self, **kwargs): self.kwargs = kwargs; return self\n"
        "    def connect(self): return self.address, self.kwargs\n"
    )
    (tmp_path / "nothing_there.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert ray.init("somewhere://a/b", namespace="n") == ("a/b", {"namespace": "n"})
    with pytest.raises(RuntimeError, match="no_such_module could not be imported"):
        ray.init("no_such_module://x")
    with pytest.raises(RuntimeError, match="does not have ClientBuilder"):
        ray.init("nothing_there://x")


def test_several_connections_of_one_process(start_server: Callable[..., Any]) -> None:
    proxy = start_server("proxy")
    first = ray.init(proxy.address, allow_multiple=True, namespace="first")
    second = ray.init(proxy.address, allow_multiple=True, namespace="second")
    assert second._num_clients == 2
    with pytest.raises(ValueError, match="allow_multiple=True"):
        ray.init(proxy.address)
    with first:
        assert ray.get_runtime_context().namespace == "first"
        ref = ray.put("of the first")
        with second:
            assert ray.get_runtime_context().namespace == "second"
        assert ray.get(ref) == "of the first"
    with second:
        assert ray.get_runtime_context().namespace == "second"
    first.disconnect()
    second.disconnect()


def test_each_client_of_a_proxy_has_a_job_of_its_own(start_server: Callable[..., Any]) -> None:
    proxy = start_server("proxy")
    code = f"{START}ray.init({proxy.address!r})\nprint(ray.get_runtime_context().get_job_id())\n"
    jobs: list[str] = []
    threads = [threading.Thread(target=lambda: jobs.append(run(code).stdout)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(jobs)) == 3 and "" not in jobs


def test_legacy_servers_are_shared(start_server: Callable[..., Any]) -> None:
    server = start_server("legacy")
    with ray.init(server.address):
        mine = ray.get_runtime_context().get_job_id()
        code = f"{START}ray.init({server.address!r})\nprint(ray.get_runtime_context().get_job_id())\n"
        assert run(code).stdout.strip() == mine


# ------------------------------------------------------------------ what goes wrong


@pytest.mark.usefixtures("quick")
def test_nobody_there() -> None:
    with (
        pytest.warns(UserWarning, match="timed out"),
        pytest.raises(ConnectionError, match="ray client connection timeout"),
    ):
        ray.util.connect("127.0.0.1:1", connection_retries=1)


@pytest.mark.parametrize("mode", ["specific-server", "proxy"])
def test_a_wrong_token(start_server: Callable[..., Any], mode: str) -> None:
    server = start_server(mode)
    ray.init(server.address).disconnect()  # it serves
    failed = run(f"{START}ray.init({server.address!r})", RAY_AUTH_TOKEN="another")
    assert "AuthenticationError" in failed.stderr and "refused this client" in failed.stderr
    given = run(
        f"{START}ray.init({server.address!r}, _metadata=[('authorization', 'Bearer {os.environ['RAY_AUTH_TOKEN']}')])\n"
        "print(ray.get(ray.put(3)))",
        RAY_AUTH_TOKEN="another",
    )
    assert given.stdout == "3\n", given.stderr


@pytest.mark.parametrize("mode", ["specific-server", "proxy"])
def test_a_session_that_cannot_be(start_server: Callable[..., Any], mode: str) -> None:
    server = start_server(mode)
    with pytest.raises(ConnectionAbortedError, match=r"(?s)Initialization failure from server:.*num_cpus"):
        ray.init(server.address, num_cpus=3)
    assert not ray.is_initialized()
    with ray.init(server.address):
        assert ray.get(ray.put(1)) == 1


def test_an_environment_that_cannot_be(start_server: Callable[..., Any]) -> None:
    server = start_server("proxy")
    with pytest.raises(ConnectionAbortedError, match="Initialization failure from server"):
        ray.init(server.address, runtime_env={"working_dir": "file:///nothing/there.zip"})


def test_another_version(start_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_server()
    monkeypatch.setattr("ray.util.client.VERSION", "1.2.3")
    with pytest.raises(RuntimeError, match=r"client is 1\.2\.3, server is 2\."):
        ray.init(server.address)
    monkeypatch.setenv("RAY_IGNORE_VERSION_MISMATCH", "1")
    ray.init(server.address).disconnect()


def test_too_many_clients(start_server: Callable[..., Any]) -> None:
    server = start_server("specific-server", RAY_CLIENT_SERVER_MAX_THREADS="6")
    contexts = [ray.init(server.address, allow_multiple=True) for _ in range(3)]
    with pytest.raises(ConnectionError, match="Too many clients"):
        ray.init(server.address, allow_multiple=True)
    contexts.pop().disconnect()
    contexts.append(ray.init(server.address, allow_multiple=True))
    for context in contexts:
        context.disconnect()


def test_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for kind, text in zip(("CERT", "KEY"), generate_self_signed_tls_certs(), strict=True):
        (tmp_path / kind).write_text(text)
    tls = {
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(tmp_path / "CERT"),
        "RAY_TLS_SERVER_KEY": str(tmp_path / "KEY"),
        "RAY_TLS_CA_CERT": str(tmp_path / "CERT"),
    }
    with monkeypatch.context() as environment:
        for name, value in tls.items():
            environment.setenv(name, value)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 128 << 20})
        server = Server(cluster.address, "proxy", tmp_path / "log", {})
    try:
        check_tls(server, tls)
    finally:
        server.stop()
        cluster.shutdown()


def check_tls(server: Server, tls: dict[str, str]) -> None:
    code = f"{START}ray.init({server.address!r})\nprint(ray.get(ray.put(3)))"
    secured = run(code, **tls)
    assert secured.stdout == "3\n", secured.stderr
    plain = run(
        code,
        RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S="0.3",
        RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S="0.3",
    )
    assert "ray client connection timeout" in plain.stderr
    missing = run(code, RAY_USE_TLS="1")
    assert "RAY_TLS_SERVER_CERT" in missing.stderr


def test_what_workers_print_last_is_shown_before_a_program_ends(start_server: Callable[..., Any]) -> None:
    server = start_server("specific-server")
    program = f"""
import ray
ray.init({server.address!r})
@ray.remote
def say():
    print("last", "words")
ray.get(say.remote())
"""
    ended = run(program)
    assert "last words" in ended.stdout, ended.stderr
