"""Actors that kill parts of a cluster while a test's work goes on, by the names that Ray's tests know."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Hashable
from typing import Any

import ray
from ray._private import process_tests
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

Victim = tuple[Hashable, ...]


class ResourceKillerActor:
    """Kills until it has killed enough, or is stopped. What it kills is told by its subclasses.

    Args:
        head_node_id: in hex; of the node that is spared.
        kill_interval_s: between two rounds.
        kill_delay_s: before the first.
        max_to_kill: after so many it stops by itself; None: never.
        batch_size_to_kill: in a round.
        kill_filter_fn: makes a predicate, anew for each round; who does not pass is spared.
    """

    def __init__(
        self,
        head_node_id: str,
        kill_interval_s: float = 60,
        kill_delay_s: float = 0,
        max_to_kill: int | None = 2,
        batch_size_to_kill: int = 1,
        kill_filter_fn: Callable[[], Callable[[Any], bool]] | None = None,
    ) -> None:
        self.head_node_id = head_node_id
        self.kill_interval_s = kill_interval_s
        self.kill_delay_s = kill_delay_s
        self.max_to_kill = max_to_kill
        self.batch_size_to_kill = batch_size_to_kill
        self.kill_filter_fn = kill_filter_fn
        self.killed: set[Hashable] = set()
        self.done = asyncio.Event()
        self._is_running = False

    def ready(self) -> None:
        """Answers once the actor is there."""

    async def run(self) -> None:
        """Returns when it has killed enough, or `stop_run` was called."""
        self._is_running = True
        try:
            wait_s = self.kill_delay_s + self.kill_interval_s
            while not await self._is_stopped_within(wait_s):
                await asyncio.get_running_loop().run_in_executor(None, self._round)
                if self.max_to_kill is not None and len(self.killed) >= self.max_to_kill:
                    break
                wait_s = self.kill_interval_s
        finally:
            self._is_running = False

    async def stop_run(self) -> bool:
        """Whether there was something to stop."""
        was_running = self._is_running
        self.done.set()
        return was_running

    async def get_killed_nodes(self) -> set[Hashable]:
        """Ids of what was killed."""
        return self.killed

    async def _is_stopped_within(self, timeout_s: float) -> bool:
        try:
            await asyncio.wait_for(self.done.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def _round(self) -> None:
        for victim in self._find_resources_to_kill():
            if self._kill_resource(*victim):
                self.killed.add(victim[0])

    def _chosen(self, candidates: list[Any]) -> list[Any]:
        """Of those that the filter lets pass, at random."""
        passes = self.kill_filter_fn() if self.kill_filter_fn is not None else None
        left = [each for each in candidates if passes is None or passes(each)]
        return random.sample(left, min(self.batch_size_to_kill, len(left)))

    def _find_resources_to_kill(self) -> list[Victim]:
        """Id first, then what else `_kill_resource` takes."""
        raise NotImplementedError

    def _kill_resource(self, *args: Any) -> bool:
        """Whether it did."""
        raise NotImplementedError


class NodeKillerBase(ResourceKillerActor):
    """Of living nodes but the head; the filter gets rows of `ray.nodes()`."""

    def _find_resources_to_kill(self) -> list[Victim]:
        rows = [row for row in ray.nodes() if row["Alive"] and row["NodeID"] != self.head_node_id]
        return [(row["NodeID"], row["NodeManagerAddress"], row["NodeManagerPort"]) for row in self._chosen(rows)]


class _RayletKiller(NodeKillerBase):
    def _kill_resource(self, node_id: str, *_: Any) -> bool:
        try:
            process_tests.end_raylet(node_id, graceful=False)
        except (ValueError, ProcessLookupError):  # it has died by itself since it was chosen
            return False
        return True


class _WorkerKillerActor(ResourceKillerActor):
    """Of workers that run tasks now; the filter gets rows of `list_tasks`."""

    def _find_resources_to_kill(self) -> list[Victim]:
        from ray.util.state import list_tasks

        mine = ray.get_runtime_context().get_worker_id()
        rows = list_tasks(filters=[("state", "=", "RUNNING")], limit=10_000, detail=True)
        others = [row for row in rows if row["worker_pid"] and row["worker_id"] != mine]
        return [(row["task_id"], row["worker_pid"], row["node_id"]) for row in self._chosen(others)]

    def _kill_resource(self, _: str, pid: int, node_id: str) -> bool:
        there = NodeAffinitySchedulingStrategy(node_id, soft=False)
        return bool(ray.get(_kill.options(scheduling_strategy=there).remote(pid)))


@ray.remote(num_cpus=0, max_retries=0)
def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


RayletKiller = ray.remote(num_cpus=0)(_RayletKiller)
WorkerKillerActor = ray.remote(num_cpus=0)(_WorkerKillerActor)


def get_and_run_resource_killer(
    resource_killer_cls: Any,
    kill_interval_s: float,
    namespace: str | None = None,
    lifetime: str | None = None,
    no_start: bool = False,
    max_to_kill: int | None = 2,
    batch_size_to_kill: int = 1,
    kill_delay_s: float = 0,
    kill_filter_fn: Callable[[], Callable[[Any], bool]] | None = None,
) -> Any:
    """A killer on this driver's node, at work unless `no_start`. See `ResourceKillerActor`; needs a session."""
    assert ray.is_initialized(), "The API is only available when Ray is initialized."
    here = ray.get_runtime_context().get_node_id()
    killer = resource_killer_cls.options(
        scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
        namespace=namespace,
        name="ResourceKiller",
        lifetime=lifetime,
    ).remote(
        here,
        kill_interval_s=kill_interval_s,
        kill_delay_s=kill_delay_s,
        max_to_kill=max_to_kill,
        batch_size_to_kill=batch_size_to_kill,
        kill_filter_fn=kill_filter_fn,
    )
    ray.get(killer.ready.remote())
    if not no_start:
        killer.run.remote()
    return killer
