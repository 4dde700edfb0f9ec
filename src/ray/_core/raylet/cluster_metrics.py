"""Gauges of actors and placement groups, from the GCS's tables. Floor: raylet, pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ray._core.common import messages as m
from ray._core.common.metrics import Family, Sample, Tags
from ray._core.common.naming import short_name

_CREATION = {
    "DEPENDENCIES_UNREADY": "PENDING_ARGS_AVAIL",
    "PENDING_CREATION": "PENDING_NODE_ASSIGNMENT",
    "ALIVE": "FINISHED",
}
"""The state of the task that creates an actor, by the actor's own; else the actor has ended, and so had the task."""


def cluster_families(actors: Iterable[m.ActorInfo], groups: Iterable[m.PlacementGroupInfo], tags: Tags) -> list[Family]:
    """Of a living actor its own process tells besides whether it is idle."""
    states = Counter((short_name(each.class_name), each.state, each.job_id) for each in actors)
    creations: Counter[tuple[str, str, bytes]] = Counter()
    actor_samples = []
    for (name, state, job_id), count in states.items():
        creations[f"{name}.__init__", _CREATION.get(state, "FINISHED"), job_id] += count
        labels = (("State", state), ("Name", name), ("Source", "gcs"), ("JobId", job_id.hex()))
        actor_samples.append(Sample("actors", (*labels, *tags), count))
    task_samples = [
        Sample(
            "tasks",
            (("State", state), ("Name", name), ("Source", "gcs"), ("IsRetry", "0"), ("JobId", job_id.hex()), *tags),
            count,
        )
        for (name, state, job_id), count in creations.items()
    ]
    group_states = Counter(group.state for group in groups)
    return [
        Family("actors", "gauge", "Actors, by state.", actor_samples),
        Family("tasks", "gauge", "Tasks, by state.", task_samples),
        Family(
            "placement_groups",
            "gauge",
            "Placement groups, by state.",
            [Sample("placement_groups", (("State", state), *tags), count) for state, count in group_states.items()],
        ),
    ]
