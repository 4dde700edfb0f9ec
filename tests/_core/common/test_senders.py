"""Who may send what: the whole matrix is walked, each message by each role to each receiver."""

import asyncio
from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.common.config import Config
from ray._core.common.messages import senders
from ray._core.gcs.server import GcsServer
from ray._core.wire import aio
from ray._core.worker.core import CoreWorker

SENT = [kind for kind in m.ALL if not issubclass(kind, m.Reply) and kind is not m.Hello]
ROLES = sorted({role for rows in senders.MAY_SEND.values() for role in rows} | {"", "somebody"})
BEHIND_DISPATCH = {m.FetchPart}
"""Bulk connections leave the event loop with their Hello."""


class Wire:
    def __init__(self, role, is_local=False):
        self.role, self.is_local, self.peer = role, is_local, None
        self.failed, self.closed = [], ""

    def fail(self, request, kind, message):
        self.failed.append(kind)

    def reply(self, request, message):
        self.failed.append(message.kind)

    def close(self, reason):
        self.closed = reason


def blank(kind):
    """A message of that kind; nobody looks into it."""
    return kind(**dict.fromkeys(kind.__struct_fields__))


@pytest.mark.parametrize("receiver", ["gcs", "raylet"])
@pytest.mark.parametrize("role", ROLES)
def test_a_server_handles_what_the_role_may_send_and_nothing_else(receiver, role):
    for kind in SENT:
        wire, handled = Wire(role), []
        aio.dispatch({kind: lambda _, message, handled=handled: handled.append(message)}, wire, blank(kind), receiver)
        assert bool(handled) == senders.may_send(role, kind, receiver), kind
        if not handled:
            assert wire.failed == (["forbidden"] if issubclass(kind, m.Request) else []), kind


@pytest.mark.parametrize("role", ROLES)
def test_a_core_worker_takes_orders_from_those_who_may_give_them(role):
    for kind in senders.ORDERS:
        if senders.may_send(role, kind, "core"):
            continue
        wire = Wire(role)
        core = SimpleNamespace(_refuse=lambda connection, message: CoreWorker._refuse(None, connection, message))
        CoreWorker.received(core, wire, blank(kind), b"")  # it has nothing that a handler would need
        assert wire.failed == (["forbidden"] if issubclass(kind, m.Request) else []), kind


def test_each_message_has_a_sender_and_each_that_a_core_worker_takes_is_an_order_or_anybodys():
    every = {kind for rows in senders.MAY_SEND.values() for kinds in rows.values() for kind in kinds}
    assert every | BEHIND_DISPATCH == set(SENT)
    from_cores = senders.MAY_SEND["core"]["core"]
    assert all(
        kind in senders.ORDERS or kind in from_cores for kinds in senders.MAY_SEND["core"].values() for kind in kinds
    )
    assert not senders.ORDERS & from_cores


def test_what_the_gcs_serves_is_what_somebody_may_send_it():
    async def handled():
        return set(GcsServer("/tmp/session", Config())._handlers)

    allowed = {kind for kinds in senders.MAY_SEND["gcs"].values() for kind in kinds}
    assert asyncio.run(handled()) == allowed | {m.Hello}


@pytest.mark.parametrize(
    ("said", "receiver", "is_local", "role"),
    [
        ("driver", "gcs", False, "driver"),
        ("gcs", "gcs", False, ""),
        ("driver", "raylet", True, "core"),
        ("worker", "raylet", False, "remote core"),
        ("raylet", "raylet", False, "raylet"),
        ("raylet", "raylet", True, ""),
        ("gcs", "raylet", False, ""),
        ("zygote", "raylet", True, ""),
        ("own raylet", "core", True, "core"),
        ("runtime_env_agent", "raylet", False, ""),
        ("runtime_env_agent", "raylet", True, "runtime_env_agent"),
    ],
)
def test_nobody_becomes_more_by_what_it_says_than_its_socket_shows(said, receiver, is_local, role):
    assert senders.role_of(said, receiver, is_local) == role


def test_hello_is_said_once_and_not_by_who_was_called():
    wire, heard = Wire(""), []
    hello = m.Hello(m.PROTOCOL, "cli")
    aio.dispatch({m.Hello: lambda _, message: heard.append(message.role)}, wire, hello, "gcs")
    assert (wire.role, heard, wire.closed) == ("cli", ["cli"], "")
    aio.dispatch({m.Hello: lambda _, message: heard.append(message.role)}, wire, m.Hello(m.PROTOCOL, "raylet"), "gcs")
    assert (wire.role, heard) == ("cli", ["cli"]) and "'raylet' is not taken" in wire.closed
