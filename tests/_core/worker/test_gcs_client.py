"""The line to the GCS over outages: each is given its own time, also when nothing was asked in between."""

from types import SimpleNamespace

import pytest

from ray._core.common import messages as m
from ray._core.worker import gcs_client
from ray._core.worker.gcs_client import GcsClient


class Wire:
    """A connection whose requests the test answers."""

    def __init__(self):
        self.asked = []

    def send(self, message):
        pass

    def request(self, message, on_reply):
        self.asked.append(on_reply)

    def answer_all(self, reply):
        asked, self.asked = self.asked, []
        for on_reply in asked:
            on_reply(reply)


@pytest.fixture
def core(monkeypatch):
    """What the client needs of a worker; `clock_s` is the time, `wires` its connections, `timers` what is due."""
    core = SimpleNamespace(
        config=SimpleNamespace(gcs_rpc_server_reconnect_timeout_s=60),
        mode="worker",
        worker_id=b"w",
        address=None,
        node=SimpleNamespace(node_id=b"n"),
        token=b"",
        job_registration=None,
        clock_s=0.0,
        wires=[],
        timers=[],
    )

    def connect(host, port, handler, token):
        core.wires.append(Wire())
        return core.wires[-1]

    core.reactor = SimpleNamespace(
        connect_tcp=connect, soon_flushed=lambda: None, call_later=lambda delay_s, call: core.timers.append(call)
    )
    monkeypatch.setattr(gcs_client.time, "monotonic", lambda: core.clock_s)
    return core


def lose(core, client):
    wire = core.wires[-1]
    client.lost(wire, "closed by the peer")
    wire.answer_all(m.Failed(kind="connection_lost", message="lost"))


def test_a_second_outage_is_not_counted_from_the_first(core):
    client = GcsClient(core, "head", 6379)
    client.subscribe("actor", b"a")
    core.wires[-1].answer_all(m.Done())
    lose(core, client)
    core.timers.pop()()
    core.wires[-1].answer_all(m.Done())
    core.clock_s = 3600.0
    answers = []
    client.request(m.Ping(), answers.append)
    lose(core, client)
    assert answers == []
    core.timers.pop()()
    core.wires[-1].answer_all(m.Done())
    assert answers == [m.Done()]


def test_requests_fail_when_the_gcs_stays_away(core):
    client = GcsClient(core, "head", 6379)
    answers = []
    client.request(m.Ping(), answers.append)
    lose(core, client)
    core.timers.pop()()
    core.clock_s = 61.0
    lose(core, client)
    assert [answer.kind for answer in answers] == ["gcs_away"]


def test_when_it_is_given_up_that_is_told_and_the_next_request_tries_again(core):
    client = GcsClient(core, "head", 6379)
    told, answers = [], []
    client.on_given_up = told.append
    client.subscribe("actor", b"a")
    client.send("kept while it is away")
    lose(core, client)
    core.timers.pop()()
    core.clock_s = 61.0
    lose(core, client)
    assert len(told) == 1 and "has been away for 61 s" in told[0]
    client.request(m.Ping(), answers.append)
    core.wires[-1].answer_all(m.Done())
    assert answers == [m.Done()]


def test_a_driver_that_was_given_up_hangs_on_no_request(core):
    core.job_registration = m.RegisterJob("", m.Address(b"", b"", "", 0, ""), 1, "host", "script.py", job_id=b"job1")
    client = GcsClient(core, "head", 6379)
    told, answers = [], []
    client.on_given_up = told.append
    client.request(m.Ping(), answers.append)
    core.wires[-1].asked[0](m.Failed(kind="job_dead", message="Its driver was away."))
    assert "Its driver was away." in told[0]
    client.request(m.Ping(), answers.append)
    assert [answer.kind for answer in answers] == ["gcs_away", "gcs_away"]


def test_what_is_kept_for_a_gcs_that_is_away_is_bounded(core):
    client = GcsClient(core, "head", 6379)
    client.request(m.Ping(), lambda reply: None)
    lose(core, client)
    for number in range(gcs_client.MOST_WAITING + 5):
        client._connection = None  # no connection comes about
        client.send(number)
    assert len(client._waiting) <= gcs_client.MOST_WAITING


def test_an_order_that_is_refused_is_logged_and_one_that_the_end_leaves_open_is_not(core, caplog):
    client = GcsClient(core, "head", 6379)
    client.tell(m.ActorOutOfScope(actor_id=b"a"))
    core.wires[-1].answer_all(m.Failed(kind="forbidden", message="not from here"))
    assert "ActorOutOfScope was not carried out: not from here" in caplog.text
    caplog.clear()
    client.tell(m.ActorOutOfScope(actor_id=b"a"))
    client.close()
    assert caplog.text == ""
