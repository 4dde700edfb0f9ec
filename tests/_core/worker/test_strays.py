"""What attempts leave behind whose answers never came is freed, and what somebody wants is not: in whatever order
workers die and words arrive. `Strays` is the owner's table, `ObjectTable` the one of each node."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from ray._core.common.messages import ANY_ATTEMPT
from ray._core.raylet.objects import Free, ObjectTable
from ray._core.worker.strays import Strays

TASK = b"t" * 24
ITEMS = [TASK + bytes([number, 0, 0, 0]) for number in (1, 2)]
NODES = [b"m", b"n"]


def test_nothing_is_told_of_a_task_without_lost_attempts():
    strays = Strays()
    assert strays.task_over(TASK, ITEMS) == set()
    assert strays.gone(ITEMS[0]) == set()
    assert not strays.at_objects


def test_what_is_wanted_is_freed_with_the_object_and_the_rest_at_the_end_of_the_task():
    strays = Strays()
    strays.attempt_lost(TASK, b"n")
    strays.attempt_lost(TASK, b"m")
    assert strays.task_over(TASK, ITEMS[:1]) == {b"n", b"m"}
    assert strays.gone(ITEMS[0]) == {b"n", b"m"}
    assert not strays.at_tasks and not strays.at_objects


class Attempt:
    """A worker with the task: seals results, says what it has sealed, dies or lives on without its connection."""

    def __init__(self, number, node):
        self.number, self.node, self.sealed = number, node, 0
        self.to_node = deque()

    def seal(self):
        self.to_node.append(ITEMS[self.sealed])
        self.sealed += 1


class World:
    """An owner, two nodes, one task; the test says what happens next. The owner wants what is in `wanted`, which lies
    where `places` says once the task has been answered."""

    def __init__(self):
        self.tables = {node: ObjectTable() for node in NODES}
        self.strays, self.attempts, self.offset = Strays(), [], 0
        self.wanted, self.places = set(ITEMS), {}
        self.to_nodes = {node: deque() for node in NODES}
        self.is_over = False
        self.push(0)

    @property
    def current(self):
        return self.attempts[-1]

    def push(self, pick):
        self.attempts.append(Attempt(len(self.attempts), NODES[pick % 2]))

    # what may happen

    def seal(self, pick):
        """By the worker that counts, or by one that does not know that it does not count any more."""
        able = [each for each in self.attempts if each.sealed < len(ITEMS)]
        if able:
            able[pick % len(able)].seal()

    def answer(self, _):
        if not self.is_over and self.current.sealed == len(ITEMS):
            self.places = dict.fromkeys(self.wanted, self.current.node)
            self.to_nodes[self.current.node] += [("free", key) for key in ITEMS if key not in self.wanted]
            self.over()

    def lose(self, pick):
        """The owner loses the connection, and tries again on some node, or gives the task up."""
        if self.is_over:
            return
        self.strays.attempt_lost(TASK, self.current.node)
        if pick % 3 == 2 or len(self.attempts) == 4:
            self.over()
        else:
            self.push(pick)

    def over(self):
        self.is_over = True
        kept = sorted(self.wanted)
        for node in self.strays.task_over(TASK, kept):
            self.to_nodes[node].append(("rest", kept))

    def drop(self, pick):
        """The user drops a ref."""
        if self.wanted:
            key = sorted(self.wanted)[pick % len(self.wanted)]
            self.wanted.discard(key)
            nodes = self.strays.gone(key)
            if key in self.places:
                nodes = nodes | {self.places[key]}
            for node in nodes:
                self.to_nodes[node].append(("free", key))

    def hear(self, pick):
        """A node reads what some worker has said."""
        speaking = [each for each in self.attempts if each.to_node]
        if speaking:
            attempt = speaking[pick % len(speaking)]
            self.offset += 4096
            table = self.tables[attempt.node]
            table.add_slab(self.offset, f"worker {attempt.number}")
            table.sealed(attempt.to_node.popleft(), self.offset + 64, 64)

    def carry(self, pick):
        """A node reads what the owner has said."""
        waiting = [node for node in NODES if self.to_nodes[node]]
        if waiting:
            node = waiting[pick % len(waiting)]
            kind, what = self.to_nodes[node].popleft()
            table = self.tables[node]
            if kind == "free":
                table.free(what, Free(ANY_ATTEMPT))
            else:
                table.task_over(TASK, what)
                for key in set(table.objects).difference(what):
                    table.free(key)

    def check(self):
        for key in self.wanted & self.places.keys():
            attempt = self.current
            if key not in attempt.to_node:  # else the word of it is under way
                assert key in self.tables[attempt.node].objects, "freed although it is wanted"

    def settle(self):
        while any(each.to_node for each in self.attempts) or any(self.to_nodes.values()):
            self.hear(0)
            self.carry(0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["seal", "seal", "seal", "answer", "lose", "drop", "hear", "hear", "carry"]), st.integers(0, 7)
    ),
    min_size=15,
    max_size=40,
)


@settings(max_examples=500)
@given(STEPS)
def test_in_the_end_nothing_lies_anywhere_and_what_is_wanted_was_never_freed(steps):
    world = World()
    for action, pick in steps:
        getattr(world, action)(pick)
        world.check()
    if not world.is_over:
        world.lose(2)
    world.settle()
    world.check()
    while world.wanted:
        world.drop(0)
    world.settle()
    assert [table.objects for table in world.tables.values()] == [{}, {}]
    assert not world.strays.at_tasks and not world.strays.at_objects
