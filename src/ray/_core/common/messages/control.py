"""What the GCS is told and tells: connections, nodes, resources, pub/sub, jobs, key-value. Floor: common, pure.

See the package for the kinds of message and who is who.
"""

from __future__ import annotations

from ray._core.common.messages.base import Balance, Message, Part, Reply, Request, Units
from ray._core.common.messages.parts import ActorInfo, Address, Demand, JobInfo, LogLine, NodeInfo, PlacementGroupInfo

# ------------------------------------------------------------------ every connection


class Hello(Message, tag=1):
    """First message of whoever connected. role: driver, worker, raylet, bulk, agent, cli. Lost with its connection."""

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
    """G > R, W > W, CLI > any: are you there?

    `missed`: how many health checks before this one had no answer in time; -1: this is none.
    """

    missed: int = -1


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
    living_jobs: list[bytes]
    """A raylet that reconnects ends the workers of others: nobody tells it again that they have ended."""


class CheckNode(Request, tag=21):
    """R > G, when no ping has come for long: does this node count as alive? Done, or Failed("node_dead")."""

    node_id: bytes


class UnregisterNode(Request, tag=12):
    """R or CLI > G: the node leaves. Answer: Done."""

    node_id: bytes
    reason: str
    message: str


class ListNodes(Request, tag=13):
    """any > G. Answer: NodeList; with `after`, only once there is a newer one than the list of that version."""

    after: int = 0


class NodeList(Reply, tag=14):
    nodes: list[NodeInfo]
    version: int = 0
    """Of the list: grows when a node joins, drains or dies; of one life of the GCS."""


class ReportResources(Message, tag=15):
    """R > G, at a change, at most each `resource_report_interval_ms`. Loss: the next report is complete in itself."""

    node_id: bytes
    version: int
    available: dict[str, Balance]
    total: dict[str, Units]
    demands: list[Demand]


class NodeView(Part, frozen=True):
    """What schedulers know of a node; up to one report interval old."""

    node_id: bytes
    host: str
    raylet_port: int
    raylet_path: str
    total: dict[str, Units]
    available: dict[str, Balance]
    labels: dict[str, str]
    version: int
    alive: bool = True
    draining: bool = False
    is_head: bool = False


class ResourceViews(Message, tag=16):
    """G > R subscribers of channel "resources": views that changed, also of nodes that are new, drain, or have died.
    Loss: sent whole at (re)subscription."""

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
    """When the node will be gone, since 1970; only told to who asks."""


class CollectGarbage(Message, tag=22):
    """C or R > G: everywhere; G > all R: on your node; R > C: you. Loss: it is wanted again if memory stays short."""


class SetDraining(Message, tag=20):
    """G > R: place nothing new here, and end when nothing is left. Loss: it is told again when the node registers.

    `reason`, `message`: what to end with.
    """

    reason: str = "EXPECTED_TERMINATION"
    message: str = ""


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
    """any > G. Loss: the subscriptions of a closed connection end with it."""

    channel: str
    key: bytes = b""


class NodeChanged(Message, tag=32):
    """G > subscribers of channel "node": one has died. Loss: all dead nodes are sent at (re)subscription."""

    info: NodeInfo


class ActorChanged(Message, tag=33):
    """G > subscribers of channel "actor". Loss: the state of then is sent at (re)subscription."""

    info: ActorInfo


class JobChanged(Message, tag=34):
    """G > subscribers of channel "job". Loss: a raylet that registers again hears which jobs live."""

    info: JobInfo


class GroupChanged(Message, tag=35):
    """G > subscribers of channel "group". Loss: the state of then is sent at (re)subscription."""

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


class StorageTrouble(Message, tag=39):
    """G > drivers, workers, CLI: its storage takes no rows at the moment, so answers to what changes something wait.
    `text` says why; "": it takes them again. Loss: said again at the next connection."""

    text: str


# ------------------------------------------------------------------ G: jobs, key-value


class RegisterJob(Request, tag=40):
    """driver > G. Answer: JobRegistered. The job ends with this connection."""

    namespace: str
    driver: Address
    driver_pid: int
    driver_host: str
    entrypoint: str
    runtime_env: str = ""
    metadata: dict[str, str] = {}
    job_id: bytes = b""
    """Set by a driver that reconnects: its job goes on. Failed("job_dead"): the GCS has given it up."""


class JobRegistered(Reply, tag=41):
    job_id: bytes
    session_name: str
    config: str


class ListJobs(Request, tag=43):
    """any > G. Answer: JobList, the living and the newest of those that have ended."""


class JobList(Reply, tag=44):
    jobs: list[JobInfo]


class KvPut(Request, tag=45):
    """any > G. Answer: KvCount: 1 when the key is new; sent again without `overwrite`, 0 for its own value."""

    namespace: str
    key: bytes
    value: bytes
    overwrite: bool = True


class KvGet(Request, tag=46):
    """any > G. Answer: KvValue."""

    namespace: str
    key: bytes
    wait: bool = False
    """Answer only once the key exists."""


class KvValue(Reply, tag=47):
    value: bytes | None


class KvDel(Request, tag=48):
    """any > G. Answer: KvCount: how many keys went."""

    namespace: str
    key: bytes
    by_prefix: bool = False


class KvExists(Request, tag=49):
    """any > G. Answer: KvCount: 1 or 0."""

    namespace: str
    key: bytes


class KvKeys(Request, tag=50):
    """any > G. Answer: KvKeyList, in no order."""

    namespace: str
    prefix: bytes = b""


class KvKeyList(Reply, tag=51):
    keys: list[bytes]


class KvCount(Reply, tag=52):
    count: int
