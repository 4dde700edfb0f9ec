"""The GCS's shell: whose connection closed, and what a restarted GCS still knows."""

import asyncio

import pytest

from ray._core.common import messages as m
from ray._core.common.config import Config
from ray._core.common.ids import JobID
from ray._core.common.packages import function_key
from ray._core.gcs import job_service
from ray._core.gcs.node_manager import FEW, PYTHON
from ray._core.gcs.presence import Knock
from ray._core.gcs.server import GcsServer
from ray._core.wire import codec
from ray._version import VERSION

WORKER = b"w" * 28


class Rows:
    """A storage in memory, which outlives its GCS."""

    def __init__(self):
        self.tables = {}

    def load(self, table):
        return dict(self.tables.get(table, {}))

    def commit(self, writes):
        for write in writes:
            table = self.tables.setdefault(write.table, {})
            if write.value is None:
                table.pop(write.key, None)
            else:
                table[write.key] = write.value

    def close(self):
        pass


class Peer:
    """A connection that keeps what is sent to it."""

    def __init__(self, role="cli"):
        self.peer, self.role, self.is_local = None, role, False
        self.is_closed = False
        self.close_reason = ""
        self.sent = []

    def send(self, message):
        self.sent.append(message)

    def send_frame(self, frame):
        self.sent += [message for message, _ in codec.FrameDecoder().feed(frame)]

    def reply(self, request, message=None):
        self.sent.append(message or m.Done())

    def fail(self, request, kind, message, detail=b""):
        self.sent.append(m.Failed(kind=kind, message=message))

    def abort(self, reason):
        self.is_closed, self.close_reason = True, reason

    def of(self, kind):
        return [message for message in self.sent if isinstance(message, kind)]


@pytest.fixture
def with_gcs():
    """Runs a scenario with a GCS on `rows`, and stops that GCS."""
    rows = Rows()

    def run(scenario):
        async def main():
            server = GcsServer("/tmp/ray/session", Config(), rows)
            server.restore()
            scenario(server)
            await server.journal.close()

        asyncio.run(main())

    return run


def hello(server, role, worker_id=WORKER):
    peer = Peer("")
    peer.worker_id = worker_id
    server.received(peer, m.Hello(m.PROTOCOL, role, worker_id=worker_id), b"")
    return peer


def ends(server, peer):
    """Its connection closes, and nobody listens where it did."""
    server.closed(peer)
    presence = server.peers.presence
    for ended in presence.nobody_there(Knock(peer.worker_id, ("h", 1), presence._peers[peer.worker_id].visit)):
        server._ended(ended)


def register_job(driver):
    return m.RegisterJob("", m.Address(b"node", driver.worker_id, "", 0, ""), 1, "host", "script.py")


def register_actor(server, peer, owner=WORKER, job_id=b"job1", detached=False):
    spec = m.ActorSpec(
        actor_id=b"a" * 16,
        job_id=job_id,
        name="",
        namespace="space",
        class_name="C",
        owner=m.Address(b"node", owner, "", 0, ""),
        detached=detached,
        max_restarts=0,
        placement=m.SchedulingClass({"CPU": 10_000}),
        held={},
        class_key="",
        spec_blob=b"",
    )
    server.received(peer, m.RegisterActor(spec=spec, handle_blob=b"", ready=True), b"")
    return spec.actor_id


def register_node(server, node_id=b"n" * 28, hosted=()):
    raylet = Peer("raylet")
    info = m.NodeInfo(node_id, "h", 1, "", "h", "n", False, "", "", {"CPU": 10_000}, version=VERSION, python=PYTHON)
    server.received(raylet, m.RegisterNode(info=info, hosted=[*hosted]), b"")
    return raylet


@pytest.mark.parametrize("role", ["worker", "driver"])
def test_the_late_end_of_an_older_connection_ends_no_actor(with_gcs, role):
    def scenario(server):
        old = hello(server, role)
        actor_id = register_actor(server, old)
        new = hello(server, role)
        assert old.is_closed and not new.is_closed
        server.closed(old)
        assert server.actors.table.get(actor_id).state == "PENDING_CREATION"
        ends(server, new)
        assert server.actors.table.get(actor_id).death_kind == "OWNER_DIED"

    with_gcs(scenario)


def test_a_drained_node_gets_nothing_after_a_restart_of_the_gcs(with_gcs):
    def drain(server):
        raylet, cli = register_node(server), Peer()
        server.received(cli, m.DrainNode(b"n" * 28, "DRAIN_NODE_REASON_PREEMPTION", "bye"), b"")
        assert raylet.of(m.SetDraining) and cli.of(m.Done)

    def look(server):
        raylet = register_node(server)
        assert raylet.of(m.SetDraining)  # again: it may not have heard of it
        assert [view.draining for view in server.nodes.table.views()] == [True]
        actor_id = register_actor(server, hello(server, "worker"))
        assert server.actors.table.get(actor_id).state == "PENDING_CREATION" and not raylet.of(m.CreateActor)

    with_gcs(drain)
    with_gcs(look)


def test_requests_that_wait_go_with_their_connection(with_gcs):
    def scenario(server):
        asker, other = hello(server, "worker", b"1"), hello(server, "worker", b"2")
        for peer in (asker, other):
            server.received(peer, m.KvGet(namespace="n", key=b"k", wait=True), b"")
        server.closed(asker)
        assert len(server.kv.waiting) == 1
        server.received(other, m.KvPut(namespace="n", key=b"k", value=b"v"), b"")
        assert [reply.value for reply in other.of(m.KvValue)] == [b"v"] and not asker.of(m.KvValue)
        assert len(server.kv.waiting) == 0

    with_gcs(scenario)


def test_a_raylet_that_joins_hears_which_jobs_live(with_gcs):
    def scenario(server):
        drivers = [hello(server, "driver", name) for name in (b"1", b"2")]
        for driver in drivers:
            server.received(driver, register_job(driver), b"")
        ends(server, drivers[0])
        [registered] = register_node(server).of(m.NodeRegistered)
        assert registered.living_jobs == [drivers[1].of(m.JobRegistered)[0].job_id]

    with_gcs(scenario)


def functions(server):
    return server.kv.table.keys("fun", b"")


def test_the_functions_of_a_job_go_with_it_and_with_its_last_detached_actor(with_gcs):
    def scenario(server):
        drivers = [hello(server, "driver", name) for name in (b"1", b"2")]
        jobs = []
        for driver in drivers:
            server.received(driver, register_job(driver), b"")
            jobs.append(driver.of(m.JobRegistered)[0].job_id)
            key = function_key(jobs[-1], "digest").encode()
            server.received(driver, m.KvPut(namespace="fun", key=key, value=b"f"), b"")
        actor_id = register_actor(server, drivers[0], job_id=jobs[0], detached=True)
        ends(server, drivers[1])
        assert functions(server) == [function_key(jobs[0], "digest").encode()]
        ends(server, drivers[0])
        assert len(functions(server)) == 1
        server.received(hello(server, "driver", b"3"), m.KillActor(actor_id, True, "bye"), b"")
        assert functions(server) == []

    with_gcs(scenario)


def test_jobs_that_have_ended_are_listed_up_to_a_number(with_gcs, monkeypatch):
    monkeypatch.setattr(job_service, "ENDED_KEPT", 2)

    def scenario(server):
        for number in range(4):
            driver = hello(server, "driver", bytes([number]))
            server.received(driver, register_job(driver), b"")
            ends(server, driver)
        assert [JobID(job_id).int() for job_id in server.jobs.jobs] == [3, 4]

    def look(server):
        assert [JobID(job_id).int() for job_id in server.jobs.jobs] == [3, 4]
        driver = hello(server, "driver")
        server.received(driver, register_job(driver), b"")
        assert JobID(driver.of(m.JobRegistered)[0].job_id).int() == 5

    with_gcs(scenario)
    with_gcs(look)


def test_the_group_of_an_actor_whose_job_ended_before_a_restart_ends_with_the_actor(with_gcs):
    group_id = b"g" * 18

    def create(server):
        driver, worker = hello(server, "driver", b"1"), hello(server, "worker", b"2")
        server.received(driver, register_job(driver), b"")
        job_id = driver.of(m.JobRegistered)[0].job_id
        register_actor(server, worker, owner=b"2")
        bundles = [m.BundleSpec(0, {"CPU": 10_000})]
        info = m.PlacementGroupInfo(group_id, job_id, "", "", "PACK", bundles, False, b"a" * 16, "PENDING", [])
        server.received(driver, m.CreateGroup(info=info), b"")
        ends(server, driver)
        assert server.groups.table.get(group_id).state == "PENDING"

    def end_the_actor(server):
        worker = hello(server, "worker", b"2")
        ends(server, worker)
        assert server.groups.table.get(group_id).state == "REMOVED"

    with_gcs(create)
    with_gcs(end_the_actor)


def test_a_node_that_joins_a_large_cluster_hears_of_what_has_changed_meanwhile(with_gcs):
    """All who join between two publications get the same bytes; what they do not tell is published to them."""

    def scenario(server):
        raylets = [register_node(server, b"%028d" % number) for number in range(FEW + 10)]
        first, second = Peer(), Peer()
        server.received(first, m.Subscribe(channel="resources"), b"")
        server.received(raylets[0], m.ReportResources(b"%028d" % 0, 1, {"CPU": 1}, {"CPU": 2}, []), b"")
        server.received(second, m.Subscribe(channel="resources"), b"")
        assert [len(views.views) for views in second.of(m.ResourceViews)] == [FEW + 10]
        server.nodes._publish()
        for peer in (first, second):
            known = {view.node_id: view for views in peer.of(m.ResourceViews) for view in views.views}
            assert known[b"%028d" % 0].available == {"CPU": 1}
        server.nodes.died(b"%028d" % 1, "UNEXPECTED_TERMINATION", "")
        third = Peer()
        server.received(third, m.Subscribe(channel="resources"), b"")
        server.received(third, m.Subscribe(channel="node"), b"")
        assert [news.info.node_id for news in third.of(m.NodeChanged)] == [b"%028d" % 1]
        server.nodes._publish()
        last = {view.node_id: view for views in third.of(m.ResourceViews) for view in views.views}
        assert not last[b"%028d" % 1].alive and len(last) == FEW + 10


def test_a_job_and_its_actors_outlive_a_connection_that_is_cut(with_gcs):
    def scenario(server):
        driver = hello(server, "driver")
        server.received(driver, register_job(driver), b"")
        [registered] = driver.of(m.JobRegistered)
        actor_id = register_actor(server, driver, job_id=registered.job_id)
        server.closed(driver)
        assert server.jobs.living() == {registered.job_id}
        again = hello(server, "driver")
        server.received(again, register_job(again), b"")  # the answer to the first one was lost
        assert again.of(m.JobRegistered)[0].job_id == registered.job_id
        assert server.actors.table.get(actor_id).state == "PENDING_CREATION"
        assert len(server.jobs.jobs) == 1

    with_gcs(scenario)


def test_a_node_that_is_away_gets_nothing_new_and_is_told_again_what_it_may_have_missed(with_gcs):
    def scenario(server):
        raylet, owner = register_node(server), hello(server, "worker")
        actor_id = register_actor(server, owner)
        [order] = raylet.of(m.CreateActor)
        address = m.Address(b"n" * 28, b"x" * 28, "h", 2, "")
        server.received(raylet, m.ActorStarted(actor_id, order.incarnation, address, 7), b"")
        server.closed(raylet)
        assert server.nodes.table.info(b"n" * 28).state == "ALIVE" and server.nodes.raylets == {}
        assert server.actors.table.get(actor_id).state == "ALIVE"
        server.received(owner, m.ActorOutOfScope(actor_id=actor_id), b"")
        hosted = [m.HostedActor(actor_id, order.incarnation, address, 7)]
        again = register_node(server, hosted=hosted)
        assert [(each.actor_id, each.graceful) for each in again.of(m.DestroyActor)] == [(actor_id, True)]

    with_gcs(scenario)


def test_deaths_in_a_large_cluster_are_told_together_and_to_all(with_gcs):
    def scenario(server):
        for number in range(FEW + 10):
            register_node(server, b"%028d" % number)
        watcher = Peer()
        server.received(watcher, m.Subscribe(channel="node"), b"")
        for number in range(3):
            server.nodes.died(b"%028d" % number, "UNEXPECTED_TERMINATION", "")
        assert watcher.of(m.NodeChanged) == []
        server.nodes._tell_deaths()
        assert [news.info.node_id for news in watcher.of(m.NodeChanged)] == [b"%028d" % number for number in range(3)]
        assert {news.info.state for news in watcher.of(m.NodeChanged)} == {"DEAD"}

    with_gcs(scenario)
