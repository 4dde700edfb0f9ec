"""Where a task's time goes: from its submission through its arguments and the queues to the worker.

Floor: worker, pure. The owner notes a moment in the task's record at each step (`Record.created_us`, `ready_us`,
`sent_us`); what happens in the worker only the worker can tell.
"""

from __future__ import annotations

from typing import Protocol

ARGUMENTS = "waiting for arguments"
LEASE = "queued for a lease"
ACTOR = "waiting for the actor"
AT_WORKER = "queued at the worker"
AT_ACTOR = "queued at the actor"
RUNNING = "running"
EARLIER = "in earlier attempts"


class Moments(Protocol):
    """What this module reads of a record. In µs since the epoch; 0: it did not happen.

    `ready_us`: the last argument came; 0 for a call that never waited for one. `sent_us`: it was pushed to a worker, in
    its last attempt. `attempt`: 0 in the first.
    """

    created_us: int
    ready_us: int
    sent_us: int
    unresolved: int
    attempt: int


def spent(
    record: Moments, now_us: int, *, is_actors: bool, is_sent: bool, started_us: int | None = 0
) -> dict[str, float]:
    """Seconds by where they went, in order, without those of no length; they add up to the task's age.

    Args:
        is_actors: it calls an actor's method.
        is_sent: a worker has it now; else it waits here, whatever an earlier attempt did.
        started_us: when the worker began to run it, by its own clock; 0: it did not, None: nobody knows.
    """
    waits_for, queued_at = (ACTOR, AT_ACTOR) if is_actors else (LEASE, AT_WORKER)
    if started_us is None:
        queued_at = f"queued or {RUNNING}"
    ready_us = record.ready_us or (now_us if record.unresolved else record.created_us)
    sent_us = record.sent_us if is_sent and record.sent_us else now_us
    steps = [(ARGUMENTS, ready_us), (waits_for, sent_us), (queued_at, started_us or now_us), (RUNNING, now_us)]
    if record.attempt:  # of the attempts before, and the waiting between them, only the sum is known
        steps[:2] = [(EARLIER, sent_us)]
    times: dict[str, float] = {}
    at_us = record.created_us
    for what, until_us in steps:
        until_us = min(max(until_us, at_us), now_us)  # clocks of two machines differ
        if until_us > at_us:
            times[what] = (until_us - at_us) / 1e6
        at_us = until_us
    return times


def told(times: dict[str, float]) -> str:
    """For people: "0.20 s waiting for arguments, 0.80 s running"; a step too short to matter is left out."""
    longest = max(times.values(), default=0.0)
    return ", ".join(f"{seconds:.2f} s {what}" for what, seconds in times.items() if seconds >= longest / 1000)
