"""A link over the outages of its server: what is sent meanwhile is sent later, and bulk data waits for it."""

import asyncio

import pytest

from ray._core.common.messages import Done, KvGet, Ping
from ray._core.wire import aio, auth
from ray._core.wire.link import Link


class Server:
    """Keeps what it gets; hangs up on Ping."""

    def __init__(self):
        self.got, self.connections = [], []

    def connected(self, connection):
        self.connections.append(connection)

    def received(self, connection, message, payload):
        if isinstance(message, Ping):
            connection.close("asked to")
        else:
            self.got.append(message.key)
            connection.reply(message, Done())

    def closed(self, connection):
        pass


class Owner(Server):
    def __init__(self):
        super().__init__()
        self.given_up = asyncio.Event()

    def closed(self, connection):
        self.given_up.set()


def run(scenario):
    async def main():
        server = Server()
        listening, port = await aio.serve_tcp(server, "127.0.0.1", 0, b"secret")
        async with asyncio.timeout(20):
            await scenario(server, listening, port)
        listening.close()

    asyncio.run(main())


async def opened(owner, port, on_open=None):
    link = Link(owner, "127.0.0.1", port, b"secret", on_open or nothing, give_up_s=0.0)
    await link.open()
    return link


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


def test_a_drain_waits_for_the_next_connection():
    async def scenario(server, listening, port):
        link = await opened(Owner(), port)
        link.send(Ping())
        await until(lambda: link.is_away)
        draining = asyncio.ensure_future(link.drain())
        assert await link.request(KvGet(namespace="", key=b"a")) == Done(rid=1)
        await draining
        assert not link.is_away and server.got == [b"a"]
        link.close()

    run(scenario)


def test_a_drain_ends_when_the_link_is_given_up():
    async def scenario(server, listening, port):
        owner = Owner()
        link = await opened(owner, port)
        listening.close()
        link.send(Ping())
        await until(lambda: link.is_away)
        await link.drain()
        assert link.is_closed
        await owner.given_up.wait()

    run(scenario)


async def nothing(connection):
    pass


def test_the_first_connection_waits_for_a_server_that_is_away():
    async def scenario(server, listening, port):
        listening.close()
        await listening.wait_closed()
        link = Link(Owner(), "127.0.0.1", port, b"secret", nothing, give_up_s=0.0)
        opening = asyncio.ensure_future(link.open(patience_s=10))
        await asyncio.sleep(0)
        again, _ = await aio.serve_tcp(server, "127.0.0.1", port, b"secret")
        await opening
        assert await link.request(KvGet(namespace="", key=b"a")) == Done(rid=1)
        link.close()
        again.close()

    run(scenario)


def test_the_first_connection_fails_when_the_time_is_over_or_the_token_is_wrong():
    async def scenario(server, listening, port):
        with pytest.raises(auth.AuthenticationFailed):
            await Link(Owner(), "127.0.0.1", port, b"another", nothing, give_up_s=0.0).open(patience_s=10)
        listening.close()
        await listening.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await Link(Owner(), "127.0.0.1", port, b"secret", nothing, give_up_s=0.0).open(patience_s=0.1)

    run(scenario)


def test_an_error_of_ours_gives_the_link_up_instead_of_leaving_it_without_a_connection():
    async def scenario(server, listening, port):
        times = iter([None, ValueError("a bug")])

        async def on_open(connection):
            error = next(times)
            if error is not None:
                raise error

        owner = Owner()
        link = await opened(owner, port, on_open)
        link.send(Ping())
        await owner.given_up.wait()
        assert "a bug" in link.close_reason

    run(scenario)
