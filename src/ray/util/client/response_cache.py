"""At most once: what a server remembers of the calls it has answered, for clients that ask again.

Floor: client, pure but for the lock of its callers. A client whose connection was cut cannot know whether its last
calls arrived, so it sends them again under their old ids. The caches tell a call that is new from one that is being
executed and from one whose answer is known.
"""

from __future__ import annotations

from typing import Generic, TypeVar

R = TypeVar("R")


class StaleRequestError(ValueError):
    """A call under an id whose answer has been forgotten already: its caller has moved on and must not get another."""


class _InProgress:
    def __repr__(self) -> str:
        return "<in progress>"


NEW = None
IN_PROGRESS = _InProgress()


class ThreadCache(Generic[R]):
    """Answers of unary calls. A thread of a client has one call under way, so the last answer of each is enough."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, R | _InProgress]] = {}

    def begin(self, thread_id: str, request_id: int) -> R | _InProgress | None:
        """NEW: execute the call, then `finish` it. IN_PROGRESS: it is being executed. Otherwise: its answer.

        Raises:
            StaleRequestError: the thread has made a later call since.
        """
        last_id, answer = self._last.get(thread_id, (-1, IN_PROGRESS))
        if request_id < last_id:
            raise StaleRequestError(
                f"Request {request_id} of client thread {thread_id} came after its request {last_id}; "
                "it was delayed, and nobody waits for it any more."
            )
        if request_id == last_id:
            return answer
        self._last[thread_id] = (request_id, IN_PROGRESS)
        return NEW

    def finish(self, thread_id: str, request_id: int, answer: R) -> None:
        """The call was executed. Ignored when its thread has given up and made another call."""
        if self._last.get(thread_id, (-1,))[0] == request_id:
            self._last[thread_id] = (request_id, answer)

    def abandon(self, thread_id: str, request_id: int) -> None:
        """The call could not be executed; the next try is a new one."""
        if self._last.get(thread_id, (-1,))[0] == request_id:
            del self._last[thread_id]


class StreamCache(Generic[R]):
    """Answers of calls on an ordered stream, kept until the client acknowledges that it has them."""

    def __init__(self) -> None:
        self._answers: dict[int, R | _InProgress] = {}
        self._acknowledged = 0

    def begin(self, request_id: int) -> R | _InProgress | None:
        """NEW, IN_PROGRESS, or the answer, as in `ThreadCache.begin`.

        Raises:
            StaleRequestError: the client has acknowledged this request's answer.
        """
        if request_id <= self._acknowledged:
            raise StaleRequestError(
                f"Request {request_id} was sent again, but its answer was acknowledged "
                f"(all up to {self._acknowledged} were)."
            )
        if request_id in self._answers:
            return self._answers[request_id]
        self._answers[request_id] = IN_PROGRESS
        return NEW

    def finish(self, request_id: int, answer: R) -> None:
        """The call was executed; an answer that was acknowledged meanwhile is not kept."""
        if request_id in self._answers:
            self._answers[request_id] = answer

    def forget(self, request_id: int) -> None:
        """A call that may be executed again at will: its answer is not kept."""
        self._answers.pop(request_id, None)

    def acknowledge(self, request_id: int) -> None:
        """The client has all answers up to this one."""
        self._acknowledged = max(self._acknowledged, request_id)
        for known in [known for known in self._answers if known <= request_id]:
            del self._answers[known]

    def __len__(self) -> int:
        return len(self._answers)
