"""How many tasks of each name are in each state: what this process tells of them to a scraper.

Floor: worker, pure. A task counts where its owner is. The process that runs one adds it as running and takes it off
the sent ones, so that the sums over all processes are right, as Ray's are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ray._core.common.metrics import Family, Sample, Tags
from ray._core.common.task_events import TaskBatch

MOST_NAMES = 1000
"""Of so many names the ends are counted one by one; of more, which are made up at run time, together."""
OTHERS = "other tasks"
Key = tuple[str, str, bool, str]
"""Name, state, whether it is a retry, and who tells it: owner or executor."""


class EndedTasks:
    """Counts of tasks that have ended, by name and state."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()
        self._names: set[str] = set()

    def __repr__(self) -> str:
        return f"<EndedTasks of {len(self._names)} names>"

    def add(self, batch: TaskBatch) -> None:
        for name, state, is_retry in _ends(batch):
            if name not in self._names and len(self._names) >= MOST_NAMES:
                name = OTHERS
            self._names.add(name)
            self._counts[name, state, is_retry, "owner"] += 1

    def counts(self, also: TaskBatch) -> Counter[Key]:
        """With those that have not been added yet."""
        return self._counts + Counter((*end, "owner") for end in _ends(also))


def _ends(batch: TaskBatch) -> Iterable[tuple[str, str, bool]]:
    for event in batch.events:
        yield batch.kinds[event.kind].name, event.state, event.attempt > 0


def running(name: str, state: str, is_retry: bool) -> Counter[Key]:
    """A task of another process that runs here. `state`: RUNNING, or what it waits in."""
    found: Counter[Key] = Counter({(name, state, is_retry, "executor"): 1})
    found[name, "SUBMITTED_TO_WORKER", is_retry, "executor"] = -1
    return found


def tasks_family(counts: Counter[Key], job_id: bytes, tags: Tags) -> Family:
    samples = [
        Sample(
            "tasks",
            (
                ("State", state),
                ("Name", name),
                ("Source", source),
                ("IsRetry", str(int(is_retry))),
                ("JobId", job_id.hex()),
                *tags,
            ),
            count,
        )
        for (name, state, is_retry, source), count in counts.items()
        if count
    ]
    return Family("tasks", "gauge", "Tasks, by state.", samples)


def actor_family(class_name: str, state: str, job_id: bytes, tags: Tags) -> Family:
    """The actor of this process."""
    labels = (("State", state), ("Name", class_name), ("Source", "executor"), ("JobId", job_id.hex()))
    return Family("actors", "gauge", "Actors, by state.", [Sample("actors", (*labels, *tags), 1)])
