"""Actors and placement groups: between core workers, GCS and raylets. Floor: common, pure.

See the package for the kinds of message and who is who.
"""

from __future__ import annotations

from ray._core.common.messages.base import Message, Reply, Request
from ray._core.common.messages.parts import ActorInfo, ActorSpec, Address, BundleSpec, PlacementGroupInfo

# ------------------------------------------------------------------ G: actors


class RegisterActor(Request, tag=60):
    """C > G. Answer: ActorRegistered; or Failed(kind="name_taken").

    With `get_if_exists`, a living actor of that name is answered and nothing is created. Repeating the request
    with the same actor id creates nothing twice.
    """

    spec: ActorSpec
    handle_blob: bytes
    get_if_exists: bool = False
    ready: bool = True
    """What the constructor takes exists; else `ActorReady` follows."""


class ActorRegistered(Reply, tag=61):
    info: ActorInfo


class GetActor(Request, tag=62):
    """By id, or by name and namespace when `actor_id` is empty. Answer: ActorReply."""

    actor_id: bytes = b""
    name: str = ""
    namespace: str = ""


class ActorReply(Reply, tag=63):
    info: ActorInfo | None


class ListActors(Request, tag=64):
    """Answer: ActorList. With `named_only`, living named actors of `namespace` ("" for all)."""

    named_only: bool = False
    namespace: str = ""


class ActorList(Reply, tag=65):
    actors: list[ActorInfo]


class KillActor(Request, tag=66):
    """C or CLI > G. Answer: Done (also when it is dead already)."""

    actor_id: bytes
    no_restart: bool
    cause: str
    kind: str = "KILLED"
    force: bool = True


class ActorOutOfScope(Request, tag=67):
    """owner > G: the last handle is gone. It finishes what it was sent and ends. Answer: Done."""

    actor_id: bytes


class CreateActor(Message, tag=68):
    """G > R: find resources and a worker for it. Answered by ActorStarted or ActorStartFailed.

    Loss: a raylet that registers again lists what it hosts, and the GCS places anew what is not there.
    """

    spec: ActorSpec
    incarnation: int
    num_restarts: int


class ActorStarted(Message, tag=73):
    """R > G: the actor is constructed. Loss: told again by RegisterNode."""

    actor_id: bytes
    incarnation: int
    address: Address
    pid: int
    repr_name: str = ""


class ActorStartFailed(Request, tag=74):
    """R > G: there will be no actor of this incarnation here. Answer: Done; asked again after a reconnection.

    kind: "spill" (no room here now: place it anew), "init_failed" and "runtime_env" (detail: the pickled error),
    "worker_died", "user_exit" (the constructor ended the process by intent), "unschedulable".
    """

    actor_id: bytes
    incarnation: int
    kind: str
    message: str
    detail: bytes = b""
    node_id: bytes = b""
    """Of the raylet that says so."""


class ConstructActor(Request, tag=75):
    """R > worker. Answer: ActorCreated; or Failed(kind="init_failed", detail: the pickled error); or, at once and with
    nothing done, Failed("needed"): others need what the process owns since it ran tasks, so no actor may end it.
    """

    spec: ActorSpec
    incarnation: int
    num_restarts: int


class ActorCreated(Reply, tag=69):
    address: Address
    pid: int
    repr_name: str = ""


class ActorReady(Request, tag=72):
    """owner > G: what the constructor takes exists now. Answer: Done."""

    actor_id: bytes


class DestroyActor(Message, tag=70):
    """G > R: end this actor's worker; graceful: after what it was sent. Loss: it is sent again when the node registers
    again.

    It means this incarnation and those before: a word about one that is gone must not end the next, on the same node.
    """

    actor_id: bytes
    incarnation: int
    graceful: bool
    cause: str


class ActorDied(Request, tag=71):
    """R > G: an actor's worker process has ended. Answer: Done; asked again after a reconnection, before RegisterNode
    lists what is left."""

    actor_id: bytes
    incarnation: int
    kind: str
    """WORKER_DIED, USER_ERROR, INTENDED_USER_EXIT, OUT_OF_SCOPE, OUT_OF_MEMORY."""
    cause: str
    worker_id: bytes = b""


# ------------------------------------------------------------------ G and R: placement groups


class CreateGroup(Request, tag=80):
    """C > G. Answer: Done at once, or Failed("name_taken"); the creator is subscribed to the group's news."""

    info: PlacementGroupInfo


class RemoveGroup(Request, tag=81):
    """C > G. Answer: Done, once what ran in the group has been ended; also for a group that is not known."""

    group_id: bytes


class GetGroup(Request, tag=82):
    """By id, or by name and namespace. With `wait`, answered once the group is CREATED or REMOVED."""

    group_id: bytes = b""
    name: str = ""
    namespace: str = ""
    wait: bool = False


class GroupReply(Reply, tag=83):
    info: PlacementGroupInfo | None


class ListGroups(Request, tag=84):
    """any > G. Answer: GroupList."""


class GroupList(Reply, tag=85):
    groups: list[PlacementGroupInfo]


class PrepareBundles(Request, tag=86):
    """G > R, first phase. Answer: Done (reserved), or Failed(kind="busy") and nothing reserved.

    `commit`: and make them usable at once, since no other node is involved.
    """

    group_id: bytes
    bundles: list[BundleSpec]
    commit: bool = False


class CommitBundles(Request, tag=87):
    """G > R, second phase. Answer: Done."""

    group_id: bytes
    indexes: list[int]


class ReturnBundles(Request, tag=88):
    """G > R: give these bundles back, ending what runs in them. Answer: Done, once it has been told to end.

    `removed`: the group is gone for good, and what waits for it fails. Unknown bundles are no mistake: the order may
    come for bundles that could not be reserved.
    """

    group_id: bytes
    indexes: list[int]
    removed: bool = False
