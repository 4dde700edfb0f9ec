"""Borrowing among three processes: whatever the order in which messages between different pairs arrive."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from ray._core.common import messages as m
from ray._core.worker.objects import Entry, Lending
from ray._core.worker.references import References
from ray._core.worker.strays import Strays

KEY = b"k" * 28


class Net:
    """Ordered queues between each two processes; the test says which is served next."""

    def __init__(self):
        self.processes = {}
        self.queues = {}

    def deliver(self, pair):
        sender, message, on_reply = self.queues[pair].popleft()
        self.processes[pair[1]].received(sender, message, on_reply)

    def waiting(self):
        return sorted(pair for pair, queue in self.queues.items() if queue)

    def settle(self):
        while self.waiting():
            self.deliver(self.waiting()[0])


class Link:
    """One process's connection to another."""

    def __init__(self, net, here, there):
        self.peer = net.processes[there].address
        self._net, self._here, self._there = net, here, there

    def send(self, message, on_reply=None):
        self._net.queues.setdefault((self._here, self._there), deque()).append((self._here, message, on_reply))

    def request(self, message, on_reply):
        self.send(message, on_reply)

    def reply(self, request, reply):
        self.send(reply, request.on_reply)


class Process:
    """What `Lending` needs of a core worker; freeing is the core worker's own."""

    def __init__(self, net, name):
        self.net, self.worker_id = net, name
        self.address = m.Address(b"", name, "", 0, "")
        self.objects = {}
        self.lending = Lending(self)
        self.refs = References(self)
        self.strays = Strays()
        self.freed_while_needed = False
        net.processes[name] = self

    def watch_node_of(self, worker_id): ...

    def peer(self, address):
        return Link(self.net, self.worker_id, address.worker_id)

    def received(self, sender, message, on_reply):
        link = Link(self.net, self.worker_id, sender)
        if isinstance(message, m.AddBorrower):
            request = message
            link.reply = lambda _, reply: link.send(reply, on_reply)
            self.lending.register_borrower(link, request)
        elif isinstance(message, m.RemoveBorrower):
            self.lending.returned(message)
        elif isinstance(message, m.Done):
            if on_reply is not None:
                on_reply(message)
        else:
            self.arrived(message)

    # what tasks and results do

    def arrived(self, owner):
        """A value with the ref inside has come; its sender has seen to it that the owner counts this process."""
        entry = self.objects.get(KEY)
        if owner.worker_id == self.worker_id:
            assert entry is not None, "the owner freed what is under way"
            entry.local += 1
            return
        if entry is None:
            entry = self.lending.borrow(KEY, owner)
        self.lending.registered(KEY, entry)
        entry.local += 1

    def pass_on(self, to):
        entry = self.objects[KEY]
        owner = entry.owner or self.address
        link = self.peer(self.net.processes[to].address)
        if owner.worker_id == self.worker_id:
            self.lending.lend(KEY, to)
            link.send(owner)
        elif owner.worker_id == to:
            link.send(owner)  # what this process holds is given back behind it, on the same connection
        else:
            self.lending.register(KEY, owner, self.net.processes[to].address, lambda: link.send(owner))

    def drop(self):
        entry = self.objects[KEY]
        entry.local -= 1
        self.refs.maybe_free(KEY, entry)

    def holds(self):
        return KEY in self.objects and self.objects[KEY].local > 0


NAMES = [b"A", b"B", b"C"]
WHAT = st.sampled_from(["pass", "drop", "drop", "deliver", "deliver"])
STEPS = st.lists(st.tuples(WHAT, st.integers(0, 5), st.integers(0, 5)), min_size=8, max_size=40)


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_an_object_lives_while_anybody_holds_it_and_no_longer(steps):
    net = Net()
    owner, *_ = (Process(net, name) for name in NAMES)
    entry = owner.objects[KEY] = Entry(None)
    entry.local = 1
    for what, first, second in steps:
        holders = [process for _, process in sorted(net.processes.items()) if process.holds()]
        if what == "deliver" and net.waiting():
            net.deliver(net.waiting()[first % len(net.waiting())])
        elif what == "pass" and holders:
            sender = holders[first % len(holders)]
            others = [name for name in NAMES if name != sender.worker_id]
            sender.pass_on(others[second % 2])
        elif what == "drop" and holders:
            holders[first % len(holders)].drop()
        if any(process.holds() for process in net.processes.values()):
            assert KEY in owner.objects, "freed although somebody holds it"
    net.settle()
    for process in net.processes.values():
        while process.holds():
            process.drop()
        net.settle()
    assert [name for name, process in net.processes.items() if KEY in process.objects] == []
    assert not owner.lending.has_borrowers()


def test_the_end_of_a_borrower_gives_back_all_that_it_held():
    net = Net()
    owner, _, _ = (Process(net, name) for name in NAMES)
    owner.objects[KEY] = Entry(None)
    owner.lending.lend(KEY, b"B")
    owner.lending.lend(KEY, b"B")
    owner.lending.lend(KEY, b"C")
    owner.lending.peer_gone(b"B")
    assert owner.objects[KEY].lent == {b"C": 1}
    owner.lending.peer_gone(b"C")
    assert KEY not in owner.objects


def test_what_a_dead_owner_never_told_becomes_an_error():
    failed = []
    net = Net()
    _, borrower, _ = (Process(net, name) for name in NAMES)
    borrower.refs.fail = lambda key, error: failed.append((key, type(error).__name__))
    borrower.lending.borrow(KEY, net.processes[b"A"].address)
    borrower.lending.peer_gone(b"C")
    assert failed == []
    borrower.lending.peer_gone(b"A")
    assert failed == [(KEY, "OwnerDiedError")]


def test_the_end_of_an_owner_fails_what_is_left_of_its_objects():
    """The failure of one may end a task that was the last to need another."""
    net = Net()
    owner, borrower = Process(net, b"A"), Process(net, b"B")
    first, freed, last = b"1" * 28, b"2" * 28, b"3" * 28
    for key in (first, freed, last):
        borrower.lending.borrow(key, owner.address).local = 1
    failed = []

    def fail(key, error):
        failed.append(key)
        for other in (first, freed, last):
            if other not in (key, *failed) and len(borrower.objects) == 3:
                borrower.objects[other].local = 0
                borrower.refs.maybe_free(other, borrower.objects[other])

    borrower.refs.fail = fail
    borrower.lending.peer_gone(b"A")
    assert len(failed) == 2
