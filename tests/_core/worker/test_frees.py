"""An owner against the object tables of nodes: words of seals, answers, copies and frees go by different connections,
in any order between them; workers are lost, nodes die, results are lost and made again. What somebody counts on is
never freed, and in the end nothing lies anywhere.

The owner is the real one (`References`, `RemoteObjects`, `Lineage`, `Strays`), and so is `ObjectTable`. Two tasks: one
makes X and Z, the other takes X and makes Y. While only the lineage keeps X its copies are freed, and X is made again
when Y is lost: so a free of X may be under way when a new X is sealed. When Z is lost, X is made again while it is
there.
"""

from collections import deque
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from ray._core.common import messages as m
from ray._core.raylet.objects import Free, ObjectTable, ReleaseExtent
from ray._core.worker.lineage import Lineage
from ray._core.worker.references import References
from ray._core.worker.remote_objects import RemoteObjects
from ray._core.worker.strays import Strays

MAKER, USER = b"m" * 24, b"u" * 24
X, Z, Y = MAKER + bytes([1, 0, 0, 0]), MAKER + bytes([2, 0, 0, 0]), USER + bytes([1, 0, 0, 0])
RESULTS = {MAKER: [X, Z], USER: [Y]}
NODES = [b"a", b"b", b"c"]


class Node:
    def __init__(self):
        self.table, self.offset, self.from_owner = ObjectTable(), 0, deque()

    def seal(self, key, attempt):
        self.offset += 4096
        self.table.add_slab(self.offset, None)
        self.table.sealed(key, self.offset + 64, 64, attempt)
        self.table.validate()

    def has(self, key):
        return key in self.table.objects

    def hear_owner(self):
        message = self.from_owner.popleft()
        if isinstance(message, m.FreeRest):
            self.table.task_over(message.task_id, message.wanted)
            gone = [(key, Free()) for key in self.table.objects if key.startswith(message.task_id)]
            gone = [(key, free) for key, free in gone if key not in message.wanted]
        else:
            gone = [(key, Free(message.attempt, message.for_good)) for key in message.object_ids]
        for key, free in gone:
            for order in self.table.free(key, free):
                assert isinstance(order, ReleaseExtent)


class Attempt:
    """A task on a worker: it is to seal, and then to answer; `unheard`: what of it its node has not heard of yet."""

    def __init__(self, record, node_id):
        self.record, self.node_id, self.number = record, node_id, record.attempt
        self.keys = RESULTS[record.task_id]
        self.unheard = deque()
        self.is_sealed = self.is_answered = False


class World:
    def __init__(self):
        self.nodes = {node_id: Node() for node_id in NODES}
        self.attempts, self.copies, self.added = [], [], deque()
        core = self.core = SimpleNamespace(
            objects={},
            worker_id=b"owner",
            address=m.Address(b"own", b"owner", "", 0, ""),
            node=SimpleNamespace(node_id=b"own"),
            keeps_lineage=True,
            config=SimpleNamespace(max_lineage_bytes=1 << 30),
            raylet=SimpleNamespace(send=self.send),
            reactor=SimpleNamespace(call_later=lambda delay_s, callback: None),
            submitter=SimpleNamespace(tasks={}, run_again=self.run_again),
        )
        core.strays, core.remote = Strays(), RemoteObjects(core)
        core.lineage, core.refs = Lineage(core), References(core)
        self.refs = {}
        for task_id, deps in (MAKER, []), (USER, [X]):
            self.refs.update(zip(RESULTS[task_id], core.refs.new_refs(RESULTS[task_id]), strict=True))
            self.start(task_id, SimpleNamespace(name="f", max_retries=-1), b"", deps, 0)

    # the owner

    def send(self, message):
        if message.node_id in self.nodes:  # others have died
            self.nodes[message.node_id].from_owner.append(message)

    def start(self, task_id, template, blob, deps, attempt):
        refs = [self.core.refs.new_ref(key) for key in deps]
        packed = SimpleNamespace(deps=[(n, ref) for n, ref in enumerate(refs)], refs=refs, blob=blob)
        record = SimpleNamespace(
            task_id=task_id, template=template, packed=packed, retries_left=-1, attempt=attempt, actor=None
        )
        self.core.refs.hold_all(refs)
        self.core.submitter.tasks[task_id] = record

    def run_again(self, kept):
        self.start(kept.task_id, kept.template, kept.blob, [key for key in kept.refs], kept.attempt)

    def finish(self, attempt):
        core, record = self.core, attempt.record
        for key in attempt.keys:
            value = m.Value(location=m.StoreLocation(attempt.node_id, 64, 64, attempt.number))
            if not record.attempt or not core.lineage.came_again(key, value):
                core.refs.accept(key, value)
        core.lineage.keep(record, attempt.keys)
        del core.submitter.tasks[record.task_id]
        refs, record.packed.refs, record.packed.deps = record.packed.refs, [], []
        core.refs.let_go_all(refs)
        del refs
        core.refs.drain()
        if record.task_id in core.strays.at_tasks:
            core.remote.task_over(record.task_id, len(attempt.keys))

    def location(self, key):
        entry = self.core.objects.get(key)
        return None if entry is None or entry.value is None else entry.value.location

    # what may happen

    def push(self, pick):
        """A task whose arguments are there is pushed to a worker."""
        busy = {id(each.record) for each in self.attempts if each.number == each.record.attempt}
        ready = [
            record
            for record in self.core.submitter.tasks.values()
            if id(record) not in busy and (record.task_id == MAKER or self.location(X) is not None)
        ]
        if ready and self.nodes:
            record = ready[pick % len(ready)]
            node_id = sorted(self.nodes)[pick // 2 % len(self.nodes)]
            self.attempts.append(Attempt(record, node_id))

    def seal(self, pick):
        """By a worker that counts, or that does not know that it does not any more."""
        able = [each for each in self.attempts if not each.is_sealed]
        if able:
            attempt = able[pick % len(able)]
            attempt.is_sealed = True
            attempt.unheard += attempt.keys

    def hear(self, pick):
        able = [each for each in self.attempts if each.unheard]
        if able:
            attempt = able[pick % len(able)]
            self.nodes[attempt.node_id].seal(attempt.unheard.popleft(), attempt.number)

    def answer(self, pick):
        able = [each for each in self.attempts if each.is_sealed and self.counts(each)]
        if able:
            attempt = able[pick % len(able)]
            attempt.is_answered = True
            self.finish(attempt)

    def run(self, pick):
        """A task from its push to its answer, of which its node has not heard all."""
        for action in self.push, self.seal, self.hear, self.answer:
            action(pick)

    def counts(self, attempt):
        """Its answer would be taken."""
        record = self.core.submitter.tasks.get(attempt.record.task_id)
        return record is attempt.record and record.attempt == attempt.number

    def lose(self, pick):
        """The owner loses the connection to a worker, which may live on, and has the task run again."""
        able = [each for each in self.attempts if self.counts(each)]
        if able:
            attempt = able[pick % len(able)]
            self.core.strays.attempt_lost(attempt.record.task_id, attempt.node_id)
            attempt.record.attempt += 1

    def free(self, pick):
        """A node hears the owner."""
        able = [node for node in self.nodes.values() if node.from_owner]
        if able:
            able[pick % len(able)].hear_owner()

    def pull(self, pick):
        """A node asks for a copy of a value that it was told of."""
        known = [key for key in (X, Y, Z) if self.location(key) is not None]
        if known and self.nodes:
            key = known[pick % len(known)]
            source, target = self.location(key), sorted(self.nodes)[pick // 2 % len(self.nodes)]
            if source.node_id in self.nodes and self.nodes[source.node_id].has(key):
                self.copies.append((key, target, source.attempt))

    def copied(self, pick):
        """A copy comes; its node tells the owner."""
        if self.copies:
            key, node_id, attempt = self.copies.pop(pick % len(self.copies))
            if node_id in self.nodes and not self.nodes[node_id].has(key):
                self.nodes[node_id].seal(key, attempt)
                if self.nodes[node_id].has(key):
                    self.added.append(m.AddLocation(key, m.StoreLocation(node_id, 64, 64, attempt), b"owner"))

    def add(self, pick):
        if self.added:
            self.core.remote.received(self.added.popleft())

    def miss(self, pick):
        """Somebody could not get a copy, which may be there all the same."""
        known = [key for key in (X, Y, Z) if self.location(key) is not None]
        if known:
            key = known[pick % len(known)]
            self.core.remote.received(m.ObjectLost(key, self.location(key).node_id))

    def die(self, pick):
        if len(self.nodes) > 1 and pick % 3 == 0:
            node_id = sorted(self.nodes)[pick % len(self.nodes)]
            del self.nodes[node_id]
            self.core.remote.node_died(node_id)
            for attempt in self.attempts:
                if attempt.node_id == node_id and self.counts(attempt):
                    self.core.strays.attempt_lost(attempt.record.task_id, node_id)
                    attempt.record.attempt += 1
            self.attempts = [each for each in self.attempts if each.node_id != node_id]

    def drop(self, pick):
        """The user drops a ref."""
        if self.refs:
            del self.refs[sorted(self.refs)[pick % len(self.refs)]]
            self.core.refs.drain()

    # what must hold

    def check(self):
        for key in X, Y, Z:
            where = self.location(key)
            if where is None or where.node_id not in self.nodes:
                continue
            under_way = [each for each in self.attempts if key in each.unheard and each.node_id == where.node_id]
            if any(each.is_answered for each in under_way):
                continue  # its word comes yet
            assert self.nodes[where.node_id].has(key), "freed although its owner counts on it"

    def settle(self):
        """All words under way arrive, and tasks that are wanted run to their end."""
        while True:
            before = self.state()
            for action in self.push, self.seal, self.hear, self.answer, self.copied, self.add, self.free:
                action(0)
                self.check()
            if self.state() == before:
                return

    def state(self):
        flags = [(each.is_sealed, len(each.unheard), each.is_answered) for each in self.attempts]
        waiting = [len(node.from_owner) for node in self.nodes.values()]
        return flags, waiting, len(self.copies), len(self.added), sorted(self.core.submitter.tasks)


ACTIONS = [
    *["run", "run", "hear", "hear", "free", "free"],
    *["push", "seal", "answer", "lose", "pull", "copied", "add", "miss", "miss", "die", "drop"],
]
BEGINNINGS = [[], [("run", 0), ("run", 0)], [("run", 0), ("hear", 0), ("run", 0), ("hear", 0), ("drop", 0)]]


@settings(max_examples=250)
@given(
    st.sampled_from(BEGINNINGS),
    st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 11)), min_size=10, max_size=40),
)
def test_what_is_wanted_stays_and_the_rest_goes(beginning, steps):
    world = World()
    for action, pick in beginning + steps:
        getattr(world, action)(pick)
        world.check()
    world.settle()
    for key in world.refs:
        world.core.remote.check(key, world.core.objects[key])  # whoever reads it looks whether its node has died
    world.settle()
    for key in world.refs:
        assert world.nodes[world.location(key).node_id].has(key), "wanted, and not there"
    while world.refs:
        world.drop(0)
        world.settle()
    assert [list(node.table.objects) for node in world.nodes.values()] == [[]] * len(world.nodes)
    assert not world.core.objects and not world.core.lineage._kept
    assert not world.core.strays.at_tasks and not world.core.strays.at_objects
