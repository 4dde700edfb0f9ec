"""THE schema: every message that crosses from one process to another.

Floor: common, pure. A message is a msgspec Struct, encoded as a msgpack array whose first item is the message's tag.
A frame holds one message and, where the class says so, a raw payload behind it (see `wire.codec`).

Kinds of message, told by the base class:
* `Request`: carries `rid`, a number that its sender chose; answered by exactly one `Reply` with the same `rid`, or
  by `Failed`. A connection that closes fails all its open requests.
* `Reply`: answers a request.
* `Message`: one way. Its docstring says why losing it with its connection does no harm.

Bytes named `args`, `blob`, `spec_blob` … are the user's, opaque to gcs_server and raylet, which never unpickle.
Direction is written as sender > receiver. C: core worker (driver or worker), G: gcs_server, R: raylet, A: agent,
Z: zygote. Adding a field: at the end, with a default.
"""

from __future__ import annotations

from typing import Any

import msgspec

PROTOCOL = 1
"""Raised with each incompatible change of this file; peers with another number are refused at the handshake."""


class Part(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A piece of messages, never sent alone."""


class Message(msgspec.Struct, array_like=True, gc=False):
    """One way; nothing answers."""


class Request(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    rid: int = 0


class Reply(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    rid: int = 0


# ------------------------------------------------------------------ pieces


class Address(Part, frozen=True):
    """Where a core worker listens: by `path` (Unix socket) from its own node, by `host` and `port` from others."""

    node_id: bytes
    worker_id: bytes
    host: str
    port: int
    path: str


class StoreLocation(Part, frozen=True):
    """Where a large object lies: `size` bytes at `offset` in the arena of one node."""

    node_id: bytes
    offset: int
    size: int


class ContainedRef(Part, frozen=True):
    """A ref found inside a serialized value."""

    object_id: bytes
    owner: Address


class Value(Part, frozen=True):
    """An object's value on its way: either `blob` (serialized) or `location`, and the refs inside it."""

    blob: bytes | None = None
    location: StoreLocation | None = None
    is_error: bool = False
    contained: list[ContainedRef] = []


class Dep(Part, frozen=True):
    """A top-level ref argument: put the value in place `slot` (position, or keyword) before the call."""

    slot: int | str
    object_id: bytes
    owner: Address
    value: Value


class Strategy(Part, frozen=True):
    """Where a task or actor may run. kind: DEFAULT, SPREAD, NODE_AFFINITY, NODE_LABEL, PLACEMENT_GROUP."""

    kind: str = "DEFAULT"
    node_id: bytes = b""
    soft: bool = False
    spill_on_unavailable: bool = False
    fail_on_unavailable: bool = False
    placement_group_id: bytes = b""
    bundle_index: int = -1
    capture_child_tasks: bool = False
    labels_hard: dict[str, str] = {}
    labels_soft: dict[str, str] = {}


class SchedulingClass(Part, frozen=True):
    """What a lease must offer; tasks of one class share leases. `resources` is fixed point (see resources.py).

    `runtime_env` is the normalized JSON of the runtime environment ("" for none). `label_selector` has the
    selector values of core.md 9.4. `resources` names are the user's (CPU, …): a raylet translates them for a
    placement group.
    """

    resources: dict[str, int]
    strategy: Strategy = Strategy()
    runtime_env: str = ""
    label_selector: dict[str, str] = {}
    job_id: bytes = b""


class NodeInfo(Part, frozen=True):
    """A node as the GCS lists it. `state`: ALIVE or DEAD. Amounts in fixed point."""

    node_id: bytes
    host: str
    raylet_port: int
    raylet_path: str
    hostname: str
    name: str
    is_head: bool
    arena_path: str
    session_dir: str
    total: dict[str, int]
    labels: dict[str, str] = {}
    state: str = "ALIVE"
    death_reason: str = ""
    death_message: str = ""
    start_time_ms: int = 0
    end_time_ms: int = 0
    pid: int = 0
    metrics_port: int = 0
    agent_port: int = 0
    version: str = ""
    python: str = ""


class Demand(Part, frozen=True):
    """`count` lease requests of one shape that a raylet cannot serve, and why."""

    resources: dict[str, int]
    count: int
    reason: str
    job_id: bytes = b""
    infeasible: bool = False


class ActorSpec(Part, frozen=True):
    """All that is needed to create an actor, as often as it restarts."""

    actor_id: bytes
    job_id: bytes
    name: str
    namespace: str
    class_name: str
    owner: Address
    detached: bool
    max_restarts: int
    placement: SchedulingClass
    """Resources needed to place it (a default actor: 1 CPU)."""
    held: dict[str, int]
    """Resources held while it lives (a default actor: none)."""
    class_key: str
    """Where the pickled class is in the key-value table (namespace "fun")."""
    spec_blob: bytes
    """What only the core worker reads: constructor arguments, method options, concurrency (see worker.actors)."""
    creation_task_id: bytes = b""
    parent_task_id: bytes = b""


class ActorInfo(Part, frozen=True):
    """An actor as the GCS publishes it.

    `state`: DEPENDENCIES_UNREADY, PENDING_CREATION, ALIVE, RESTARTING, DEAD. `incarnation` counts up with each
    start. `error`: pickled exception of a failed constructor. `death_cause`: text for ActorDiedError.
    `handle_blob`: what a process needs to make a handle (methods and their options).
    """

    actor_id: bytes
    job_id: bytes
    name: str
    namespace: str
    class_name: str
    state: str
    incarnation: int
    num_restarts: int
    max_restarts: int
    address: Address | None = None
    node_id: bytes = b""
    pid: int = 0
    detached: bool = False
    death_kind: str = ""
    death_cause: str = ""
    error: bytes | None = None
    handle_blob: bytes = b""
    repr_name: str = ""
    required: dict[str, int] = {}
    start_time_ms: int = 0
    end_time_ms: int = 0
    preempted: bool = False


class JobInfo(Part, frozen=True):
    job_id: bytes
    namespace: str
    driver: Address | None
    driver_pid: int
    driver_host: str
    entrypoint: str
    config: bytes
    start_time_ms: int
    end_time_ms: int = 0
    is_dead: bool = False
    runtime_env: str = ""
    metadata: dict[str, str] = {}


class BundleSpec(Part, frozen=True):
    index: int
    resources: dict[str, int]
    label_selector: dict[str, str] = {}


class PlacementGroupInfo(Part, frozen=True):
    """`state`: PENDING, PREPARED, CREATED, RESCHEDULING, REMOVED. `nodes`: node id by bundle, b"" where none yet."""

    group_id: bytes
    job_id: bytes
    name: str
    namespace: str
    strategy: str
    bundles: list[BundleSpec]
    detached: bool
    creator_actor: bytes
    state: str
    nodes: list[bytes]
    created_at_ms: int = 0
    ready_at_ms: int = 0
    attempts: int = 0
    soft_target_node_id: bytes = b""
    infeasible: bool = False
    """It waits, and no nodes of today could hold it even if they were idle."""


class LogLine(Part, frozen=True):
    """Lines that one worker printed to one stream."""

    job_id: bytes
    node_ip: str
    pid: int
    name: str
    is_err: bool
    lines: list[str]


# ------------------------------------------------------------------ every connection


class Hello(Message, tag=1):
    """First message of whoever connected. role: driver, worker, raylet, agent, cli. Lost with its connection."""

    protocol: int
    role: str
    node_id: bytes = b""
    worker_id: bytes = b""
    job_id: bytes = b""
    address: Address | None = None
    pid: int = 0
    version: str = ""
    python: str = ""


class Failed(Reply, tag=2):
    """A request was refused or failed. kind: a short name the requester can act on (see `errors.py` of each room)."""

    kind: str
    message: str
    detail: bytes = b""


class Done(Reply, tag=3):
    """A request succeeded and there is nothing more to say."""


class Ping(Request, tag=4):
    """G > R, CLI > any: are you there?"""


# ------------------------------------------------------------------ G: nodes, resources


class HostedActor(Part, frozen=True):
    """An actor that a raylet hosts; `address` None: it is being created."""

    actor_id: bytes
    incarnation: int
    address: Address | None = None
    pid: int = 0
    repr_name: str = ""


class RegisterNode(Request, tag=10):
    """R > G. Answer: NodeRegistered; Failed("version_mismatch"), or Failed("node_dead"): it was declared dead.

    Repeating it (a reconnect) replaces the entry; `hosted` then tells the GCS which actors are there, and `bundles`
    which bundles of placement groups (group id, index).
    """

    info: NodeInfo
    hosted: list[HostedActor] = []
    bundles: list[tuple[bytes, int]] = []


class NodeRegistered(Reply, tag=11):
    session_name: str
    config: str
    """JSON of the cluster's `_system_config` (Config.encode)."""
    nodes: list[NodeInfo]


class UnregisterNode(Request, tag=12):
    """R or CLI > G: the node leaves. Answer: Done."""

    node_id: bytes
    reason: str
    message: str


class ListNodes(Request, tag=13):
    """any > G. Answer: NodeList."""


class NodeList(Reply, tag=14):
    nodes: list[NodeInfo]


class ReportResources(Message, tag=15):
    """R > G, at a change, at most each `resource_report_interval_ms`. Loss: the next report is complete in itself."""

    node_id: bytes
    version: int
    available: dict[str, int]
    total: dict[str, int]
    demands: list[Demand]
    num_workers: int = 0
    idle_ms: int = 0


class NodeView(Part, frozen=True):
    """What schedulers know of a node; up to one report interval old."""

    node_id: bytes
    host: str
    raylet_port: int
    raylet_path: str
    total: dict[str, int]
    available: dict[str, int]
    labels: dict[str, str]
    version: int
    alive: bool = True
    draining: bool = False
    is_head: bool = False


class ResourceViews(Message, tag=16):
    """G > R subscribers of channel "resources": views that changed. Loss: sent whole at (re)subscription."""

    views: list[NodeView]


class GetClusterResources(Request, tag=17):
    """any > G. Answer: ClusterResources."""


class ClusterResources(Reply, tag=18):
    views: list[NodeView]
    demands: list[Demand]
    pending_groups: list[PlacementGroupInfo]


class DrainNode(Request, tag=19):
    """CLI > G > R. Answer: Done, or Failed(kind="busy")."""

    node_id: bytes
    reason: str
    message: str
    deadline_ms: int = 0


class SetDraining(Request, tag=20):
    """G > R: place nothing new here. Answer: Done."""

    draining: bool


# ------------------------------------------------------------------ G: pub/sub


class Subscribe(Request, tag=30):
    """any > G. Answer: Done, after which the current state of the channel follows as publications.

    Channels: "node" (NodeChanged), "actor" with key actor_id (ActorChanged), "job" (JobChanged),
    "resources" (ResourceViews), "log" with key job_id (LogLines), "error" with key job_id (ErrorEvent),
    "group" with key group_id (GroupChanged). The key b"" means all.
    """

    channel: str
    key: bytes = b""


class Unsubscribe(Message, tag=31):
    channel: str
    key: bytes = b""


class NodeChanged(Message, tag=32):
    info: NodeInfo


class ActorChanged(Message, tag=33):
    info: ActorInfo


class JobChanged(Message, tag=34):
    info: JobInfo


class GroupChanged(Message, tag=35):
    info: PlacementGroupInfo


class LogLines(Message, tag=36):
    """A > G > driver of the job. Loss: lines stay in the log files."""

    batch: list[LogLine]


EVERY_JOB = b"\xff\xff\xff\xff"
"""The key of channel "error" for events of no job in particular; every driver subscribes to it too."""


class ErrorEvent(Message, tag=37):
    """R or G > G > driver of the job: a warning to show once (infeasible demand, out of memory, node death).

    `job_id` b"": it concerns every driver. Loss: it is in the log of who sent it.
    """

    job_id: bytes
    kind: str
    message: str
    source: str = "raylet"


class FlushLogs(Request, tag=38):
    """driver > G > A of every living node: ship what the workers of this job have written. Answer: Done, behind the
    last LogLines."""

    job_id: bytes


# ------------------------------------------------------------------ G: jobs, key-value


class RegisterJob(Request, tag=40):
    """driver > G. Answer: JobRegistered. The job ends with this connection, or by FinishJob."""

    namespace: str
    driver_pid: int
    driver_host: str
    entrypoint: str
    config: bytes
    runtime_env: str = ""
    metadata: dict[str, str] = {}
    job_id: bytes = b""
    """Set by a driver that reconnects: its job goes on. Failed("job_dead"): the GCS has given it up."""


class JobRegistered(Reply, tag=41):
    job_id: bytes
    session_name: str
    config: str


class FinishJob(Request, tag=42):
    job_id: bytes


class ListJobs(Request, tag=43):
    pass


class JobList(Reply, tag=44):
    jobs: list[JobInfo]


class KvPut(Request, tag=45):
    """Answer: KvCount: 1 when the key is new."""

    namespace: str
    key: bytes
    value: bytes
    overwrite: bool = True


class KvGet(Request, tag=46):
    namespace: str
    key: bytes
    wait: bool = False
    """Answer only once the key exists."""


class KvValue(Reply, tag=47):
    value: bytes | None


class KvDel(Request, tag=48):
    """Answer: KvCount: how many keys went."""

    namespace: str
    key: bytes
    by_prefix: bool = False


class KvExists(Request, tag=49):
    namespace: str
    key: bytes


class KvKeys(Request, tag=50):
    namespace: str
    prefix: bytes = b""


class KvKeyList(Reply, tag=51):
    keys: list[bytes]


class KvCount(Reply, tag=52):
    count: int


class SetDriverAddress(Message, tag=53):
    """driver > G, right after registration, once it listens."""

    job_id: bytes
    address: Address


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


class ActorStartFailed(Message, tag=74):
    """R > G: there will be no actor of this incarnation here. Loss: the node's list of actors lacks it.

    kind: "spill" (no room here now: place it anew), "init_failed" and "runtime_env" (detail: the pickled error),
    "worker_died", "user_exit" (the constructor ended the process by intent), "unschedulable".
    """

    actor_id: bytes
    incarnation: int
    kind: str
    message: str
    detail: bytes = b""


class ConstructActor(Request, tag=75):
    """R > worker. Answer: ActorCreated, or Failed(kind="init_failed", detail: the pickled error)."""

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
    """G > R: end this actor's worker; graceful: after what it was sent. Loss: the node dies with the connection."""

    actor_id: bytes
    graceful: bool
    cause: str


class ActorDied(Message, tag=71):
    """R > G: an actor's worker process has ended. Loss: the node's death or re-registration says the same."""

    actor_id: bytes
    incarnation: int
    kind: str
    """WORKER_DIED, USER_ERROR, INTENDED_USER_EXIT, OUT_OF_SCOPE, OUT_OF_MEMORY."""
    cause: str
    worker_id: bytes = b""


# ------------------------------------------------------------------ G and R: placement groups


class CreateGroup(Request, tag=80):
    """C > G. Answer: Done at once, or Failed("name_taken"); the state follows by channel "group"."""

    info: PlacementGroupInfo


class RemoveGroup(Request, tag=81):
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
    pass


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


class ReturnBundles(Message, tag=88):
    """G > R: give these bundles back, ending what runs in them. Loss: the node dies with the connection.

    `removed`: the group is gone for good, and what waits for it fails. Unknown bundles are no mistake: the order may
    come for bundles that could not be reserved.
    """

    group_id: bytes
    indexes: list[int]
    removed: bool = False


# ------------------------------------------------------------------ state API


class WorkerInfo(Part, frozen=True):
    """A living process of a node. `type`: WORKER or DRIVER."""

    worker_id: bytes
    node_id: bytes
    host: str
    pid: int
    type: str
    job_id: bytes = b""


class RuntimeEnvInfo(Part, frozen=True):
    """An environment on a node: what it is (JSON), who uses it, how its setup went. `creation_time_ms`: how long."""

    runtime_env: str
    node_id: bytes
    success: bool
    creation_time_ms: int
    ref_cnt: int
    error: str = ""


class ObjectInfo(Part, frozen=True):
    """An object as one process that has refs to it sees it. `size` -1: not known yet."""

    object_id: bytes
    size: int
    task_status: str
    reference_type: str
    process_type: str
    pid: int
    host: str
    is_owner: bool


class StoreStats(Part, frozen=True):
    """The shared memory of one node. Sizes in bytes; spilled and restored count up from the node's start."""

    node_id: bytes
    size: int
    used: int
    num_objects: int
    on_disk_bytes: int = 0
    spilled_bytes: int = 0
    num_spilled: int = 0
    restored_bytes: int = 0


class EventInfo(Part, frozen=True):
    """An error event, and when the GCS heard of it."""

    at_ms: int
    event: ErrorEvent


class TaskEvents(Message, tag=90):
    """C > G, batched: tasks have ended. Loss: the state API does not show them. `blob`: a task_events.TaskBatch."""

    job_id: bytes
    count: int
    blob: bytes


class DumpState(Request, tag=91):
    """any > G > R > C: tell what you know now. Answer: StateDump.

    `what`: tasks, objects, workers, stores, runtime_envs, metrics, or events (which G itself knows).
    """

    what: str


class StateDump(Reply, tag=92):
    """`blobs`: encoded TaskBatch, StoreStats, or lists of ObjectInfo, WorkerInfo, RuntimeEnvInfo, EventInfo or
    metrics.Family.

    `silent`: processes that did not answer in time. `forgotten`: how many ends of tasks the GCS no longer keeps.
    """

    blobs: list[bytes]
    silent: int = 0
    forgotten: int = 0


class ListLogs(Request, tag=93):
    """any > G > A of that node. Answer: LogFiles, or Failed("no_agent")."""

    node_id: bytes
    pattern: str = "*"


class LogFiles(Reply, tag=94):
    names: list[str]


class ReadLog(Request, tag=95):
    """any > G > A of that node. Answer: LogChunk, or Failed("no_agent", "io").

    Reads up to `length` bytes from `offset`, or, unless `last_lines` is -1, from where the last so many lines begin.
    """

    node_id: bytes
    name: str
    offset: int = 0
    length: int = 1 << 20
    last_lines: int = -1


class LogChunk(Reply, tag=96):
    """`offset`: where `data` begins. Empty data: the file ends there, for now."""

    data: bytes
    offset: int


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
    backlog: int
    hops: int = 0
    """How many raylets have sent it on already; a request is not sent on again without better knowledge."""
    prefer_nodes: list[bytes] = []
    """Nodes with most argument bytes, best first."""
    name: str = ""
    priority: int = 0
    retriable: bool = True
    """The tasks may run again if their worker is killed."""


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


class UpdateBacklog(Message, tag=108):
    """C > R: how many tasks wait behind an open request; for prestart and `ray status`."""

    request_rid: int
    backlog: int


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
    assigned: dict[str, int]
    resource_ids: dict[str, list[str]]
    placement_group_id: bytes = b""
    runtime_env: str = ""
    capture_child_tasks: bool = False


class KillWorker(Message, tag=114):
    """C > R: SIGKILL the process that holds this lease (cancel by force)."""

    worker_id: bytes
    cause: str


class NodeStats(Request, tag=115):
    """CLI > R. Answer: NodeStatsReply: JSON of what the raylet knows of itself."""


class NodeStatsReply(Reply, tag=116):
    stats: str


# ------------------------------------------------------------------ R: objects


class AllocateSlab(Request, tag=130):
    """C > R. Answer: SlabGranted, or Failed("full")."""

    size: int


class SlabGranted(Reply, tag=131):
    offset: int
    size: int


class ReleaseSlab(Message, tag=132):
    """C > R: nothing is left in the slab at `offset`."""

    offset: int


class ObjectsSealed(Message, tag=133):
    """C > R, batched: objects now readable in this node's arena. Loss: the connection's loss reclaims the slabs."""

    objects: list[tuple[bytes, int, int]]
    """(object id, offset, size)."""


class FreeObjects(Message, tag=134):
    """owner > R of a node with a copy, batched. Repeating or losing it (node gone) does no harm.

    `node_id`: where the copies are; the owner's own raylet passes it on. b"": at whoever receives this.
    """

    object_ids: list[bytes]
    node_id: bytes = b""


class SlabSpaceFreed(Message, tag=135):
    """R > C which holds the slab: these offsets are free again."""

    offsets: list[int]


class PullObject(Request, tag=136):
    """C > R: bring a copy here. Answer: ObjectLocal, or Failed("lost": no node has it, "full": no room here)."""

    object_id: bytes
    locations: list[StoreLocation]
    owner: Address


class ObjectLocal(Reply, tag=137):
    offset: int
    size: int


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


# ------------------------------------------------------------------ C > C: tasks


class TaskTemplate(Message, tag=150):
    """owner > worker, once per connection: what calls of one function, or of one actor method, have in common."""

    template_id: int
    function_key: str
    """In the key-value table (namespace "fun"); "" for an actor method."""
    function_blob: bytes
    """The pickled function, inline, so that nobody asks the GCS; b"" for a method, or if it is known to the worker."""
    name: str
    function_name: str
    """"module.qualname", as errors and the runtime context show it."""
    method: str
    num_returns: int
    """-1: streaming generator, -2: dynamic generator."""
    job_id: bytes
    concurrency_group: str = ""
    max_calls: int = 0
    retry_exceptions: bytes | None = None
    """None: never; b"": any exception; else the pickled tuple of classes, which the worker compares with."""
    backpressure: int = -1
    placement_group_id: bytes = b""
    capture_child_tasks: bool = False
    runtime_env: str = ""
    namespace: str = ""
    resources: dict[str, int] = {}
    allow_out_of_order: bool = False
    code_paths: list[str] = []
    """Where the driver's own modules are: the directory of its script, and its working directory."""
    logging: str = ""
    """How the job's processes log (see worker.job_logging); "" for no wish."""
    items_per_yield: int = 1
    """Of a streaming task: each yield is a tuple or list of so many items."""
    actor_backpressure: int = -1
    """Of an actor's method: how many items of all its streams together may be ahead of their consumers."""


class PushTask(Message, tag=151):
    """owner > worker. Loss: the connection's loss fails or retries every task pushed on it.

    Tasks of one connection start in the order in which they came (unless the actor runs concurrently).
    """

    task_id: bytes
    template_id: int
    args: bytes
    deps: list[Dep] = []
    attempt: int = 0
    contained: int = 0
    """How many refs are inside args; 0 spares the worker the book-keeping."""
    trace: bytes = b""
    items_held: int = 0
    """Streaming task that runs again: so many items the owner has already; they are not sent again."""
    items_taken: int = 0


class TaskDone(Message, tag=152):
    """worker > owner: the results, in order of their indexes, and which borrowed refs the worker still holds."""

    task_id: bytes
    results: list[Value]
    borrowed: list[bytes] = []
    failed: bool = False
    """The task raised (each result then is the error); the owner may retry if `retryable`."""
    retryable: bool = False
    duration_us: int = 0
    num_items: int = -1
    """For generators: how many items there were."""
    started_us: int = 0
    """Since the epoch."""
    worker_exits: bool = False
    """`max_calls` is reached: push nothing more, and give the lease back."""


class RecallTasks(Message, tag=153):
    """owner > worker: give back up to `count` tasks not started (newest first); answered by TasksReturned."""

    count: int


class TasksReturned(Message, tag=154):
    """worker > owner: these were not started and will not be. Also unasked, when the worker blocks or is slow."""

    task_ids: list[bytes]
    blocked: bool = False
    """The worker waits in get/wait or its task runs long: push nothing before its next TaskDone."""


class CancelTask(Message, tag=155):
    """owner > worker. Queued: dropped, answered by TaskDone with TaskCancelledError. Running: interrupted."""

    task_id: bytes
    force: bool
    recursive: bool


class GeneratorItem(Message, tag=156):
    """worker > owner: item `index` (from 1) of a streaming task."""

    task_id: bytes
    index: int
    value: Value


class GeneratorConsumed(Message, tag=157):
    """owner > worker: the consumer has taken `count` items in all; lets a producer under backpressure go on."""

    task_id: bytes
    count: int


class CancelRemoteTask(Message, tag=158):
    """holder of a borrowed ref > its owner: cancel the task that makes it."""

    object_id: bytes
    force: bool
    recursive: bool


# ------------------------------------------------------------------ C > C: objects


class GetObjects(Request, tag=170):
    """borrower > owner. Answer: ObjectValues for each id, when ready (one Reply holds those ready together)."""

    object_ids: list[bytes]
    want_value: bool = True
    """False: only tell that it is ready (wait with fetch_local=False)."""


class ObjectValues(Message, tag=171):
    """owner > borrower: values of objects asked for by GetObjects; unknown ones come as an error value."""

    object_ids: list[bytes]
    values: list[Value]


class AddBorrower(Request, tag=172):
    """borrower, or who passes the refs on to it, > owner: it holds these, once more. Answer: Done."""

    object_ids: list[bytes]
    borrower: Address


class RemoveBorrower(Message, tag=173):
    """borrower > owner: it holds these no more. Loss: a borrower whose connection is gone for good holds nothing.

    `counts`: how many times it had heard that the owner counts it, by object. So one that is on its way does not undo
    a lending that it does not know of yet.
    """

    object_ids: list[bytes]
    borrower_id: bytes
    counts: list[int]


class AddLocation(Message, tag=174):
    """C > owner: its node has a copy too now. Loss: a copy more than the owner knows, freed with its node's raylet."""

    object_id: bytes
    location: StoreLocation


class ObjectLost(Message, tag=175):
    """C or R > owner: the copy at `node_id` is gone; the owner drops the location and rebuilds if it was the last."""

    object_id: bytes
    node_id: bytes


# ------------------------------------------------------------------ R > A: runtime environments


class CreateRuntimeEnv(Request, tag=180):
    """R > A: build this environment, if it is not built. Answer: RuntimeEnvCreated, or Failed(kind="runtime_env").

    Each success is one reference, which one ReleaseRuntimeEnv gives back.
    """

    runtime_env: str
    job_id: bytes


class RuntimeEnvCreated(Reply, tag=181):
    """`context`: JSON of the `RuntimeEnvContext` with which its workers start."""

    context: str


class HoldPackages(Message, tag=183):
    """A > G: this job's tasks use these packages. Loss: they may go when nothing else holds them."""

    job_id: bytes
    uris: list[str]


class ReleaseRuntimeEnv(Message, tag=182):
    """R > A: nothing on this node uses it any more. Loss: the agent's connection is the node's; both end together."""

    runtime_env: str


# ------------------------------------------------------------------ R > Z


class Fork(Request, tag=190):
    """Answer: Forked. The child gets `env`, its output goes to files ("{pid}" in a path becomes its pid), and it runs
    the main of its role: "worker", "agent" with `argv`, or "exec": setup_worker.py with `argv`, to become a worker in
    another interpreter.
    """

    worker_id: bytes
    job_id: bytes
    env: dict[str, str]
    cwd: str
    sys_path: list[str]
    out_path: str
    err_path: str
    role: str = "worker"
    argv: list[str] = []
    log_header: bytes = b""
    """First bytes of both files."""
    env_vars: dict[str, str] = {}
    """Of the runtime environment: set after `env`, with `${NAME}` in the values replaced."""


class Forked(Reply, tag=191):
    pid: int


class ChildExited(Message, tag=192):
    """Z > R: a forked worker has ended; `status` as waitpid tells it."""

    pid: int
    status: int


def _all_messages() -> tuple[type[msgspec.Struct], ...]:
    found: list[type[msgspec.Struct]] = []

    def collect(base: type[msgspec.Struct]) -> None:
        cls: type[msgspec.Struct]
        for cls in base.__subclasses__():
            found.append(cls)
            collect(cls)

    for base in (Message, Request, Reply):
        collect(base)
    return tuple(sorted(found, key=lambda cls: int(cls.__struct_config__.tag or 0)))


ALL: tuple[type[msgspec.Struct], ...] = _all_messages()
"""Every message class, by tag."""

AnyMessage = Any
"""What a decoder returns: one of `ALL`."""
