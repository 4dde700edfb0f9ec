"""Pieces of messages, never sent alone. Floor: common, pure.

See the package for the kinds of message and who is who.
"""

from __future__ import annotations

from ray._core.common.messages.base import Count, Part, Units


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
    attempt: int = 0
    """Of the task that made it: a free means copies of attempts up to one, so it never meets what was made later."""


class ContainedRef(Part, frozen=True):
    """A ref found inside a serialized value."""

    object_id: bytes
    owner: Address


class Value(Part, frozen=True):
    """An object's value on its way: either `blob` (serialized) or `location`, and the refs inside it."""

    blob: bytes | None = None
    location: StoreLocation | None = None
    is_error: bool = False
    contained: tuple[ContainedRef, ...] = ()
    """A tuple, since an empty one costs nothing: 0.1 µs of each value."""


class Dep(Part, frozen=True):
    """A top-level ref argument: put the value in place `slot` (position, or keyword) before the call.

    `owner` None: whoever pushes the task, told without words since there may be ten thousand.
    """

    slot: int | str
    object_id: bytes
    owner: Address | None
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

    resources: dict[str, Units]
    strategy: Strategy = Strategy()
    runtime_env: str = ""
    label_selector: dict[str, str] = {}
    job_id: bytes = b""
    fallback_selectors: list[dict[str, str]] = []
    """Taken in turn where `label_selector` finds no node (the option `fallback_strategy`)."""
    priority: int = 0
    """Among what the job asks for: higher first."""


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
    total: dict[str, Units]
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
    draining: bool = False
    """Nothing new is placed there; it stays so over restarts of the GCS."""
    preempted: bool = False
    """It is drained since its machine is to go: the restarts that its end costs actors do not count."""
    drain_message: str = ""
    drain_deadline_ms: int = 0


class Demand(Part, frozen=True):
    """`count` lease requests of one shape that a raylet cannot serve, and why."""

    resources: dict[str, Units]
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
    held: dict[str, Units]
    """Resources held while it lives (a default actor: none)."""
    class_key: str
    """Where the pickled class is in the key-value table (namespace "fun")."""
    spec_blob: bytes
    """What only the core worker reads: constructor arguments, method options, concurrency (see worker.actors)."""
    creation_task_id: bytes = b""
    parent_task_id: bytes = b""
    is_told: bool = True
    """Its constructor's call, to the state API."""


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
    incarnation: Count
    num_restarts: Count
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
    required: dict[str, Units] = {}
    start_time_ms: int = 0
    end_time_ms: int = 0
    preempted: bool = False
    """Its last death was that of a preempted node."""
    free_restarts: int = 0
    """How many of its restarts were due to preempted nodes; they do not count against `max_restarts`."""
    runtime_env: str = ""
    label_selector: dict[str, str] = {}
    placement_group_id: bytes = b""
    """All three as its class of scheduling has them, for the state API."""
    last_host: str = ""
    """Where it is or was last: `address` is of living actors only."""
    is_told: bool = True
    """Its constructor's call, to the state API."""


class JobInfo(Part, frozen=True):
    """A job as the GCS lists it. Times in ms since the epoch; `end_time_ms` 0: it has not ended."""

    job_id: bytes
    namespace: str
    driver: Address
    driver_pid: int
    driver_host: str
    entrypoint: str
    start_time_ms: int
    end_time_ms: int = 0
    is_dead: bool = False
    runtime_env: str = ""
    metadata: dict[str, str] = {}


class BundleSpec(Part, frozen=True):
    """A bundle of a placement group: what it reserves on one node, in fixed point."""

    index: int
    resources: dict[str, Units]
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
    attempts: Count = 0
    soft_target_node_id: bytes = b""
    infeasible: bool = False
    """It waits, and no nodes of today could hold it even if they were idle."""
    topology_label: str = ""
    """All bundles go to nodes that have the same value of this label (the option `topology_strategy`)."""
    topology_value: str = ""
    """That value, once the group has a place."""


class LogLine(Part, frozen=True):
    """Lines that one worker printed to one stream."""

    job_id: bytes
    node_ip: str
    pid: int
    name: str
    is_err: bool
    lines: list[str]
