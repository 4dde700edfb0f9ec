"""Ids of everything in a cluster, as types of their own.

Floor: common, pure but for the random seed. Sizes and the way ids nest are part of Ray's public contract:
an actor id ends with its job id, a task id with its actor id, an object id is its task id and an index.
Inside the engine ids travel as plain `bytes` (hashing and comparing those is what the hot path does);
these classes are what users and the tables of the control plane see.
"""

from __future__ import annotations

import os
from typing import ClassVar, Self

JOB_ID_SIZE = 4
ACTOR_ID_SIZE = 16
TASK_ID_SIZE = 24
OBJECT_ID_SIZE = 28
PLACEMENT_GROUP_ID_SIZE = 18
UNIQUE_ID_SIZE = 28
NO_ACTOR_PREFIX = b"\xff" * (ACTOR_ID_SIZE - JOB_ID_SIZE)
"""What stands in the actor's place in the id of a normal task; the job id follows it."""


class BaseID:
    """An id of fixed size; immutable, hashable, ordered by nothing."""

    SIZE: ClassVar[int] = 0
    __slots__ = ("_hash", "_id")

    def __init__(self, id: bytes) -> None:
        if not isinstance(id, bytes):
            raise TypeError(f"Unsupported type: {type(id)}, expected bytes ({type(self).__name__})")
        if len(id) != self.SIZE:
            raise ValueError(f"ID string needs to have length {self.SIZE}, got {len(id)} ({type(self).__name__})")
        self._id = id
        self._hash = hash((type(self).__name__, id))

    @classmethod
    def from_binary(cls, id_bytes: bytes) -> Self:
        return cls(id_bytes)

    @classmethod
    def from_hex(cls, hex_id: str) -> Self:
        return cls(bytes.fromhex(hex_id))

    @classmethod
    def from_random(cls) -> Self:
        return cls(os.urandom(cls.SIZE))

    @classmethod
    def nil(cls) -> Self:
        return cls(b"\xff" * cls.SIZE)

    @classmethod
    def size(cls) -> int:
        return cls.SIZE

    def binary(self) -> bytes:
        return self._id

    def hex(self) -> str:
        return self._id.hex()

    def is_nil(self) -> bool:
        return self._id == b"\xff" * self.SIZE

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._id == other._id

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"

    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]:
        return type(self), (self._id,)


class UniqueID(BaseID):
    SIZE = UNIQUE_ID_SIZE
    __slots__ = ()


class NodeID(UniqueID):
    __slots__ = ()


class WorkerID(UniqueID):
    __slots__ = ()

    @classmethod
    def for_driver(cls, job_id: bytes) -> WorkerID:
        """The worker id of a job's driver: the job id, filled up with 0xff."""
        return cls(job_id + b"\xff" * (UNIQUE_ID_SIZE - JOB_ID_SIZE))


class FunctionID(UniqueID):
    __slots__ = ()


class ActorClassID(UniqueID):
    __slots__ = ()


class JobID(BaseID):
    SIZE = JOB_ID_SIZE
    __slots__ = ()

    @classmethod
    def from_int(cls, value: int) -> JobID:
        return cls(value.to_bytes(JOB_ID_SIZE, "little"))

    def int(self) -> int:
        return int.from_bytes(self._id, "little")


class ActorID(BaseID):
    SIZE = ACTOR_ID_SIZE
    __slots__ = ()

    @classmethod
    def of(cls, job_id: JobID) -> ActorID:
        """A new actor's id in `job_id`."""
        return cls(os.urandom(ACTOR_ID_SIZE - JOB_ID_SIZE) + job_id.binary())

    @property
    def job_id(self) -> JobID:
        return JobID(self._id[-JOB_ID_SIZE:])


class TaskID(BaseID):
    SIZE = TASK_ID_SIZE
    __slots__ = ()

    @classmethod
    def for_fake_task(cls, job_id: JobID) -> TaskID:
        """An id that no task has."""
        return cls(os.urandom(8) + NO_ACTOR_PREFIX + job_id.binary())

    def actor_id(self) -> ActorID:
        return ActorID(self._id[-ACTOR_ID_SIZE:])

    def job_id(self) -> JobID:
        return JobID(self._id[-JOB_ID_SIZE:])


class PlacementGroupID(BaseID):
    SIZE = PLACEMENT_GROUP_ID_SIZE
    __slots__ = ()

    @classmethod
    def of(cls, job_id: JobID) -> PlacementGroupID:
        return cls(os.urandom(PLACEMENT_GROUP_ID_SIZE - JOB_ID_SIZE) + job_id.binary())


class TaskIDSource:
    """Hands out task ids that no other process hands out: a random 64-bit start, counted up.

    One per process: a forked child makes its own. Two processes that each make a billion ids collide with
    a probability of about 1e-10, since their ranges would have to overlap.
    """

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = int.from_bytes(os.urandom(8), "little")

    def task_id(self, suffix: bytes) -> bytes:
        """A new task id; `suffix` is the actor's id, or `NO_ACTOR_PREFIX` and the job id."""
        self._next = n = (self._next + 1) & 0xFFFF_FFFF_FFFF_FFFF
        return n.to_bytes(8, "little") + suffix


def object_id(task_id: bytes, index: int) -> bytes:
    """The id of a task's return value number `index` (from 1), or of its `index`-th put (from 2**31)."""
    return task_id + index.to_bytes(4, "little")


def return_ids(task_id: bytes, count: int) -> list[bytes]:
    """The ids of a task's return values, in order."""
    if count == 1:
        return [task_id + _FIRST]
    return [task_id + index.to_bytes(4, "little") for index in range(1, count + 1)]


_FIRST = (1).to_bytes(4, "little")
