"""Why something waits: follows what processes tell from one to the next, and makes a text of it.

Floor: common, pure. The shells (`worker.explain`, `ray explain`) look up what is asked for here, and print what comes.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Sequence

from ray._core.common import messages as m

MOST_ASKED = 40
"""Questions for one explanation: a person reads it, and they are asked of a cluster that may be in trouble."""
CIRCLE, ABOVE = "circle", "above"
Key = tuple[str, bytes, bytes, bytes]


@dataclasses.dataclass(slots=True, eq=False)
class Step:
    """A link of the chain, and what follows from it.

    `again`: CIRCLE, it is further up in its own chain; ABOVE, it is told elsewhere. `unasked`: what it waits for
    besides, of which nobody was asked.
    """

    finding: m.Finding
    steps: list[Step] = dataclasses.field(default_factory=list)
    again: str = ""
    unasked: int = 0


def follow(
    start: m.Subject, look: Callable[[m.Subject], Sequence[m.Finding]], most: int = MOST_ASKED, width: int = MOST_ASKED
) -> Step:
    """Ask about `start`, then about what that waits for, and so on; the nearest first.

    Args:
        look: what is known of a subject; what cannot be asked it tells by `Unknown`.
        most: questions in all.
        width: how many of the things that one waits for are followed; nodes, where a chain ends, all are.
    """
    root = Step(_best(start, look(start)))
    told: dict[Key, Step] = {_key(start): root, _key(root.finding.subject): root}
    asked, ahead = 1, deque([(root, frozenset(told))])
    while ahead:
        step, above = ahead.popleft()
        step.unasked = step.finding.more
        for number, subject in enumerate(step.finding.next):
            key = _key(subject)
            if number >= width and subject.kind != "node":
                step.unasked += 1
            elif key in told:
                step.steps.append(Step(told[key].finding, again=CIRCLE if key in above else ABOVE))
            elif asked >= most:
                step.unasked += 1
            else:
                asked += 1
                further = told[key] = Step(_best(subject, look(subject)))
                step.steps.append(further)
                ahead.append((further, above | {key}))
    return root


Ask = Callable[[m.Subject, float], m.Findings]
"""Put one question, with so many seconds to answer. Raises OSError when there is no answer."""


def within(
    timeout_s: float, clock: Callable[[], float], ask_s: float, ask: Ask
) -> Callable[[m.Subject], Sequence[m.Finding]]:
    """`follow`'s `look` by `ask`: no single question takes longer than `ask_s`, and none is put after `timeout_s`."""
    deadline_at_s = clock() + timeout_s

    def look(subject: m.Subject) -> Sequence[m.Finding]:
        left_s = deadline_at_s - clock()
        if left_s <= 0:
            return [_silence(subject, f"the {duration(timeout_s)} for all this are over")]
        try:
            answer = ask(subject, min(left_s, ask_s))
        except OSError as error:
            return [_silence(subject, str(error))]
        if answer.silent and not answer.found:
            return [_silence(subject, f"{_count(answer.silent, 'process')} did not answer in time")]
        return answer.found

    return look


def _silence(subject: m.Subject, why: str) -> m.Finding:
    return m.Finding(subject, m.Unknown(why))


def _key(subject: m.Subject) -> Key:
    return subject.kind, subject.id, subject.node_id, subject.worker_id


_SAYS_LITTLE = (m.AwaitsOwner, m.Unknown, m.Ready)
"""Reasons that count only when nobody else tells of the subject, the first the least."""


def _best(subject: m.Subject, found: Sequence[m.Finding]) -> m.Finding:
    """Of what several processes tell: whoever waits knows most, then the owner, then those who wait for the owner."""
    if not found:
        return m.Finding(subject, m.Unknown(_NOBODY.get(subject.kind, "nobody knows of it any more, or not yet")))

    def rank(finding: m.Finding) -> int:
        kind = type(finding.reason)
        return _SAYS_LITTLE.index(kind) if kind in _SAYS_LITTLE else len(_SAYS_LITTLE)

    return max(found, key=rank)


_NOBODY = {
    "object": "no process knows it: it was freed, or its owner has ended",
    "task": "no process knows it: it has ended long ago, or was never submitted",
    "actor": "the cluster does not know it: it died long ago, or belonged to another cluster",
    "group": "the cluster does not know it: it was removed, or belonged to another cluster",
    "call": "it is not there: it is on its way, or was answered just now",
    "lease": "it is not there: it was answered just now, or is on its way",
    "pull": "no transfer is under way: it has ended just now, or is on its way",
}


def signature(step: Step) -> tuple[object, ...]:
    """The same for chains that tell the same, whatever time has passed."""
    finding = step.finding
    return (*_key(finding.subject), type(finding.reason).__name__, *map(signature, step.steps))


def is_waiting(step: Step) -> bool:
    """Whether there is anything to wait for."""
    return not isinstance(step.finding.reason, m.Ready)


EVENTS_SHOWN = 3


def render(step: Step, depth: int = 0) -> list[str]:
    """The chain as lines: each link says why it waits, and what it waits for follows, further to the right.

    Links that only lead on (an object to its task, a borrower to the owner) are told together with the next.
    """
    indent = "  " * depth
    if step.again == CIRCLE:
        return [f"{indent}{noun(step.finding)}, which waits for all this itself: a circle that nobody can leave"]
    if step.again == ABOVE:
        return [f"{indent}{noun(step.finding)} (see above)"]
    named, story = step.finding, list(step.finding.story)
    while _leads_on(step):
        is_request = isinstance(step.finding.reason, m.AwaitsLease)
        step = step.steps[0]
        story += step.finding.story
        if not is_request:
            named = step.finding
    lines = [f"{indent}{noun(named)} {sentence(step.finding)}".rstrip()]
    for event in story[-EVENTS_SHOWN:]:
        lines.append(f"{indent}    {duration(event.ago_s)} ago: {event.text}")
    for each in step.steps:
        lines += render(each, depth + 1)
    if step.unasked:
        lines.append(f"{indent}  and {step.unasked} more")
    return lines


def _leads_on(step: Step) -> bool:
    """Whether the next link says all that this one does."""
    if len(step.steps) != 1 or step.unasked or step.steps[0].again:
        return False
    reason, further = step.finding.reason, step.steps[0].finding.reason
    if isinstance(further, m.Unknown):
        return False
    match reason:
        case m.AwaitsTask() | m.AwaitsOwner() | m.IsSent():
            return True
        case m.AwaitsLease():
            return not reason.ahead and not reason.leases
        case m.ActorIs():
            return reason.state in ("DEPENDENCIES_UNREADY", "PENDING_CREATION")
    return False


# ------------------------------------------------------------------ words

_OUT_OF_REACH = {
    "PENDING": "since the actor does not live yet",
    "LOST": "since the connection to the actor broke",
    "RESTARTING": "since the actor starts again",
}
_CONSTRUCTS = b"\xff" * 8
"""What the id of the task that constructs an actor begins with; the actor's follows."""


def noun(finding: m.Finding) -> str:
    """What the finding is about, with an id by which it can be asked about."""
    subject, name = finding.subject, finding.name
    match subject.kind:
        case "object":
            return f"object {subject.id.hex()}"
        case "call" if subject.id.startswith(_CONSTRUCTS):
            return f"{name} (actor {subject.id[len(_CONSTRUCTS) :].hex()})"
        case "call" if not name:  # nobody knows it there, but it was named before
            return "it"
        case "task" | "call":
            return f"task {name or '?'} ({subject.id.hex()})"
        case "actor":
            return f"actor {name or '?'} ({subject.id.hex()})"
        case "group":
            return f"placement group {f'{name} ' if name else ''}({subject.id.hex()})"
        case "lease":
            return "its request"
        case "pull":
            return "its transfer"
        case "process":
            return "its process"
    return f"node {node(subject.id)}"


def sentence(finding: m.Finding) -> str:
    """Why it waits."""
    since = f" for {duration(finding.for_s)}" if finding.for_s >= 0 else ""
    waits = f"has waited {duration(finding.for_s)} for" if finding.for_s >= 0 else "waits for"
    here = f" on node {node(finding.subject.node_id)}" if finding.subject.node_id else ""
    reason = finding.reason
    match reason:
        case m.Ready():
            return _ready(reason)
        case m.AwaitsTask():
            return "waits for the task that makes it:"
        case m.AwaitsGroup():
            return "is ready once its placement group is:"
        case m.IsHandle():
            return "has no value: its refs are the handles on an actor"
        case m.AwaitsOwner():
            return "is awaited from its owner:"
        case m.IsComing():
            return f"exists ({size(reason.size)}), and is being brought to the node where it is wanted:"
        case m.Unknown():
            return f"cannot be followed further: {reason.why}"
        case m.AwaitsArguments():
            return f"{waits} {reason.missing} of {_count(reason.of, 'ref argument')}:"
        case m.AwaitsLease():
            return f"{waits} {_awaits_lease(reason)}"
        case m.IsSent():
            return _is_sent(reason, f" {duration(finding.for_s)} ago" if since else "")
        case m.AwaitsRetry():
            return f"is tried again after a pause (attempt {reason.attempt + 1})"
        case m.AwaitsActor():
            return _awaits_actor(reason, f"has waited {duration(finding.for_s)} at" if since else "is held by")
        case m.AwaitsEarlierCall():
            return f"{waits} {_count(reason.ahead, 'earlier call')}, since an actor takes them in order:"
        case m.Runs():
            return _runs(reason, finding, since, here)
        case m.AwaitsProcess():
            return f"{waits.removesuffix(' for')} {_awaits_process(reason, here)}"
        case m.IsIdle():
            return f"runs nothing (process {reason.pid}{here})"
        case m.AwaitsConsumer():
            items = _count(reason.items, "item")
            return f"is stopped in its yield (process {reason.pid}{here}) until somebody takes its last {items}"
        case m.LacksRoom():
            return f"{waits} {_lacks_room(reason, here)}"
        case m.NoNode():
            return f"{waits} {resources(reason.demand)}, which no node can hold: {reason.why}"
        case m.BuildsEnvironment():
            return f"{waits} its runtime environment, which is being built{here}: {shortened(reason.runtime_env, 200)}"
        case m.StartsWorker():
            starting = _count(reason.starting, "process")
            return f"{waits} a worker process{here}, where there is room for it ({starting} starting)"
        case m.Room():
            return _room(reason)
        case m.ActorIs():
            return _actor(reason, since, waits)
        case m.GroupIs():
            return _group(reason, waits)
        case m.Pulls():
            return _pulls(reason, since, waits)


def _ready(reason: m.Ready) -> str:
    if reason.error:
        return f"waits for nothing: it is an error, {shortened(reason.error, 200)}"
    where = f" on node {', '.join(map(node, reason.nodes))}" if reason.nodes else ""
    return f"waits for nothing: its value exists ({size(reason.size)}{where})"


def _awaits_lease(reason: m.AwaitsLease) -> str:
    text = "a worker"
    if reason.ahead:
        text += f", after {_count(reason.ahead, 'task')} of its kind"
    if reason.leases:
        text += f"; {_count(reason.leases, 'worker')} of its kind {'is' if reason.leases == 1 else 'are'} busy"
        text += f" with {_count(reason.running, 'task')}"
    return text + ":"


def _is_sent(reason: m.IsSent, when: str) -> str:
    behind = f", behind {_count(reason.ahead, 'other')}" if reason.ahead else ""
    return f"was sent to its process{when}{behind}:"


def _awaits_actor(reason: m.AwaitsActor, held: str) -> str:
    behind = f" behind {_count(reason.ahead, 'earlier call')}," if reason.ahead else ""
    return f"{held} its caller,{behind} {_OUT_OF_REACH.get(reason.state, 'since the actor is out of reach')}:"


def _runs(reason: m.Runs, finding: m.Finding, since: str, here: str) -> str:
    then = ", and waits for:" if reason.waits else ""
    if finding.subject.kind == "process":
        return f"runs {finding.name}{since} (pid {reason.pid}{here}){then}"
    return f"runs{since} in process {reason.pid}{here}{then}"


def _awaits_process(reason: m.AwaitsProcess, here: str) -> str:
    now = ", ".join(f"{name} ({duration(for_s)})" for name, for_s in reason.running) or "nothing yet"
    limit = f", {reason.limit} at a time" if reason.limit > 1 else ""
    behind = f"behind {_count(reason.ahead, 'call')} in" if reason.ahead else "for"
    return f"{behind} process {reason.pid}{here}, which runs {now}{limit}:"


def _lacks_room(reason: m.LacksRoom, here: str) -> str:
    group = f" of placement group {reason.group_id.hex()}" if reason.group_id else ""
    others = f" ({reason.waiting} requests wait there)" if reason.waiting > 1 else ""
    return f"{resources(reason.demand)}{group}{here}{others}:"


def _room(reason: m.Room) -> str:
    names = sorted(reason.total) or sorted(reason.free)
    amounts = ", ".join(f"{amount(name, reason.free.get(name, 0))} of {_of(name, reason)} free" for name in names)
    text = f"({reason.host}) has {amounts or 'none of it'}"
    if reason.holders:
        text += "; held by " + ", ".join(map(_holder, reason.holders))
        if reason.others:
            text += f" and {reason.others} more"
        elif all(holder.waits and not holder.lent for holder in reason.holders):
            text += ": all of them wait themselves, so none of it may ever become free"
    return text


def _of(name: str, reason: m.Room) -> str:
    return f"{amount(name, reason.total.get(name, 0))} {name}"


def _holder(holder: m.Holder) -> str:
    facts = [resources(holder.held) if holder.held else "nothing of it"]
    if holder.pid:
        facts.append(f"pid {holder.pid}")
    if holder.for_s >= 0:
        facts.append(f"for {duration(holder.for_s)}")
    if holder.waits or holder.lent:
        facts.append("waits itself, and has lent its CPU" if holder.lent else "waits itself")
    return f"{holder.name} ({', '.join(facts)})"


def _actor(reason: m.ActorIs, since: str, waits: str) -> str:
    number, most = reason.num_restarts, reason.max_restarts
    match reason.state:
        case "ALIVE":
            return f"lives, after {_count(number, 'restart')}:" if number else "lives:"
        case "DEAD":
            return f"is dead: {reason.cause or 'its cause is not known'}"
        case "DEPENDENCIES_UNREADY":
            return f"{waits} what its constructor takes:"
    if reason.why:
        return f"{waits} a place: {reason.why}"
    if not number:
        return f"has been created{since}:"
    of = "" if most < 0 else f" of {most}"
    return f"has been starting again{since} (restart {number}{of}), because {_clause(reason.cause)}:"


def _clause(cause: str) -> str:
    return f"{cause[:1].lower()}{cause[1:]}".rstrip(".") or "its process ended"


def _group(reason: m.GroupIs, waits: str) -> str:
    if reason.state == "CREATED":
        have = "has its node" if reason.bundles == 1 else "have nodes"
        return f"is ready: its {_count(reason.bundles, 'bundle')} {have}"
    if reason.state == "REMOVED":
        return "was removed"
    missing = ", ".join(f"{count} x {{{resources(demand)}}}" for demand, count in reason.missing)
    never = ", which the nodes of today could not hold even if they were idle" if reason.infeasible else ""
    return f"({reason.strategy}) {waits} {missing or 'its nodes to reserve what it needs'}, all at once{never}:"


def _pulls(reason: m.Pulls, since: str, waits: str) -> str:
    source = f" from node {node(reason.node_id)}" if reason.node_id else ""
    match reason.state:
        case "queued":
            return f"{waits} {size(reason.size)} of memory to become free"
        case "making_room":
            return f"{waits} {size(reason.size)} of memory, from which others are taken to disk"
        case "from_disk":
            return f"reads {size(reason.size)} from this node's disk{since}"
    done = (
        f"{size(reason.come)} of {size(reason.size)} have come" if reason.come >= 0 else f"{size(reason.size)} in all"
    )
    return f"is under way{since}{source}: {done}"


def node(node_id: bytes) -> str:
    """As much of a node's id as tells it from the others."""
    return node_id.hex()[:8]


def resources(amounts: dict[str, int]) -> str:
    """ "4 CPU, 0.5 GPU" """
    return ", ".join(f"{amount(name, units)} {name}" for name, units in sorted(amounts.items())) or "no resources"


_BYTES = ("memory", "object_store_memory")


def amount(name: str, units: int) -> str:
    """Of a resource in fixed point."""
    value = max(units, 0) / 10_000
    return size(int(value)) if name in _BYTES else f"{round(value, 4):g}"


def size(number: int) -> str:
    """ "12 B", "1.5 MiB" """
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """ "0.4 s", "12 s", "3 min 20 s", "2 h 5 min" """
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}{'es' if what.endswith('s') else 's'}"
