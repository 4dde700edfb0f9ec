"""Which clients a server has, and how long one that was cut off is waited for. Floor: client, pure."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class _Session:
    stream: int
    """Number of its present (or last) data stream: an old stream that ends late must not end the session."""
    grace_s: float
    expires_at_s: float | None = None
    """Set while the client is cut off."""


class Refused(Exception):
    """The client may not connect. `final`: trying again would not help."""


class TooManyClients(Refused):
    pass


class UnknownClient(Refused):
    """It wants its session back, but that has ended."""


class Sessions:
    """Clients by id. Times are of a monotonic clock, in seconds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sessions: dict[str, _Session] = {}
        self._streams = 0

    def connect(self, client_id: str, *, reconnecting: bool, grace_s: float) -> tuple[int, bool]:
        """A data stream begins: its number, and whether the session is new.

        Raises:
            UnknownClient: the session that it wants back has ended.
            TooManyClients: no more fit.
        """
        session = self._sessions.get(client_id)
        if session is None and reconnecting:
            raise UnknownClient(
                f"Client {client_id} wants to reconnect, but its session has ended: it was away for longer than its "
                "grace period (RAY_CLIENT_RECONNECT_GRACE_PERIOD), or this server has restarted."
            )
        if session is None and len(self._sessions) >= self._most:
            raise TooManyClients(
                f"Too many clients: this server has {len(self._sessions)} already "
                "(half of RAY_CLIENT_SERVER_MAX_THREADS)."
            )
        self._streams += 1
        if session is not None:
            session.stream, session.expires_at_s = self._streams, None
            return self._streams, False
        self._sessions[client_id] = _Session(self._streams, grace_s)
        return self._streams, True

    def set_grace(self, client_id: str, grace_s: float) -> None:
        if client_id in self._sessions:
            self._sessions[client_id].grace_s = grace_s

    def stream_ended(self, client_id: str, stream: int, *, is_final: bool, now_s: float) -> bool:
        """A data stream ended. Whether the session ended with it."""
        session = self._sessions.get(client_id)
        if session is None or session.stream != stream:
            return False
        if is_final or session.grace_s <= 0:
            del self._sessions[client_id]
            return True
        session.expires_at_s = now_s + session.grace_s
        return False

    def expire(self, now_s: float) -> list[str]:
        """End the sessions whose grace is over, and tell which."""
        over = [key for key, session in self._sessions.items() if (session.expires_at_s or now_s + 1) <= now_s]
        for client_id in over:
            del self._sessions[client_id]
        return over

    def next_expiry_s(self) -> float | None:
        return min((s.expires_at_s for s in self._sessions.values() if s.expires_at_s is not None), default=None)

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, client_id: object) -> bool:
        return client_id in self._sessions
