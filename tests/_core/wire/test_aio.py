"""asyncio connections over real sockets: requests, refusals, and what a closed connection does to open requests."""

import asyncio
import contextlib
import socket

import pytest

from ray._core.common.messages import Done, KvGet, KvValue, Ping, Unsubscribe
from ray._core.wire import aio, auth, codec


class Echo:
    """Answers KvGet by its key; closes on Ping."""

    def connected(self, connection):
        pass

    def received(self, connection, message, payload):
        if isinstance(message, KvGet):
            if message.key == b"missing":
                connection.fail(message, "unknown", "There is no such key.")
            else:
                connection.reply(message, KvValue(value=message.key))
        elif isinstance(message, Ping):
            connection.close("asked to")

    def closed(self, connection):
        pass


def run(scenario):
    async def main():
        server, port = await aio.serve_tcp(Echo(), "127.0.0.1", 0, b"secret")
        try:
            await scenario(port)
        finally:
            server.close()
            await server.wait_closed()

    asyncio.run(main())


def test_many_requests_each_get_their_own_reply():
    async def scenario(port):
        connection = await aio.connect_tcp(Echo(), "127.0.0.1", port, b"secret")
        keys = [str(number).encode() for number in range(500)]
        replies = await asyncio.gather(*(connection.request(KvGet(namespace="", key=key)) for key in keys))
        assert [reply.value for reply in replies] == keys
        connection.close()

    run(scenario)


def test_a_refusal_carries_its_kind():
    async def scenario(port):
        connection = await aio.connect_tcp(Echo(), "127.0.0.1", port, b"secret")
        with pytest.raises(aio.RequestFailed) as caught:
            await connection.request(KvGet(namespace="", key=b"missing"))
        assert caught.value.kind == "unknown"
        connection.close()

    run(scenario)


def test_a_connection_that_closes_fails_its_open_requests():
    async def scenario(port):
        connection = await aio.connect_tcp(Echo(), "127.0.0.1", port, b"secret")
        with pytest.raises(aio.ConnectionLost):
            await connection.request(Ping())
        with pytest.raises(aio.ConnectionLost):
            await connection.request(KvGet(namespace="", key=b"late"))

    run(scenario)


@pytest.mark.parametrize("token", [b"", b"wrong", b"secret2"])
def test_another_token_reaches_nothing(token):
    async def scenario(port):
        with pytest.raises(auth.AuthenticationFailed, match=r"missing|another token"):
            await aio.connect_tcp(Echo(), "127.0.0.1", port, token)

    run(scenario)


def test_a_stranger_who_speaks_http_is_disconnected():
    async def scenario(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await reader.readexactly(1)
        writer.close()

    run(scenario)


def test_done_is_a_plain_reply():
    assert Done(rid=3).rid == 3


def test_a_close_waits_for_what_is_held_at_the_gate():
    held = []

    async def scenario():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: aio.Connection(Echo(), b"secret", is_server=True, gate=held.append), "127.0.0.1", 0
        )
        connection = await aio.connect_tcp(Echo(), "127.0.0.1", server.sockets[0].getsockname()[1], b"secret")
        answer = connection.request(KvGet(namespace="", key=b"a"))
        connection.request(Ping())  # closes
        async with asyncio.timeout(10):
            while len(held) < 2:
                await asyncio.sleep(0)
            for let_pass in held:
                let_pass()
            assert (await answer).value == b"a"
            while not connection.is_closed:
                await asyncio.sleep(0)
        server.close()

    asyncio.run(scenario())


def test_a_connection_whose_making_is_cancelled_is_closed():
    async def scenario():
        silent = await asyncio.start_server(lambda reader, writer: accepted.set_result(reader), "127.0.0.1", 0)
        accepted = asyncio.get_running_loop().create_future()
        port = silent.sockets[0].getsockname()[1]
        problems = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        connecting = asyncio.ensure_future(aio.connect_tcp(Echo(), "127.0.0.1", port, b"secret"))
        reader = await accepted
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        with contextlib.suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 10)  # to the end
        assert not problems
        silent.close()

    asyncio.run(scenario())


def test_what_nobody_serves_is_refused_by_name(caplog):
    class Peer:
        peer, role = "somebody", "driver"

        def fail(self, request, kind, message):
            refused.append((kind, message))

    refused, handled = [], []
    handlers = {KvGet: lambda connection, message: handled.append(message.key)}
    aio.dispatch(handlers, Peer(), KvGet(namespace="", key=b"a"), "gcs")
    aio.dispatch(handlers, Peer(), Ping(), "gcs")
    aio.dispatch(handlers, Peer(), Unsubscribe("node"), "gcs")
    assert handled == [b"a"]
    assert refused == [("unknown_request", "A gcs process does not serve Ping.")]
    assert "Dropped a Unsubscribe from 'somebody'" in caplog.text


def test_of_several_peers_those_count_that_answer_in_time():
    async def ask():
        loop = asyncio.get_running_loop()
        told, failed, silent = (loop.create_future() for _ in range(3))
        told.set_result("here")
        failed.set_exception(aio.ConnectionLost("gone"))
        return await aio.answers([told, failed, silent], 0.01), await aio.answers([], 0.01)

    assert asyncio.run(ask()) == ((["here"], 1), ([], 0))


def test_what_a_process_said_before_its_end_is_heard_although_it_takes_nothing_any_more():
    class Listener(Echo):
        def __init__(self):
            self.story = []

        def received(self, connection, message, payload):
            self.story.append(message)

        def closed(self, connection):
            self.story.append("closed")

    async def scenario():
        listener = Listener()
        here, there = socket.socketpair()
        connection = await aio.connect_socket(listener, here)
        last_words = [Unsubscribe(f"channel {number}") for number in range(20_000)]
        there.setblocking(False)
        connection.send(Done())  # leaves in the next turn, before anything is read: by then nobody is there
        frames, said = [codec.encode(word) for word in last_words], 0
        with contextlib.suppress(BlockingIOError):
            for frame in frames:
                assert there.send(frame) == len(frame)
                said += 1
        there.close()
        async with asyncio.timeout(5):
            while "closed" not in listener.story:
                await asyncio.sleep(0)
        assert said > 100
        assert listener.story == [*last_words[:said], "closed"]

    asyncio.run(scenario())
