"""Deletes packages and functions from the key-value table when nobody needs them. Floor: gcs, shell.

It hears of jobs and actors as any subscriber does (`publisher.Sink`), of uploads from the key-value service, and of
what tasks use from the nodes' agents.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

from ray._core.common import messages as m
from ray._core.common.packages import FUNCTIONS, PackageTable, functions_of, is_package, package_of, packages_of
from ray._core.wire import aio

logger = logging.getLogger(__name__)
PIN_VARIABLE = "RAY_RUNTIME_ENV_TEMPORARY_REFERENCE_EXPIRATION_S"
PIN_S = 600.0


class PackageService:
    """Args:
    delete: forgets a package of the table's namespace "", whole or in parts.
    delete_functions: forgets the functions of the namespace "fun" whose keys begin with a prefix.
    actor_env: runtime environment of an actor, by its id.
    living_jobs: ids of the jobs that have not ended.
    """

    def __init__(
        self,
        delete: Callable[[bytes], object],
        delete_functions: Callable[[bytes], object],
        actor_env: Callable[[bytes], str],
        living_jobs: Callable[[], set[bytes]],
    ) -> None:
        self.table = PackageTable()
        self._delete = delete
        self._delete_functions = delete_functions
        self._actor_env = actor_env
        self._living_jobs = living_jobs
        self._pin_s = float(os.environ.get(PIN_VARIABLE, PIN_S))

    def handlers(self) -> dict[type, Callable[[aio.Connection, Any], None]]:
        return {m.HoldPackages: lambda _, message: self._hold(message)}

    def uploaded(self, namespace: str, key: bytes) -> None:
        """A key of the table has a value."""
        if not is_package(namespace, key) or self._pin_s <= 0:
            return
        loop = asyncio.get_running_loop()
        self.table.pin(package_of(key), loop.time() + self._pin_s)
        loop.call_later(self._pin_s + 0.001, self._expire)

    def restore(self, keys: Iterable[bytes], jobs: Iterable[m.JobInfo], actors: Iterable[m.ActorInfo]) -> None:
        """After a restart of the GCS: what was uploaded before counts as uploaded now."""
        for key in keys:
            self.uploaded("", key)
        for job in jobs:
            self.changed(m.JobChanged(job))
        for actor in actors:
            self.changed(m.ActorChanged(actor))

    # ---------------------------------------------------------- listener of the publisher

    def changed(self, message: Any) -> None:
        """A job or an actor has changed."""
        match message:
            case m.JobChanged(info) if info.is_dead:
                self._forget(self.table.release(info.job_id))
            case m.JobChanged(info):
                self.table.hold(info.job_id, [functions_of(info.job_id), *packages_of(info.runtime_env)])
            case m.ActorChanged(info) if info.detached and info.state == "DEAD":
                self._forget(self.table.release(info.actor_id))
            case m.ActorChanged(info) if info.detached:
                packages = packages_of(self._actor_env(info.actor_id))
                self.table.hold(info.actor_id, [functions_of(info.job_id), *packages])

    def _hold(self, message: m.HoldPackages) -> None:
        if message.job_id in self._living_jobs():
            self.table.hold(message.job_id, message.uris)

    def _expire(self) -> None:
        self._forget(self.table.expire(asyncio.get_running_loop().time()))

    def _forget(self, uris: list[str]) -> None:
        for uri in uris:
            if uri.startswith(FUNCTIONS):
                self._delete_functions(f"{uri.removeprefix(FUNCTIONS)}:".encode())
            else:
                logger.info("Package %s is not needed any more.", uri)
                self._delete(uri.encode())
