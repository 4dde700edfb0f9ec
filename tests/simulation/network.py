"""The network of the simulated cluster, and the Unix sockets of its machines.

A connection is two one-way streams of bytes, each in order. Between machines streams have latencies, and can be
blocked, in one direction or both: then bytes wait, as TCP repeats them, and nobody hears of anything. A process that
ends has its connections closed by the kernel; a machine that loses its power closes none.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from ray._core.wire import auth, codec
from simulation.loop import Process, SimLoop, Violation

CONNECT_TIMEOUT_S = 127.0
"""As Linux gives up with tcp_syn_retries=6."""
HIGH_WATER = 64 * 1024
Key = tuple[str, int] | str


class Host:
    """A machine. `disk_s`: what its disk takes for a synced write, at most."""

    def __init__(self, name: str, ip: str) -> None:
        self.name, self.ip = name, ip
        self.disk_s = 0.004
        self.is_up = True
        self._port = 20_000

    def __repr__(self) -> str:
        return f"<Host {self.name}>"

    def next_port(self) -> int:
        self._port += 1
        return self._port


class FakeSocket:
    """What the product asks of a socket that it does not read."""

    def __init__(self, name: Any) -> None:
        self._name = name

    def getsockname(self) -> Any:
        return self._name

    def fileno(self) -> int:
        return -1  # as of one that is closed: what came in has been handed over already

    def setsockopt(self, *_: Any) -> None: ...

    def getsockopt(self, *_: Any) -> bytes:
        return struct.pack("3i", 0, os.geteuid(), 0)  # SO_PEERCRED


class Listener:
    """Also what `create_server` returns."""

    def __init__(self, network: Network, process: Process, factory: Callable[[], Any], key: Key) -> None:
        self._network, self.process, self.factory, self._key = network, process, factory, key
        self.sockets = [FakeSocket(key)]
        process.endpoints[self] = None

    def close(self) -> None:
        if self._network.listeners.get(self._key) is self:
            del self._network.listeners[self._key]
        self.process.endpoints.pop(self, None)

    def process_ended(self, silently: bool) -> None:
        self.close()


class Stream:
    """One direction of a connection."""

    def __init__(self, network: Network, source: Process, target: Process, is_local: bool) -> None:
        self._network, self._loop = network, network.loop
        self.source, self.target, self.is_local = source, target, is_local
        self.receiver: Transport
        self.last_s = self.held_until_s = 0.0
        self._stalled: deque[tuple[str, bytes]] = deque()
        self._resets = 0

    def send(self, kind: str, data: bytes = b"") -> None:
        self.last_s = max(self.last_s, self._loop.now_s + self._network.latency_s(self.source, self.target))
        self._loop.at(self.last_s, self._arrive, kind, data, self._resets)

    def reset(self) -> None:
        """What is under way is lost, as TCP drops what nobody has acknowledged."""
        self._resets += 1
        self._stalled.clear()
        self.send("rst")

    def _arrive(self, kind: str, data: bytes, resets: int) -> None:
        if resets != self._resets:
            return
        if self.held_until_s > self._loop.now_s:
            self._loop.at(self.held_until_s, self._arrive, kind, data, resets)
            return
        if not self.is_local and (self._stalled or self._network.is_blocked(self.source.host, self.target.host)):
            self._stalled.append((kind, data))
            self._network.stalled[self] = None
        else:
            self.receiver.arrived(kind, data)

    def healed(self) -> None:
        """Bytes that waited come now, if the way is free."""
        if self._network.is_blocked(self.source.host, self.target.host):
            return
        self._network.stalled.pop(self, None)
        while self._stalled:
            self.receiver.arrived(*self._stalled.popleft())


class Transport(asyncio.Transport):
    """One end of a connection. It is open from the moment that the peer's process has accepted."""

    def __init__(self, network: Network, process: Process, out: Stream) -> None:
        super().__init__({"socket": FakeSocket((process.host.ip, 0))})
        self._network, self._loop, self.process, self._out = network, network.loop, process, out
        self.protocol: Any = None
        self._is_closing = False
        self._is_lost = False
        self._in_flight = 0
        self._is_paused = False
        self._died_silently = False
        self._kept: deque[tuple[str, bytes]] | None = None
        """What has come while the process does not read."""
        process.endpoints[self] = None

    # ---------------------------------------------------------- asyncio.Transport

    def write(self, data: Any) -> None:
        if self._is_closing:
            return
        data = bytes(data)
        self._loop.mark(f"{self.process.name}>{self._out.target.name}")
        if self._network.on_write is not None:
            self._network.on_write(self)
        if self._loop.story is not None:
            self._tell(data, self._loop.story)
        self._in_flight += len(data)
        if self._in_flight > HIGH_WATER and not self._is_paused:
            self._is_paused = True
            self._loop.call_soon(self.protocol.pause_writing)
        if len(data) > 1 and self._loop.rng.random() < 0.02:  # TCP keeps no boundaries
            cut = self._loop.rng.randrange(1, len(data))
            self._out.send("data", data[:cut])
            self._out.send("data", data[cut:])
        else:
            self._out.send("data", data)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._out.send("fin")
            self._loop.call_soon(self._lost, None)

    def abort(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._out.send("rst")
            self._loop.call_soon(self._lost, None)

    @property
    def is_local(self) -> bool:
        """A Unix socket."""
        return self._out.is_local

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        """What comes stays with the kernel."""
        self._kept = self._kept or deque()

    def resume_reading(self) -> None:
        kept, self._kept = self._kept, None
        for kind, data in kept or ():
            self.arrived(kind, data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    # ---------------------------------------------------------- from the network

    def arrived(self, kind: str, data: bytes) -> None:
        """Something came in; the kernel has it, the process sees it at its next turn."""
        if not self.process.is_alive:
            if self._died_silently and kind == "data" and self.process.host.is_up:
                self._died_silently = False
                self._out.send("rst")  # the machine is up again and knows nothing of this connection
            return
        if self._is_lost or self._is_closing:
            return
        if self._kept is not None and kind != "rst":
            self._kept.append((kind, data))
        elif kind == "data":
            self._loop.post(self.process, self._data, data)
        elif kind == "fin":
            self._loop.post(self.process, self._fin)
        else:
            self._loop.post(self.process, self._reset)

    def opened(self, protocol: Any) -> None:
        """In the process."""
        self.protocol = protocol
        protocol.connection_made(self)

    def process_ended(self, silently: bool) -> None:
        self._died_silently = silently
        if not self._is_closing and not silently:
            if self.is_local or not self.peer._in_flight:
                self._out.send("fin" if self._loop.rng.random() < 0.7 else "rst")
            else:  # what it has not read makes the kernel reset
                self._out.reset()
        self._is_closing = self._is_lost = True
        self.process.endpoints.pop(self, None)

    def cut(self, peer_after_s: float = 0.0) -> None:
        """The connection breaks at both ends, as a box between the two may have it. The other end may notice later:
        before that comes what was under way to it, when this end may be back by another connection."""
        self._break()
        if peer_after_s:
            self._out.held_until_s = self._loop.now_s + peer_after_s
            self._loop.after(peer_after_s, self._loop.after, 0.001, self._out.receiver._break)
        else:
            self._out.receiver._break()

    def _break(self) -> None:
        if self.process.is_alive and not self._is_closing and self.protocol is not None:
            self._loop.post(self.process, self._reset)

    def _data(self, data: bytes) -> None:
        sender = self.peer
        sender._in_flight -= len(data)
        if sender._is_paused and sender._in_flight <= HIGH_WATER // 4:
            sender._is_paused = False
            if not sender._is_lost:
                self._loop.post(sender.process, sender.protocol.resume_writing)
        if not self._is_closing:
            self.protocol.data_received(data)

    @property
    def peer(self) -> Transport:
        return self._out.receiver

    def _fin(self) -> None:
        if not self._is_closing and not self.protocol.eof_received():
            self.close()

    def _reset(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._lost(ConnectionResetError("Connection reset by peer"))

    def _lost(self, error: Exception | None) -> None:
        if not self._is_lost:
            self._is_lost = True
            self.process.endpoints.pop(self, None)
            self.protocol.connection_lost(error)

    def _tell(self, data: bytes, story: list[str]) -> None:
        """Messages, as the history shows them. The product writes whole frames."""
        if data.startswith(auth.MAGIC):
            return
        try:
            for message, _ in codec.FrameDecoder().feed(data):
                text = f"{self.process.name} > {self._out.target.name}: {shown(message)[:400]}"
                story.append(f"{self._loop.now_s:12.6f} {text}")
        except codec.ProtocolError:
            return  # the proof of a handshake


class Network:
    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        loop.network = self
        self.hosts: dict[str, Host] = {}
        """By IP address."""
        self.listeners: dict[Key, Listener] = {}
        self.on_write: Callable[[Transport], None] | None = None
        """Called with each end that sends something, for faults that wait for such a moment."""
        self.stalled: dict[Stream, None] = {}
        self._blocked: dict[tuple[str, str], int] = {}
        self._delays: dict[str, float] = {}
        self._waiting: list[Callable[[], None]] = []
        """Connections on their way when the network was cut."""

    # ---------------------------------------------------------- faults

    def block(self, source: Host, target: Host) -> None:
        """Nothing gets from `source` to `target` until `unblock`, which is counted."""
        key = (source.name, target.name)
        self._blocked[key] = self._blocked.get(key, 0) + 1

    def unblock(self, source: Host, target: Host) -> None:
        self._blocked[source.name, target.name] -= 1
        self.healed()

    def healed(self) -> None:
        """Bytes and connections that waited go on, where the way is free."""
        for stream in list(self.stalled):
            stream.healed()
        waiting, self._waiting = self._waiting, []
        for attempt in waiting:
            attempt()

    def is_blocked(self, source: Host, target: Host) -> bool:
        if not (source.is_up and target.is_up):
            return True
        return source is not target and self._blocked.get((source.name, target.name), 0) > 0

    def delay(self, host: Host, seconds: float) -> None:
        """What comes from or goes to this machine takes up to so much longer, and connections more."""
        self._delays[host.name] = seconds

    def latency_s(self, source: Process, target: Process) -> float:
        rng = self.loop.rng
        if source.host is target.host:
            return 5e-6 + rng.random() * 40e-6
        latency_s = 50e-6 + rng.random() * 300e-6
        if rng.random() < 0.005:
            latency_s += rng.random() * 0.2  # a packet was lost and comes again
        return latency_s + rng.random() * self._slow_s(source.host, target.host)

    def _slow_s(self, source: Host, target: Host) -> float:
        return max(self._delays.get(source.name, 0.0), self._delays.get(target.name, 0.0))

    # ---------------------------------------------------------- connections

    def _process(self) -> Process:
        if self.loop.current is None:
            raise Violation("A socket is used outside of all processes.")
        return self.loop.current

    def listen(self, factory: Callable[[], Any], port: int) -> Listener:
        process = self._process()
        key = (process.host.ip, port or process.host.next_port())
        return self._listen(factory, key)

    def listen_unix(self, factory: Callable[[], Any], path: str) -> Listener:
        return self._listen(factory, path)

    def _listen(self, factory: Callable[[], Any], key: Key) -> Listener:
        if key in self.listeners:
            raise OSError(98, f"Address already in use: {key}")
        self.listeners[key] = Listener(self, self._process(), factory, key)
        return self.listeners[key]

    async def connect(self, factory: Callable[[], Any], key: Key) -> tuple[Transport, Any]:
        future: asyncio.Future[Any] = self.loop.create_future()

        def opened(pair: tuple[Transport, Any]) -> None:
            if future.done():  # who asked has given up
                pair[0].abort()
            else:
                future.set_result(pair)

        self.begin(factory, key, opened, lambda error: None if future.done() else future.set_exception(error))
        return await future  # type: ignore[no-any-return]

    def begin(
        self,
        factory: Callable[[], Any],
        key: Key,
        opened: Callable[[tuple[Transport, Any]], None],
        failed: Callable[[OSError], None],
    ) -> None:
        """Connect; one of the two is called, in the process that asks."""
        loop, process = self.loop, self._process()
        is_local = isinstance(key, str)
        deadline_at_s = loop.now_s + CONNECT_TIMEOUT_S
        is_decided = False

        def decide(callback: Callable[[Any], None], argument: Any) -> None:
            nonlocal is_decided
            if not is_decided:
                is_decided = True
                callback(argument)

        def attempt() -> None:
            if is_decided or not process.is_alive:
                return
            if not is_local:
                target = self.hosts.get(key[0])
                if target is None or self.is_blocked(process.host, target) or self.is_blocked(target, process.host):
                    self._waiting.append(attempt)
                    return
            listener = self.listeners.get(key)
            if listener is None:
                error = ConnectionRefusedError(111, f"Connect call failed {key}")
                loop.after(self.latency_s(process, process), loop.post, process, decide, failed, error)
                return
            out = Stream(self, process, listener.process, is_local)
            back = Stream(self, listener.process, process, is_local)
            ours, theirs = Transport(self, process, out), Transport(self, listener.process, back)
            out.receiver, back.receiver = theirs, ours
            loop.post(listener.process, lambda: theirs.opened(listener.factory()))

            def finish() -> None:
                if is_decided:
                    return
                protocol = factory()
                ours.opened(protocol)
                decide(opened, (ours, protocol))

            open_at_s = back.last_s = loop.now_s + self.latency_s(listener.process, process)
            loop.at(open_at_s, loop.post, process, finish)

        def give_up() -> None:
            if process.is_alive and not is_decided:
                error = TimeoutError(110, f"Connect call timed out {key}")
                loop.post(process, decide, failed, error)

        if not is_local:
            loop.at(deadline_at_s, give_up)
            target = self.hosts.get(key[0])
            slow_s = 0.0 if target is None else self._slow_s(process.host, target)
            if slow_s:  # a packet each way, or the first is lost and comes again after a second, as TCP has it
                slow_s = loop.rng.random() * 2 * slow_s + (loop.rng.random() < 0.2)
            loop.after(50e-6 if target is None else 60e-6 + loop.rng.random() * 300e-6 + slow_s, attempt)
        else:
            attempt()

    def add_host(self, name: str) -> Host:
        host = Host(name, f"10.{len(self.hosts) >> 8}.{len(self.hosts) & 255}.1")
        self.hosts[host.ip] = host
        return host


def shown(value: Any) -> str:
    """A message as people read it: ids by their first bytes, and no field that has its default."""
    match value:
        case bytes():
            return value.hex()[:8] if len(value) > 8 else f"<{value.hex()}>"
        case msgspec.Struct():
            fields = msgspec.structs.fields(value)
            given = [(field.name, getattr(value, field.name), field.default) for field in fields]
            told = ", ".join(f"{name}={shown(each)}" for name, each, default in given if each != default and each != {})
            return f"{type(value).__name__}({told})"
        case dict():
            return "{" + ", ".join(f"{shown(key)}: {shown(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(shown, value)) + "]"
        case str() if len(value) > 60:
            return f"{value[:57]}..."
        case _:
            return str(value)


def fake_listening_socket(ip: str, port: int) -> socket.socket:
    """For shells that are handed a socket which is bound."""
    return FakeSocket((ip, port))  # type: ignore[return-value]
