"""Concurrency groups of an asyncio actor: whatever is sent again or cancelled, no call is forgotten."""

import asyncio
import itertools
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from ray._core.worker.actor_runtime import LoopGroup


class Group:
    """A group whose calls end when the test says so."""

    def __init__(self, limit):
        self.started, self.refused, self.running = [], [], {}
        self._numbers = itertools.count()
        self.group = LoopGroup(limit, asyncio.get_running_loop(), self._run, self.refused.append)

    async def _run(self, job):
        self.started.append(job[0])
        done = self.running[job[0].number] = asyncio.Event()
        await done.wait()

    def submit(self, task_id):
        call = SimpleNamespace(task_id=task_id, is_canceled=False, number=next(self._numbers))
        self.group.submit((call, None, None))
        return call

    async def end_one(self):
        number = next(iter(self.running))
        self.running.pop(number).set()
        await settle()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_call_that_was_sent_again_while_it_waited_holds_nobody_back():
    async def scenario():
        group = Group(1)
        first = group.submit(b"1")
        await settle()
        group.submit(b"2")
        again, last = group.submit(b"2"), group.submit(b"3")  # its caller had lost the connection
        for _ in range(3):
            await group.end_one()
        assert group.started == [first, again, last]

    asyncio.run(scenario())


@given(st.lists(st.tuples(st.sampled_from(["submit", "cancel", "end"]), st.integers(0, 3)), max_size=20))
def test_all_calls_are_started_or_refused_in_the_end(steps):
    async def scenario():
        group, submitted = Group(2), {}
        for step, number in steps:
            task_id = bytes([number])
            if step == "submit":
                submitted[task_id] = group.submit(task_id)
            elif step == "cancel":
                group.group.cancel(task_id)
            elif group.running:
                await group.end_one()
            assert len(group.group._tasks) <= 2
            await settle()
        while group.running:
            await group.end_one()
        for call in submitted.values():
            assert call in group.started or call in group.refused

    asyncio.run(scenario())
