"""TLS on the wire's three kinds of connections: certificates are checked on both sides, plain speakers are refused."""

import asyncio
import os
import socket
import threading

import pytest
from certificates import Authority

from ray._common.tls_utils import generate_self_signed_tls_certs
from ray._core.common.messages import KvGet, KvValue
from ray._core.wire import aio, auth, blocking, tls
from ray._core.wire.reactor import Reactor, Waiter

TOKEN = b"secret"
BIG = os.urandom(1 << 20)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def use(monkeypatch):
    """Set what this process's connections are made with from now on; None: no TLS."""

    def use(variables):
        for name in ("RAY_USE_TLS", *tls.VARIABLES):
            monkeypatch.delenv(name, raising=False)
        for name, value in (variables or {}).items():
            monkeypatch.setenv(name, value)

    return use


class Echo:
    """Serves both kinds of connections: answers KvGet by its key; "big" by 1 MiB."""

    def __init__(self):
        self.reasons = []
        self.told = threading.Event()

    def connected(self, connection):
        pass

    def received(self, connection, message, payload):
        connection.reply(message, KvValue(value=BIG if message.key == b"big" else message.key))

    def closed(self, connection, reason=""):
        self.reasons.append(reason or connection.close_reason)
        self.told.set()


class AsyncioServer:
    """An `aio` server in a thread."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server, self.port = self._run(aio.serve_tcp(Echo(), "127.0.0.1", 0, TOKEN))

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def close(self):
        async def close():
            self._server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        self._run(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class ReactorServer:
    def __init__(self):
        self._reactor = Reactor()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._reactor.start()
        with self._reactor.lock:
            self._reactor.listen(self._listening, Echo(), TOKEN)

    def close(self):
        self._reactor.close()
        self._listening.close()


@pytest.fixture(params=[AsyncioServer, ReactorServer])
def serve(request):
    """Start a server with the certificates in use now; its port."""
    servers = []

    def serve():
        servers.append(request.param())
        return servers[-1].port

    yield serve
    for server in servers:
        server.close()


def ask_blocking(port, key):
    sock = blocking.connect_tcp("127.0.0.1", port, TOKEN)
    with blocking.Client(sock, KvGet(namespace="", key=b"first", rid=99)) as client:
        return client.request(KvGet(namespace="", key=key), 10).value


def ask_asyncio(port, key):
    async def main():
        connection = await aio.connect_tcp(Echo(), "127.0.0.1", port, TOKEN)
        try:
            return (await connection.request(KvGet(namespace="", key=key))).value
        finally:
            connection.close()

    return asyncio.run(main())


def ask_reactor(port, key, host="127.0.0.1"):
    reactor, handler, replies = Reactor(), Echo(), []
    waiter = Waiter(reactor)

    def answered(reply):
        replies.append(reply)
        waiter.finish()

    try:
        with reactor.lock:
            connection = reactor.connect_tcp(host, port, handler, TOKEN)
            connection.request(KvGet(namespace="", key=key), answered)
            reactor.flush()
        assert reactor.wait(waiter, 10)
    finally:
        reactor.close()
    if not isinstance(replies[0], KvValue):
        raise ConnectionError(replies[0].message)
    return replies[0].value


ASKING = [ask_blocking, ask_asyncio, ask_reactor]


@pytest.mark.parametrize("ask", ASKING)
def test_messages_large_and_small_arrive(authority, use, serve, ask):
    use(authority.variables())
    port = serve()
    assert ask(port, b"small") == b"small"
    assert ask(port, b"big") == BIG
    assert ask(port, BIG) == BIG


@pytest.mark.parametrize("ask", ASKING)
def test_who_speaks_plainly_is_refused_and_told_why(authority, use, serve, ask):
    use(authority.variables())
    port = serve()
    ask(port, b"")
    use(None)
    with pytest.raises(ConnectionError, match="set RAY_USE_TLS=1"):
        ask(port, b"small")


@pytest.mark.parametrize("ask", ASKING)
def test_a_server_that_speaks_plainly_is_not_spoken_to(authority, use, serve, ask):
    use(None)
    port = serve()
    use(authority.variables())
    with pytest.raises(
        (ConnectionError, tls.TlsFailed), match=r"TLS handshake; does it|does not speak TLS|closed the connection"
    ):
        ask(port, b"small")


@pytest.mark.parametrize("ask", ASKING)
def test_a_server_of_another_authority_is_not_trusted(authority, use, serve, ask, tmp_path):
    use(Authority(tmp_path, "evil").variables())
    port = serve()
    use(authority.variables())
    with pytest.raises(ConnectionError, match="certificate is not right: self-signed certificate in certificate chain"):
        ask(port, b"small")


@pytest.mark.parametrize("ask", ASKING)
def test_a_client_of_another_authority_is_refused(authority, use, serve, ask, tmp_path):
    use(authority.variables())
    port = serve()
    use(Authority(tmp_path, "evil").variables(trusting=authority))
    with pytest.raises(ConnectionError, match=r"not trust (our|this process's) certificate"):
        ask(port, b"small")


@pytest.mark.parametrize("ask", ASKING)
@pytest.mark.parametrize(
    ("hosts", "days", "why"),
    [
        (("10.9.8.7", "localhost"), 1, r"does not name 127\.0\.0\.1"),
        (("127.0.0.1",), -1, "certificate has expired"),
    ],
)
def test_a_certificate_for_another_host_or_time_is_refused(authority, use, serve, ask, hosts, days, why):
    use(authority.variables(*hosts, days=days))
    port = serve()
    use(authority.variables())
    with pytest.raises(ConnectionError, match=why):
        ask(port, b"small")


def test_the_token_is_proved_inside(authority, use, serve, monkeypatch):
    use(authority.variables())
    port = serve()
    with pytest.raises(auth.AuthenticationFailed, match="incorrect"):
        blocking.connect_tcp("127.0.0.1", port, b"wrong")


def test_certificates_of_rays_helper_suit_names_and_addresses(use, serve, tmp_path):
    certificate, key = generate_self_signed_tls_certs()
    for name, text in (("cert", certificate), ("key", key)):
        (tmp_path / name).write_text(text)
    paths = {"CERT": "cert", "KEY": "key"}
    variables = {f"RAY_TLS_SERVER_{name}": str(tmp_path / file) for name, file in paths.items()}
    use({"RAY_USE_TLS": "true", **variables, "RAY_TLS_CA_CERT": str(tmp_path / "cert")})
    port = serve()
    assert ask_reactor(port, b"1") == b"1"
    assert ask_reactor(port, b"2", "localhost") == b"2"
    assert ask_asyncio(port, b"3") == b"3"


def test_what_is_missing_is_named(use, authority, tmp_path):
    use({"RAY_USE_TLS": "1", "RAY_TLS_SERVER_CERT": "cert.pem"})
    with pytest.raises(RuntimeError, match="Not set: RAY_TLS_SERVER_KEY, RAY_TLS_CA_CERT"):
        tls.server_context()
    use({**authority.variables(), "RAY_TLS_CA_CERT": str(tmp_path / "none.pem")})
    with pytest.raises(RuntimeError, match=r"RAY_TLS_CA_CERT=.*none\.pem"):
        tls.client_context("localhost")


@pytest.mark.parametrize(
    ("names", "host", "suits"),
    [
        ((("IP Address", "10.0.0.1"),), "10.0.0.1", True),
        ((("IP Address", "10.0.0.1"),), "10.0.0.2", False),
        ((("DNS", "10.0.0.1"),), "10.0.0.1", True),
        ((("DNS", "*.0.0.1"), ("DNS", "10.0.0")), "10.0.0.1", False),
        ((("IP Address", "0:0:0:0:0:0:0:1"),), "::1", True),
        ((), "127.0.0.1", False),
    ],
)
def test_addresses_are_compared_as_addresses_and_never_by_wildcards(names, host, suits):
    assert tls.names_address({"subjectAltName": names}, host) is suits
