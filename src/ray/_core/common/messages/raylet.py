"""Between a node's processes and its raylet, and between raylets: workers, leases, objects. Floor: common, pure.

See the package for the kinds of message and who is who.
"""

from __future__ import annotations

from ray._core.common.messages.base import Message, Reply, Request, Units
from ray._core.common.messages.parts import Address, NodeInfo, SchedulingClass, StoreLocation

# ------------------------------------------------------------------ R: registration, leases


class RegisterWorker(Request, tag=100):
    """C > R, right after Hello, over the node's Unix socket. Answer: WorkerRegistered.

    `ready` False: it takes no work yet, since its setup hook is still to run; it then registers once more.
    """

    address: Address
    pid: int
    is_driver: bool
    ready: bool = True


class WorkerRegistered(Reply, tag=101):
    node: NodeInfo
    gcs_host: str
    gcs_port: int
    session_name: str
    config: str
    arena_size: int
    overflow_path: str = ""
    overflow_size: int = 0
    """Behind the arena: a file for objects that do not fit. 0: there is none."""


class RequestLease(Request, tag=102):
    """C > R. Answer: LeaseGranted, LeaseSpilled, or Failed ("unschedulable", "runtime_env", "cancelled")."""

    scheduling: SchedulingClass
    hops: int = 0
    """How many raylets have sent it on already; a request is not sent on again without better knowledge."""
    prefer_nodes: list[bytes] = []
    """Nodes with most argument bytes, best first."""
    name: str = ""
    retriable: bool = True
    """The tasks may run again if their worker is killed."""
    owner_id: bytes = b""
    """Worker id of who asks."""


class LeaseGranted(Reply, tag=103):
    lease_id: int
    worker: Address
    pid: int
    resource_ids: dict[str, list[str]] = {}
    """Instance ids by accelerator name, as `get_gpu_ids` tells."""


class LeaseSpilled(Reply, tag=104):
    """Ask that raylet instead."""

    node_id: bytes
    host: str
    port: int
    path: str


class CancelLease(Message, tag=105):
    """C > R: the open request `request_rid` is no longer wanted; answered by Failed("cancelled"), or too late."""

    request_rid: int


class ReturnLease(Message, tag=106):
    """C > R. Loss: a broken owner connection returns all its leases."""

    lease_id: int
    worker_broken: bool = False
    worker_exits: bool = False
    """It said so in its last TaskDone: it takes no more work, and ends when nobody needs it."""


class RevokeLease(Message, tag=107):
    """R > C: others wait; return this lease as soon as its unstarted tasks are back or done."""

    lease_id: int


class WorkerExited(Message, tag=109):
    """R > C which leases the worker: the process has ended, and why. kind as in ActorDied."""

    worker_id: bytes
    kind: str
    cause: str


class SetBlocked(Message, tag=110):
    """worker > R: its task waits in get/wait (release the CPU), or goes on (take it again, even beyond the total)."""

    blocked: bool


class ExitWorker(Message, tag=111):
    """R > worker: end. graceful: finish what runs and was received, run atexit; else at once."""

    graceful: bool
    reason: str


class WorkerExiting(Message, tag=112):
    """worker > R: I end by intent: `exit_actor`, max_calls, out of scope. Loss: the exit then counts as a crash."""

    kind: str
    cause: str


class AssignWorker(Message, tag=113):
    """R > worker at a lease or an actor: whose it is now; env has what must be set before user code runs."""

    job_id: bytes
    env: dict[str, str]
    assigned: dict[str, Units]
    resource_ids: dict[str, list[str]]
    placement_group_id: bytes = b""
    runtime_env: str = ""
    capture_child_tasks: bool = False
    priority: int = 0
    """Of what it runs from now on, which that hands down."""


class KillWorker(Message, tag=114):
    """C > R: SIGKILL the process that holds this lease (cancel by force)."""

    worker_id: bytes
    cause: str


# ------------------------------------------------------------------ R: objects


class AllocateSlab(Request, tag=130):
    """C > R. Answer: SlabGranted, or Failed("full")."""

    size: int
    for_one: bool = False
    """For one object; the slab is the raylet's once that is sealed, who frees it with the object."""


class SlabGranted(Reply, tag=131):
    offset: int
    size: int
    is_new: bool = False
    """Not all of its pages are there: nobody has written to them yet, or they went back to the system."""


class ReleaseSlab(Message, tag=132):
    """C > R: nothing is left in the slab at `offset`."""

    offset: int


class ObjectsSealed(Message, tag=133):
    """C > R, batched: objects now readable in this node's arena. Loss: the connection's loss reclaims the slabs."""

    objects: list[tuple[bytes, int, int]]
    """(object id, offset, size)."""
    owner_id: bytes
    owner_node: bytes
    """Whose they are: when that process has ended, nobody else will free them."""
    attempt: int = 0
    """Of the task that made them, see StoreLocation."""


ANY_ATTEMPT = 1 << 31
"""Nobody knows how many copies are still to come."""


class FreeObjects(Message, tag=134):
    """owner > R of a node with a copy, batched. Repeating or losing it (node gone) does no harm.

    `node_id`: where the copies are; the owner's own raylet passes it on. b"": at whoever receives this.
    `attempt`: copies of attempts up to this one, also those whose word has not come yet, but none that was made later.
    `for_good`: nobody will ever want them again, of whatever attempt; a copy of `attempt` is there, or will come.
    """

    object_ids: list[bytes]
    node_id: bytes = b""
    attempt: int = 0
    for_good: bool = False


class FreeRest(Message, tag=148):
    """owner > R of a node where an attempt of the task was lost: it is over, and of its results there nobody wants any
    but `wanted`; also not what is sealed from now on. Loss: the owner's end frees them. `node_id` as in FreeObjects.
    """

    task_id: bytes
    owner_id: bytes
    wanted: list[bytes]
    node_id: bytes = b""


class SlabSpaceFreed(Message, tag=135):
    """R > C which holds the slab: these offsets are free again."""

    offsets: list[int]


PULL_FOR_GET, PULL_FOR_WAIT, PULL_FOR_TASK = range(3)
"""Priorities: somebody is blocked in `get`, in `wait`, or a task is to begin."""


class PullObject(Request, tag=136):
    """C > R: bring a copy here. Answer: ObjectLocal, or Failed("lost": no node has it, "full": no room here)."""

    object_id: bytes
    locations: list[StoreLocation]
    owner: Address
    priority: int = PULL_FOR_GET


class ObjectLocal(Reply, tag=137):
    offset: int
    size: int


class AwaitOwnerEnd(Request, tag=140):
    """R > R of the node of a driver or worker that owns objects here. Answer: Done, once that process has ended.

    Loss: whoever asked asks again, by its new connection.
    """

    owner_id: bytes


class RetireWorker(Request, tag=141):
    """R > worker that is idle and surplus. Answer: Done, and it takes no more work; or Failed("needed")."""


class OfferObject(Request, tag=142):
    """R > R: I want this object, which is too large for one chunk. Answer: ObjectOffered, ObjectElsewhere, or
    Failed("lost": not here; "chunks": by FetchChunk only, since it is on disk here or connections are under TLS).

    `may_send_on`: whether ObjectElsewhere is of use.
    """

    object_id: bytes
    node_id: bytes
    may_send_on: bool = True


class ObjectOffered(Reply, tag=143):
    """Until OfferEnded, or until the connection breaks, bulk connections get its bytes by the ticket."""

    ticket: int


class ObjectElsewhere(Reply, tag=144):
    """Ask that node, which is getting it from me; if it cannot give it, ask me again."""

    node_id: bytes


class OfferEnded(Message, tag=145):
    """R > R. Loss: the connection's end is the end of its offers."""

    ticket: int


class FetchPart(Request, tag=146):
    """R > R on a bulk connection (Hello with role "bulk", answered by Done). Answer: Chunk with payload, or
    Failed("lost"); not before the bytes have come, when the object is still on its way to the giver.
    """

    ticket: int
    start: int
    length: int


class UrgePull(Message, tag=147):
    """C > R: the object of an open PullObject is needed more urgently now. Loss: it comes in its old turn."""

    object_id: bytes
    priority: int


class ProposeSpill(Request, tag=160):
    """R > C, all processes of the node: may these objects leave the memory? Answer: SpillVotes.

    Their headers are marked already: a process that begins to read one now sees that, and asks the raylet instead.
    """

    object_ids: list[bytes]


class SpillVotes(Reply, tag=161):
    """`refused`: values of this process lie on the memory of these."""

    refused: list[bytes]


class FetchChunk(Request, tag=138):
    """R > R. Answer: Chunk with payload, or Failed("lost")."""

    object_id: bytes
    start: int
    length: int


class Chunk(Reply, tag=139):
    """Payload: the bytes."""

    start: int
