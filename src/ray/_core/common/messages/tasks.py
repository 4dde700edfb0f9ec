"""Between core workers: tasks, their results, the objects they borrow. Floor: common, pure.

See the package for the kinds of message and who is who.
"""

from __future__ import annotations

from ray._core.common.messages.base import Message, Reply, Request
from ray._core.common.messages.parts import Address, Dep, StoreLocation, Value

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
    detached_actors: bool = False
    """Whether actors of the job outlive it when their options do not say."""
    items_per_yield: int = 1
    """Of a streaming task: each yield is a tuple or list of so many items."""
    actor_backpressure: int = -1
    """Of an actor's method: how many items of all its streams together may be ahead of their consumers."""
    runs_once: bool = False
    """A task that is not retried (max_retries=0)."""
    keeps_lineage: bool = True
    """Whether lost objects of the job are made again."""
    is_told: bool = True
    """To the state API and the timeline."""


class PushTask(Message, tag=151):
    """owner > worker. Loss: the connection's loss fails or retries every task pushed on it.

    Tasks of one connection start in the order in which they came (unless the actor runs concurrently).
    """

    task_id: bytes
    template_id: int
    args: bytes
    deps: list[Dep] = []
    attempt: int = 0
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


class ExpireTask(Request, tag=162):
    """owner > worker: the call's timeout is over. Cancels it, and what it has submitted, as CancelTask does.

    Answer: TaskExpired, before anything comes of the cancelling; so a TaskDone that comes first had been sent before.
    """

    task_id: bytes


class TaskExpired(Reply, tag=163):
    """How far the call had come."""

    started_us: int = 0
    """Since the epoch; 0: it does not run here (yet, or any more)."""
    is_interrupted: bool = False
    """False for a running method of an actor that is no coroutine: that goes on."""


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
    """R > owner, by the raylet of the owner's node: a copy was brought to this node too. Loss: one of these has ended.

    `owner_id`: to whom it goes. The one that brought the copy tells of it, since whoever it was brought for may die.
    """

    object_id: bytes
    location: StoreLocation
    owner_id: bytes


class ObjectLost(Message, tag=175):
    """C or R > owner: the copy at `node_id` is gone; the owner drops the location and rebuilds if it was the last."""

    object_id: bytes
    node_id: bytes
