"""Looking at what the cluster tells drivers: error events and lines that workers print. For tests and tools."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.node import membership
from ray._private.not_included import absent_names


class _Subscriber:
    """A subscription of its own; this process need not be a driver.

    Args:
        address: "host:port" of the GCS.
    """

    _channel: str

    def __init__(self, address: str) -> None:
        self._client = membership.open_client(address, "cli")
        self._waiting: list[Any] = []

    def subscribe(self) -> None:
        """From now on; what was said before is not heard."""
        self._client.request(m.Subscribe(channel=self._channel))

    def close(self) -> None:
        self._client.close()

    def _next(self, kind: type, timeout_s: float | None) -> Any | None:
        deadline_at_s = time.monotonic() + (timeout_s if timeout_s is not None else 3600.0)
        while not self._waiting:
            left_s = deadline_at_s - time.monotonic()
            if left_s <= 0:
                return None
            self._waiting += [each for each in self._client.next_messages(left_s) if isinstance(each, kind)]
        return self._waiting.pop(0)


class GcsErrorSubscriber(_Subscriber):
    _channel = "error"

    def poll(self, timeout: float | None = None) -> tuple[bytes | None, dict[str, Any] | None]:
        """(job id, event) of the next error event; (None, None) when `timeout` seconds are over.

        An event is a dict of `job_id`, `type`, `error_message` and `timestamp` (ms since the epoch, of its arrival).
        """
        event = self._next(m.ErrorEvent, timeout)
        if event is None:
            return None, None
        row = {
            "job_id": event.job_id,
            "type": event.kind,
            "error_message": event.message,
            "timestamp": time.time() * 1000,
        }
        return event.job_id, row


class GcsLogSubscriber(_Subscriber):
    _channel = "log"

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._lines: list[m.LogLine] = []

    def poll(self, timeout: float | None = None) -> dict[str, Any]:
        """The next lines of one worker; an empty dict when `timeout` seconds are over."""
        if not self._lines:
            message = self._next(m.LogLines, timeout)
            if message is None:
                return {}
            self._lines += message.batch
        batch = self._lines.pop(0)
        return {
            "ip": batch.node_ip,
            "pid": str(batch.pid),
            "job": batch.job_id.hex(),
            "is_err": batch.is_err,
            "actor_name": "",
            "task_name": batch.name,
            "lines": batch.lines,
        }


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "GcsAioActorSubscriber GcsAioJobSubscriber GcsAioNodeInfoSubscriber GcsAioResourceUsageSubscriber "
        "GcsAioWorkerDeltaSubscriber",
    )
