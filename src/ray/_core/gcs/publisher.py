"""Who wants to hear of what. Floor: gcs, pure but for the connections it sends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ray._core.wire import codec

ALL_KEYS = b""


class Sink(Protocol):
    """A connection. What goes to many is encoded once: of a node's news among thousands that is most of the work."""

    def send_frame(self, frame: bytes) -> None: ...


class Publisher:
    """Subscribers by channel and key (see `messages.Subscribe`); the key b"" stands for all keys of a channel."""

    def __init__(self) -> None:
        self._subscribers: dict[tuple[str, bytes], dict[Sink, None]] = {}
        self._topics: dict[Sink, set[tuple[str, bytes]]] = {}
        self._listeners: dict[str, list[Callable[[Any], None]]] = {}

    def listen(self, channel: str, listener: Callable[[Any], None]) -> None:
        """Within the GCS: it is called with all messages of the channel."""
        self._listeners.setdefault(channel, []).append(listener)

    def subscribe(self, sink: Sink, channel: str, key: bytes = ALL_KEYS) -> None:
        self._subscribers.setdefault((channel, key), {})[sink] = None
        self._topics.setdefault(sink, set()).add((channel, key))

    def unsubscribe(self, sink: Sink, channel: str, key: bytes = ALL_KEYS) -> None:
        topics = self._topics.get(sink)
        if topics is None or (channel, key) not in topics:
            return
        topics.discard((channel, key))
        self._forget(sink, (channel, key))

    def drop(self, channel: str, key: bytes) -> None:
        """Nothing will be published there any more."""
        for sink in self._subscribers.pop((channel, key), ()):
            self._topics[sink].discard((channel, key))

    def gone(self, sink: Sink) -> None:
        """The subscriber's connection is closed."""
        for topic in self._topics.pop(sink, ()):
            self._forget(sink, topic)

    def _forget(self, sink: Sink, topic: tuple[str, bytes]) -> None:
        sinks = self._subscribers[topic]
        del sinks[sink]
        if not sinks:
            del self._subscribers[topic]

    def publish(self, channel: str, message: Any, key: bytes = ALL_KEYS) -> None:
        """Once to each subscriber of the key or of all keys."""
        for listener in self._listeners.get(channel, ()):
            listener(message)
        sinks = self.subscribers(channel, key)
        frame = codec.encode(message) if sinks else b""
        for sink in sinks:
            sink.send_frame(frame)

    def publish_together(self, channel: str, messages: list[Any]) -> None:
        """Each once to all subscribers of all keys, and to each of them in one write."""
        frames = b"".join(map(codec.encode, messages))
        for sink in self.subscribers(channel, ALL_KEYS):
            sink.send_frame(frames)

    def subscribers(self, channel: str, key: bytes) -> list[Sink]:
        """Of the key or of all keys, each once."""
        sinks = dict(self._subscribers.get((channel, ALL_KEYS), ()))
        if key != ALL_KEYS:
            sinks.update(self._subscribers.get((channel, key), ()))
        return list(sinks)
