"""A TCP proxy between a client and its server, whose connections a test can cut or freeze."""

import contextlib
import socket
import threading
from collections.abc import Callable


class Cutter:
    """Listens on `port` and passes everything on to `target_port`, both on 127.0.0.1."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._flows = threading.Event()
        self._flows.set()
        self._is_closed = False
        self._refuses = False
        self.passed_bytes = 0
        self._cut_after: tuple[int, Callable[[], None]] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self._refuses:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:  # the server does not listen yet
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._flows.wait()
                target.sendall(data)
                self._count(len(data))
        _close(source, target)

    def _count(self, size: int) -> None:
        with self._lock:
            self.passed_bytes += size
            due = self._cut_after
            if due is None or self.passed_bytes < due[0]:
                return
            self._cut_after = None
        due[1]()

    def at(self, more_bytes: int, action: Callable[[], None]) -> None:
        """Call `action` once, when `more_bytes` more have passed."""
        with self._lock:
            self._cut_after = (self.passed_bytes + more_bytes, action)

    def cut(self) -> None:
        """Close all connections, as a broken network does; new ones are taken."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _close(*pair)

    def refuse(self) -> None:
        """Cut, and take no new connection."""
        self._refuses = True
        self.cut()

    def freeze(self) -> None:
        """Hold everything back; nobody notices anything but silence."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def close(self) -> None:
        self._listening.close()
        self.thaw()
        self.cut()


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):  # it is closed already
            each.shutdown(socket.SHUT_RDWR)
