"""An actor that the GCS never took: its calls fail instead of waiting for ever."""

import contextlib
from types import SimpleNamespace

from ray._core.common import messages as m
from ray._core.common.errors import ActorDiedError
from ray._core.store import serialization
from ray._core.worker.actors import ActorClient, Actors
from ray._core.worker.submitter import Packed, Record


def test_calls_fail_when_the_actor_could_not_be_registered():
    failed, unsubscribed = [], []
    core = SimpleNamespace(
        lock=contextlib.nullcontext(),
        submitter=SimpleNamespace(fail=lambda record, error: failed.append((record, error))),
        gcs=SimpleNamespace(unsubscribe=lambda channel, key: unsubscribed.append((channel, key))),
    )
    actors = Actors(core)
    client = ActorClient(actors, b"a" * 16, in_order=True)
    client.is_subscribed = True
    record = Record(b"t" * 24, SimpleNamespace(name="A.f"), Packed(b"", [], []), 0, client)
    client.submit(record)
    assert not failed
    actors._registered(client, m.Failed(kind="gcs_away", message="It is away."))
    [(which, error)] = failed
    assert which is record
    error = serialization.deserialize(error.blob).error
    assert isinstance(error, ActorDiedError)
    assert "could not be registered: It is away." in str(error)
    assert unsubscribed == [("actor", b"a" * 16)]
