"""What is asked, and told, when somebody wants to know why something waits. Floor: common, pure.

See the package for the kinds of message and who is who. Each process tells what it knows of one subject, and of whom to
ask further; `common.waiting` follows that and makes a text of it.
"""

from __future__ import annotations

from ray._core.common.messages.base import Part, Reply, Request


class Subject(Part, frozen=True):
    """What is asked about, and whom: a raylet by `node_id`, a driver or worker by both ids, the GCS by neither.

    kind and id: "object", "task", "actor", "group" by their ids; "call" (a task, asked of the process that is to run
    it); "process" by its worker id; "lease": a request for one, by its owner's worker id and the request's rid; "pull"
    (an object on its way to a node); "node": who holds how much of `demand` there.
    """

    kind: str
    id: bytes
    node_id: bytes = b""
    worker_id: bytes = b""
    demand: dict[str, int] = {}


class Event(Part, frozen=True):
    """Of a story: what happened, `ago_s` seconds before it was told. (Durations: no two clocks are compared.)"""

    ago_s: float
    text: str


# ------------------------------------------------------------------ reasons: why it waits, or that it does not


class Ready(Part, frozen=True, tag="ready"):
    """The value exists. `error`: it is one, with this text. `nodes`: where it lies in shared memory."""

    size: int
    nodes: list[bytes] = []
    error: str = ""


class AwaitsTask(Part, frozen=True, tag="awaits_task"):
    """An object that its task has not made yet."""


class AwaitsGroup(Part, frozen=True, tag="awaits_group"):
    """The ref that `PlacementGroup.ready` gave."""


class IsHandle(Part, frozen=True, tag="is_handle"):
    """No value ever comes: its refs are the handles on an actor."""


class AwaitsOwner(Part, frozen=True, tag="awaits_owner"):
    """A borrower has asked the owner for the value."""


class IsComing(Part, frozen=True, tag="is_coming"):
    """The value exists on other nodes, and is being brought to this one."""

    size: int


class Unknown(Part, frozen=True, tag="unknown"):
    """Whoever was asked knows nothing of it, or did not answer; `why` says which."""

    why: str


class AwaitsArguments(Part, frozen=True, tag="awaits_arguments"):
    """Of `of` ref arguments `missing` are not there."""

    missing: int
    of: int


class AwaitsLease(Part, frozen=True, tag="awaits_lease"):
    """A task in its owner's queue: `ahead` come first, `running` run on the `leases` that its kind has."""

    ahead: int
    leases: int
    running: int


class IsSent(Part, frozen=True, tag="is_sent"):
    """A task, or a method call, that was sent to a process; `ahead`: sent there before and not answered."""

    ahead: int


class AwaitsRetry(Part, frozen=True, tag="awaits_retry"):
    """Its last attempt has failed, and the next one begins after a pause."""

    attempt: int


class AwaitsActor(Part, frozen=True, tag="awaits_actor"):
    """A method call that has not left, since the actor cannot be reached now; `state` as its caller knows it."""

    state: str
    ahead: int


class AwaitsEarlierCall(Part, frozen=True, tag="awaits_earlier_call"):
    """A method call held back, in order, by one whose arguments are not there."""

    ahead: int


class Runs(Part, frozen=True, tag="runs"):
    """It runs. `waits`: for other objects."""

    pid: int
    waits: bool = False


class AwaitsProcess(Part, frozen=True, tag="awaits_process"):
    """A call that has arrived, and waits until the process has time: `running` (name, seconds) run, `ahead` come first.

    `limit` says how many may run at a time.
    """

    pid: int
    ahead: int
    running: list[tuple[str, float]]
    limit: int = 1


class IsIdle(Part, frozen=True, tag="is_idle"):
    """A process, or an actor, that runs nothing."""

    pid: int


class AwaitsConsumer(Part, frozen=True, tag="awaits_consumer"):
    """A streaming call stopped in its yield: nobody has taken the last `items`."""

    pid: int
    items: int


class LacksRoom(Part, frozen=True, tag="lacks_room"):
    """A request for what is not free: `demand` in the user's names. `waiting`: all requests that wait at that node."""

    demand: dict[str, int]
    waiting: int
    group_id: bytes = b""


class NoNode(Part, frozen=True, tag="no_node"):
    """No node of today could hold it, even if it were idle."""

    demand: dict[str, int]
    why: str


class BuildsEnvironment(Part, frozen=True, tag="builds_environment"):
    """The node's agent builds its runtime environment (JSON)."""

    runtime_env: str


class StartsWorker(Part, frozen=True, tag="starts_worker"):
    """There is room; a worker process is being started. `starting`: how many."""

    starting: int


class Holder(Part, frozen=True):
    """Who has some of a node's resources. `waits`: for other objects; `lent`: and it has lent its CPU meanwhile."""

    held: dict[str, int]
    pid: int
    name: str
    for_s: float = -1.0
    waits: bool = False
    lent: bool = False


class Room(Part, frozen=True, tag="room"):
    """A node's amounts of what is asked for. `holders`: the largest; `others`: how many more there are."""

    host: str
    total: dict[str, int]
    free: dict[str, int]
    holders: list[Holder]
    others: int = 0


class ActorIs(Part, frozen=True, tag="actor_is"):
    """What the GCS knows of an actor. `cause`: of its last death. `why`: it has no place."""

    state: str
    num_restarts: int
    max_restarts: int
    cause: str = ""
    why: str = ""


class GroupIs(Part, frozen=True, tag="group_is"):
    """What the GCS knows of a placement group: `missing` bundles (demand, how many) have no node yet."""

    state: str
    strategy: str
    bundles: int
    missing: list[tuple[dict[str, int], int]] = []
    infeasible: bool = False


class Pulls(Part, frozen=True, tag="pulls"):
    """An object on its way to a node. `come`: bytes of `size` that are here, -1: not known.

    state: "queued" (until memory is free), "making_room", "from_disk", "copying".
    """

    size: int
    come: int
    state: str
    node_id: bytes = b""


AnyReason = (
    Ready
    | AwaitsTask
    | AwaitsGroup
    | IsHandle
    | AwaitsOwner
    | IsComing
    | Unknown
    | AwaitsArguments
    | AwaitsLease
    | IsSent
    | AwaitsRetry
    | AwaitsActor
    | AwaitsEarlierCall
    | Runs
    | AwaitsProcess
    | IsIdle
    | AwaitsConsumer
    | LacksRoom
    | NoNode
    | BuildsEnvironment
    | StartsWorker
    | Room
    | ActorIs
    | GroupIs
    | Pulls
)


class Finding(Part, frozen=True):
    """What one process knows of a subject.

    `name`: what a person calls it. `for_s`: how long it is so, -1: not known. `next`: what it waits for in turn, and
    whom to ask about that; of more than a few the first, and `more` says how many there are besides. `story`: the last
    events, oldest first.
    """

    subject: Subject
    reason: AnyReason
    name: str = ""
    for_s: float = -1.0
    next: list[Subject] = []
    more: int = 0
    story: list[Event] = []


class Inquire(Request, tag=97):
    """any > G > R > C: why does this wait? Answer: Findings, or Failed("gone": no such node, or process).

    The GCS and raylets pass on what others are to be asked; of an object or a task that the GCS is asked about it asks
    everybody, and each who knows of it tells.
    """

    subject: Subject


class Findings(Reply, tag=98):
    """`silent`: how many processes did not answer in time."""

    found: list[Finding]
    silent: int = 0
