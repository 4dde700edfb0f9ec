"""Errors that users catch."""

from ray._core.common.errors import (
    AuthenticationError,
    GetTimeoutError,
    LocalRayletDiedError,
    ObjectLostError,
    ObjectStoreFullError,
    OwnerDiedError,
    RayError,
    RaySystemError,
    RayTaskError,
    TaskCancelledError,
    TaskUnschedulableError,
    UnserializableException,
    WorkerCrashedError,
)

__all__ = [
    "AuthenticationError",
    "GetTimeoutError",
    "LocalRayletDiedError",
    "ObjectLostError",
    "ObjectStoreFullError",
    "OwnerDiedError",
    "RayError",
    "RaySystemError",
    "RayTaskError",
    "TaskCancelledError",
    "TaskUnschedulableError",
    "UnserializableException",
    "WorkerCrashedError",
]
