"""Calls of actors that the GCS does not know, or cannot tell of: they fail instead of waiting for ever."""

import contextlib
from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.common.config import Config
from ray._core.common.errors import ActorDiedError, ActorUnavailableError
from ray._core.store import serialization
from ray._core.worker.actor_client import ActorClient
from ray._core.worker.actors import Actors
from ray._core.worker.task_record import Packed, Record

ACTOR = b"a" * 16


class Gcs:
    """Requests are answered by the test."""

    def __init__(self):
        self.asked, self.subscribed, self.unsubscribed = [], [], []

    def subscribe(self, channel, key):
        self.subscribed.append(key)

    def unsubscribe(self, channel, key):
        self.unsubscribed.append(key)

    def request(self, request, on_reply):
        self.asked.append(on_reply)


@pytest.fixture
def core():
    """What actors need of a worker; `failed` are calls and their errors, `timers` what is due."""
    core = SimpleNamespace(lock=contextlib.nullcontext(), gcs=Gcs(), failed=[], timers=[])
    core.config = Config()
    core.submitter = SimpleNamespace(fail=lambda record, error: core.failed.append((record, error)))
    core.reactor = SimpleNamespace(call_later=lambda delay_s, call: core.timers.append(call))
    return core


def call(client):
    record = Record(b"t" * 24, SimpleNamespace(name="A.f"), Packed(b"", [], []), 0, client)
    client.submit(record)
    return record


def failure(core):
    """The one call that has failed, and its error."""
    [(record, error)] = core.failed
    core.failed.clear()
    return record, serialization.deserialize(error.blob).error


def actor(state, address=None):
    return m.ActorInfo(ACTOR, b"job1", "", "", "A", state, 0, 0, 0, address=address)


def test_calls_fail_when_the_actor_could_not_be_registered(core):
    actors = Actors(core)
    client = ActorClient(actors, ACTOR, in_order=True)
    client.is_subscribed = True
    record = call(client)
    assert not core.failed
    actors._registered(client, m.Failed(kind="gcs_away", message="It is away."))
    which, error = failure(core)
    assert which is record and isinstance(error, ActorDiedError)
    assert "could not be registered: It is away." in str(error)
    assert core.gcs.unsubscribed == [ACTOR]


def test_calls_fail_when_the_gcs_cannot_be_asked_and_a_later_call_asks_again(core):
    client = ActorClient(Actors(core), ACTOR, in_order=True)
    record = call(client)
    core.gcs.asked.pop()(m.Failed(kind="gcs_away", message="It is away."))
    which, error = failure(core)
    assert which is record and isinstance(error, ActorUnavailableError) and "It is away." in str(error)
    call(client)
    assert not core.failed and len(core.gcs.asked) == 1
    core.gcs.asked.pop()(m.ActorReply(info=None))
    assert isinstance(failure(core)[1], ActorDiedError)


def test_when_the_gcs_is_given_up_calls_of_actors_that_restart_fail(core):
    actors = Actors(core)
    client = ActorClient(actors, ACTOR, in_order=True)
    call(client)
    actors.changed(actor("PENDING_CREATION"))
    actors.gcs_given_up("It is away.")
    assert isinstance(failure(core)[1], ActorUnavailableError)
    assert core.gcs.unsubscribed == [ACTOR]


def test_an_actor_that_can_be_reached_needs_no_gcs(core):
    pushed = []
    core.peer = lambda address: "connection"
    core.submitter.push = lambda record, connection: pushed.append(record)
    actors = Actors(core)
    client = ActorClient(actors, ACTOR, in_order=True)
    first = call(client)
    actors.changed(actor("ALIVE", m.Address(b"node", b"worker", "", 0, "")))
    actors.gcs_given_up("It is away.")
    assert pushed == [first] and not core.failed


def test_while_an_actor_cannot_be_reached_the_gcs_is_asked_once_at_a_time(core):
    def peer(address):
        raise OSError

    core.peer = peer
    actors = Actors(core)
    client = ActorClient(actors, ACTOR, in_order=True)
    call(client)
    core.gcs.asked.pop()(m.ActorReply(info=actor("ALIVE")))
    actors.changed(actor("ALIVE", m.Address(b"node", b"worker", "", 0, "")))
    for _ in range(3):
        core.timers.pop()()
    assert len(core.gcs.asked) == 1
    core.gcs.asked.pop()(m.Failed(kind="gcs_away", message="It is away."))
    assert isinstance(failure(core)[1], ActorUnavailableError)
    core.timers.pop()()
    assert not core.timers and not core.gcs.asked  # nobody looks any more
