"""Who wants to hear of what. Floor: gcs, pure but for the connections it sends on."""

from __future__ import annotations

from typing import Any, Protocol

ALL_KEYS = b""


class Sink(Protocol):
    def send(self, message: Any) -> None: ...


class Publisher:
    """Subscribers by channel and key (see `messages.Subscribe`); the key b"" stands for all keys of a channel."""

    def __init__(self) -> None:
        self._subscribers: dict[tuple[str, bytes], dict[Sink, None]] = {}
        self._topics: dict[Sink, set[tuple[str, bytes]]] = {}

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
        for sink in self.subscribers(channel, key):
            sink.send(message)

    def subscribers(self, channel: str, key: bytes) -> list[Sink]:
        """Of the key or of all keys, each once."""
        sinks = dict(self._subscribers.get((channel, ALL_KEYS), ()))
        if key != ALL_KEYS:
            sinks.update(self._subscribers.get((channel, key), ()))
        return list(sinks)
