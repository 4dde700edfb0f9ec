"""A TCP proxy that cuts, refuses and delays what goes through it."""

import contextlib
import heapq
import itertools
import selectors
import socket
import threading
import time


class Proxy:
    """Before `target` (host, port); serves on 127.0.0.1:`port` by a thread of its own until `close`."""

    def __init__(self, target):
        self._target, self._selector, self._lock = target, selectors.DefaultSelector(), threading.Lock()
        self._partner, self._due, self._numbers = {}, [], itertools.count()
        self.delay_s = 0.0
        self._listening = None
        self._wake, self._woken = socket.socketpair()
        self._is_over = False
        self._selector.register(self._woken, selectors.EVENT_READ)
        self.port = 0
        self.accept()
        self._thread = threading.Thread(target=self._serve, name="proxy")
        self._thread.start()

    def cut(self):
        """Break all connections; returns how many. New ones are taken."""
        with self._lock:
            for sock in self._partner:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            return len(self._partner) // 2

    def refuse(self):
        """Break all connections, and take no new ones until `accept`."""
        with self._lock:
            self._selector.unregister(self._listening)
            self._listening.close()
        self.cut()

    def accept(self):
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listening.getsockname()[1]
        with self._lock:
            self._selector.register(self._listening, selectors.EVENT_READ)
        self._wake.send(b"x")

    def close(self):
        self._is_over = True
        self._wake.send(b"x")
        self._thread.join()
        for sock in [*self._partner, self._wake, self._woken, self._listening]:
            sock.close()
        self._selector.close()

    def _serve(self):
        while not self._is_over:
            wait_s = max(self._due[0][0] - time.monotonic(), 0) if self._due else None
            for key, _ in self._selector.select(wait_s):
                with self._lock:
                    self._readable(key.fileobj)
            while self._due and self._due[0][0] <= time.monotonic():
                _, _, sock, data = heapq.heappop(self._due)
                self._pass(sock, data)

    def _readable(self, sock):
        if sock is self._woken:
            sock.recv(100)
        elif sock is self._listening:
            with contextlib.suppress(OSError):  # it was closed meanwhile
                self._connect(sock.accept()[0])
        elif sock in self._partner:
            try:
                data = sock.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                self._selector.unregister(sock)
            heapq.heappush(self._due, (time.monotonic() + self.delay_s, next(self._numbers), sock, data))

    def _connect(self, near):
        try:
            far = socket.create_connection(self._target)
        except OSError:
            near.close()
            return
        for sock, partner in ((near, far), (far, near)):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._partner[sock] = partner
            self._selector.register(sock, selectors.EVENT_READ)

    def _pass(self, sock, data):
        with self._lock:
            partner = self._partner.get(sock)
        if partner is None:
            return
        try:
            if data:
                partner.sendall(data)
                return
        except OSError:
            pass
        with self._lock:
            for each in (sock, partner):
                self._partner.pop(each, None)
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(each)
                each.close()
