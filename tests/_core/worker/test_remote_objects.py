"""What the owner of an object makes of a pull's end, in whatever order it hears of losses: who waits is told once the
value can be read, and not before."""

from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.worker.objects import Entry
from ray._core.worker.remote_objects import RemoteObjects
from ray._core.worker.strays import Strays

KEY = b"k" * 28
HERE = b"here"
OLD, NEW = (m.Value(location=m.StoreLocation(node, 64, 1000)) for node in (b"old", b"new"))


class Arrival:
    fails_fast = True

    def __init__(self):
        self.told = []

    def arrived(self):
        self.told.append("arrived")

    def finish(self):
        self.told.append("finish")


class World:
    """An owner with one object whose value lies on another node. `pulls`: what its raylet was asked for."""

    def __init__(self):
        self.pulls = []
        self.entry = Entry(None)
        self.entry.value = OLD
        address = m.Address(b"n" * 16, b"w" * 16, "", 0, "")
        core = SimpleNamespace(
            objects={KEY: self.entry},
            node=SimpleNamespace(node_id=HERE),
            address=address,
            worker_id=address.worker_id,
            raylet=SimpleNamespace(request=lambda request, answered: self.pulls.append((request.locations, answered))),
            watch_nodes=lambda: None,
            strays=Strays(),
            lineage=SimpleNamespace(make_again=self._make_again),
        )
        self.remote = RemoteObjects(core)
        self.arrival = Arrival()
        self.entry.arrivals = [self.arrival]
        self.remote.bring(KEY, self.entry)

    def _make_again(self, key, entry, loss):
        entry.value, entry.here, entry.copies = None, None, []

    def lose(self, value):
        """Somebody else could not read it there."""
        self.remote.received(m.ObjectLost(KEY, value.location.node_id))

    def answer(self, reply):
        _, answered = self.pulls.pop(0)
        answered(reply)


@pytest.fixture
def world():
    return World()


def test_a_copy_that_comes_here_is_there_for_who_waits(world):
    world.answer(m.ObjectLocal(128, 1000))
    assert world.arrival.told == ["arrived"]
    assert world.remote.is_here(world.entry)


def test_nobody_is_told_of_a_copy_of_what_counts_as_lost_by_now(world):
    """They would find no value: a `get` said that its time was over when it was not."""
    world.lose(OLD)
    world.answer(m.ObjectLocal(128, 1000))
    assert world.arrival.told == []
    world.entry.value = NEW
    world.remote.bring(KEY, world.entry)
    world.answer(m.ObjectLocal(256, 1000))
    assert world.arrival.told == ["arrived"]
    assert world.remote.is_here(world.entry)


def test_what_was_made_again_while_its_old_place_was_asked_is_brought_from_the_new_one(world):
    """Else who waits for it would wait forever."""
    world.lose(OLD)
    world.entry.value = NEW
    world.remote.bring(KEY, world.entry)  # one is under way
    world.answer(m.Failed("lost", ""))
    assert [places for places, _ in world.pulls] == [[NEW.location]]
    world.answer(m.ObjectLocal(256, 1000))
    assert world.arrival.told == ["arrived"]


def test_an_error_that_had_to_be_brought_ends_the_wait_for_others(world):
    world.entry.value = m.Value(location=OLD.location, is_error=True)
    world.answer(m.ObjectLocal(128, 1000))
    assert world.arrival.told == ["finish"]
