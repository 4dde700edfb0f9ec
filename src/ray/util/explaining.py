"""`ray.util.explain`: why something waits. An addition of this implementation; see docs/waiting.md."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common import waiting
from ray._core.common.ids import ACTOR_ID_SIZE, OBJECT_ID_SIZE, PLACEMENT_GROUP_ID_SIZE, TASK_ID_SIZE
from ray._core.worker import object_ref as _process
from ray._private.client_mode_hook import client_mode_wrap

if TYPE_CHECKING:
    from ray._private.state_source import Source

TIMEOUT_S = 5.0
_ASK_S = 3.0
_KINDS = {
    OBJECT_ID_SIZE: "object",
    TASK_ID_SIZE: "task",
    ACTOR_ID_SIZE: "actor",
    PLACEMENT_GROUP_ID_SIZE: "group",
}
"""By the number of bytes of an id."""
_CREATION = b"\xff" * (TASK_ID_SIZE - ACTOR_ID_SIZE)
"""What the id of the task that constructs an actor begins with."""


class Explanation(str):
    """A text that shows its lines where Python shows a value, too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def explain(waiting_for: Any, *, timeout: float = TIMEOUT_S) -> Explanation:
    """Why something waits: a few lines, from it to what it waits for in the end.

    ```
    >>> ray.util.explain(ref)
    object 8849b62d… waits for the task that makes it:
      task train (8849b62d…) waits for 14 s for a worker:
        a lease for train waits for 14 s for 4 CPU on node 52d1e2b3:
          node 52d1e2b3 (10.0.0.1) has 2 of 4 CPU free; held by task load (2 CPU, pid 71, for 3 min 2 s)
    ```

    Args:
        waiting_for: a ref, a generator of a task, an actor, a placement group, or the id of one of these, or of a
            task, in hex.
        timeout: seconds in which all must be found out. What does not answer is named, and nothing waits for it.
    Raises:
        ValueError: no such id is possible.
        TypeError: it is nothing that could wait.
        RayStateApiException: this process is connected to no cluster, and none is found.
    """
    return Explanation("\n".join(_lines(_id_of(waiting_for), timeout)))


def subject_of(id: str) -> m.Subject:
    """What an id in hex stands for, by its length. Raises ValueError."""
    try:
        key = bytes.fromhex(id)
    except ValueError:
        raise ValueError(f"{id!r} is no id: ids are hexadecimal digits.") from None
    kind = _KINDS.get(len(key))
    if kind is None:
        sizes = ", ".join(f"{kind} {2 * size}" for size, kind in sorted(_KINDS.items()))
        raise ValueError(f"{id!r} has {len(id)} digits; ids have: {sizes}.")
    if kind == "task" and key.startswith(_CREATION):
        kind, key = "actor", key[len(_CREATION) :]
    return m.Subject(kind, key)


def chain_of(subject: m.Subject, source: Source, timeout_s: float) -> waiting.Step:
    """The chain as a cluster tells it to one who is not part of it. Raises RayStateApiException when none answers."""
    from ray.util.state.exception import RayStateApiException

    def ask(subject: m.Subject, timeout_s: float) -> m.Findings:
        source.timeout_s = timeout_s
        try:
            answer: m.Findings = source.ask(m.Inquire(subject=subject))
        except RayStateApiException as error:
            raise ConnectionError(str(error)) from error
        return answer

    source.ask(m.Ping())  # a cluster that does not answer at all is an error, not a link of the chain
    return waiting.follow(subject, waiting.within(timeout_s, time.monotonic, _ASK_S, ask))


def _id_of(waiting_for: Any) -> str:
    if isinstance(waiting_for, str):
        return waiting_for
    for attribute in ("_generator_ref", "_actor_id", "id"):
        inner = getattr(waiting_for, attribute, None)
        if inner is not None and hasattr(inner, "hex"):
            return str(inner.hex())
    if hasattr(waiting_for, "binary"):
        return str(waiting_for.binary().hex())
    raise TypeError(
        f"Nothing waits for a {type(waiting_for).__name__}: give a ref, a generator, an actor, a placement group, or "
        "the id of one."
    )


@client_mode_wrap
def _lines(id: str, timeout_s: float) -> list[str]:
    core, subject = _process._core, subject_of(id)
    if core is not None:
        return waiting.render(core.explainer.chain(subject, timeout_s))
    import ray.util.state  # noqa: F401 - the source's module cannot be the first of the two
    from ray._private.state_source import Source

    return waiting.render(chain_of(subject, Source(None), timeout_s))
