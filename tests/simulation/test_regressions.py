"""What the simulator has found, told as short stories: each failed before it was mended."""

import asyncio

import msgspec

from ray._core.common import messages as m
from ray._core.common.errors import WorkerCrashedError
from simulation.core import NAMESPACE


def group_of(job_id: bytes) -> m.CreateGroup:
    bundles = [m.BundleSpec(0, {"CPU": 10_000})]
    info = m.PlacementGroupInfo(b"g" * 14 + job_id, job_id, "", NAMESPACE, "PACK", bundles, False, b"", "PENDING", [])
    return m.CreateGroup(info=info)


async def for_ever():
    await asyncio.get_running_loop().create_future()


def test_a_job_ends_with_the_machine_of_its_driver(world):
    """A machine that loses its power closes no connection."""
    jobs = world.cluster.gcs.jobs

    async def program(core):
        core.kept = await core.create_actor({"token": 1}, max_restarts=-1)
        await for_ever()

    world.drive(program, 1)
    actors = world.cluster.gcs.actors.table
    world.until(lambda: [info.state for info in actors.infos()] == ["ALIVE"])
    world.power_off(world.nodes[1].host)
    world.until(lambda: not jobs.living())
    assert [info.state for info in actors.infos()] == ["DEAD"]


def test_a_group_of_a_job_that_has_ended_is_removed_at_once(world):
    """Its creation was on the way when the job ended: nobody else would ever remove it."""
    gcs = world.cluster.gcs

    async def program(core):
        await core.request(core.gcs, group_of(core.job_id))
        world.loop.kill(core.process, 0)

    async def late(core):
        (ended,) = [job_id for job_id, info in gcs.jobs.jobs.items() if info.is_dead]
        order = group_of(ended)
        await core.request(core.gcs, order)
        await for_ever()

    world.drive(program)
    world.until(lambda: gcs.jobs.jobs and not gcs.jobs.living())
    world.until(lambda: {info.state for info in gcs.groups.table.infos()} == {"REMOVED"})
    gcs.groups.table._groups.clear()
    world.drive(late)
    world.until(lambda: gcs.groups.table.infos())
    assert {info.state for info in gcs.groups.table.infos()} == {"REMOVED"}
    world.loop.run(world.loop.now_s + 1.0)
    assert world.nodes[0].raylet.bundles.held() == world.nodes[1].raylet.bundles.held() == []


def test_an_actor_whose_constructor_crashes_while_the_gcs_is_away_is_not_begun_twice(world):
    """The raylet tells of the crash before it registers again without that actor."""
    made = world.cluster.ledger.constructions

    async def program(core):
        core.kept = await core.create_actor({"token": 1, "sleep": 0.5, "crash": 1}, max_restarts=-1)
        await for_ever()

    world.drive(program)
    world.until(lambda: made)
    world.loop.kill(world.cluster.gcs_process)
    world.loop.run(world.loop.now_s + 1.0)
    world.cluster.start_gcs()
    world.until(lambda: [info.state for info in world.cluster.gcs.actors.table.infos()] == ["ALIVE"])
    assert sorted((incarnation, times) for (_, incarnation), times in made.items()) == [(0, 1), (1, 1)]


def test_a_group_that_is_created_while_a_restarted_gcs_waits_for_nodes_outlives_that_gcs(world):
    """It was answered, but noted in the journal only once it was placed."""
    world.cluster.network.block(world.nodes[1].host, world.cluster.head)  # so nothing is placed yet
    world.loop.kill(world.cluster.gcs_process)
    world.cluster.start_gcs()
    acknowledged = []

    async def program(core):
        await core.request(core.gcs, group_of(core.job_id))
        acknowledged.append(core.job_id)
        await for_ever()

    world.drive(program)
    world.until(lambda: acknowledged)
    assert world.cluster.gcs.groups.holds_placing
    world.loop.kill(world.cluster.gcs_process)
    world.cluster.start_gcs()
    world.loop.run(world.loop.now_s + 0.1)
    assert len(world.cluster.gcs.groups.table.infos()) == 1


def test_nodes_do_not_count_as_dead_while_the_disk_of_the_head_is_full(world):
    """Nothing leaves the GCS then, so no ping does."""
    world.cluster.disk.is_full = True

    async def program(core):
        await core.request(core.gcs, m.KvPut(namespace="", key=b"k", value=b"v"))

    world.drive(program)
    world.loop.run(world.loop.now_s + 30.0)
    world.cluster.disk.is_full = False
    world.loop.run(world.loop.now_s + 30.0)
    assert {info.state for info in world.cluster.gcs.nodes.table.infos()} == {"ALIVE"}


def test_an_actor_does_not_take_along_what_tasks_have_left_in_its_process(world):
    """Its process would end with it, and owned a ref which the task before had returned."""
    told = []

    async def program(core):
        token, (ref,) = await core.get_one(core.task({"token": 1, "returns_refs": True, "put": 7}))
        for is_early in (True, False):
            await asyncio.sleep(0.5)  # the lease goes back
            handle = await core.create_actor({"token": 2})
            if not is_early:
                await core.get_one(core.call_actor(handle, "add", {"token": 3}))
            await core.request(core.gcs, m.KillActor(actor_id=handle.actor_id, no_restart=True, cause="killed"))
        await asyncio.sleep(1.0)
        told.append((token, await core.get_one(ref)))

    world.drive(program)
    world.until(lambda: told)
    assert told == [(1, 7)]


def test_a_surplus_worker_does_not_take_along_workers_that_it_has_leased(world):
    """Its lease lingers when it ends, and the raylet that granted it kills what the dead have leased."""
    told, raylet = [], world.nodes[0].raylet
    there = m.Strategy("NODE_AFFINITY", node_id=world.nodes[1].node_id)

    async def program(core):
        _, (ref,) = await core.get_one(core.task({"token": 1, "returns_refs": True, "put": 7}, strategy=there))
        await asyncio.sleep(0.5)  # the lease goes back, and is the next one's
        here = m.Strategy("NODE_AFFINITY", node_id=world.nodes[0].node_id)
        plan = {"token": 2, "children": [{"token": 3}], "options": {"strategy": there}}
        assert await core.get_one(core.task(plan, strategy=here)) == 5
        for worker in raylet.pool.surplus(0) + raylet.pool.leased():
            world.loop.post(raylet_process, raylet.leases._retire, worker)
        await asyncio.sleep(1.0)
        told.append(await core.get_one(ref))

    raylet_process = world.nodes[0].process
    world.drive(program)
    world.until(lambda: told)
    assert told == [7]


def test_a_request_that_is_granted_while_others_are_placed_anew_is_granted_once(world):
    """A lease that nobody has asked for is never given back."""
    home, done = world.nodes[0], []
    there = m.Strategy("NODE_AFFINITY", node_id=home.node_id)

    async def some(core, *sleeps_s):
        for ref in [core.task({"token": 1, "sleep": sleep_s}, strategy=there) for sleep_s in sleeps_s]:
            done.append(await core.get_one(ref))

    async def first(core):
        order = group_of(core.job_id)  # a CPU of each node
        bundles = [m.BundleSpec(index, {"CPU": 10_000}) for index in range(2)]
        info = msgspec.structs.replace(order.info, bundles=bundles, strategy="STRICT_SPREAD")
        await core.request(core.gcs, m.CreateGroup(info=info))
        await core.request(core.gcs, m.GetGroup(group_id=info.group_id, wait=True))
        world.loop.after(1.5, world.loop.post, core.process, core.gcs.send, m.RemoveGroup(group_id=info.group_id))
        await some(core, 0.5, 3.0, 0.1, 0.1)  # the second is granted after the other job has begun to wait

    async def second(core):
        await asyncio.sleep(0.3)
        await some(core, 0.1)

    world.drive(first)
    world.drive(second)
    world.until(lambda: len(done) == 5)
    world.loop.run(world.loop.now_s + 2.0)
    scheduler = home.raylet.leases.scheduler
    assert scheduler.available == scheduler.total


def test_a_ref_that_comes_back_to_an_owner_that_has_freed_it_leaves_nothing(world):
    """Its connection to the borrower broke: that counts as its end, and the object as not needed any more."""
    told = []

    async def program(core):
        handle = await core.create_actor({"token": 1})
        await core.get_one(core.call_actor(handle, "hold", {"token": 2}, [core.put_value(7)]))
        await asyncio.sleep(0.5)
        for connection in list(core._peers.values()):
            connection._transport.cut()
        await asyncio.sleep(0.5)
        given = await core.get_one(core.call_actor(handle, "give", {"token": 3}))
        assert given[0] == 3
        del given, handle
        await asyncio.sleep(1.0)
        core.refs.drain()
        told.append(dict(core.objects))

    world.drive(program)
    world.until(lambda: told)
    assert told == [{}]


def test_a_task_without_retries_whose_answer_a_cut_has_swallowed_does_not_run_again(world):
    """Nor does the one behind it, which the worker may have begun: the owner took only the first for possibly run."""
    runs, outcomes = world.cluster.ledger.runs, []
    there = m.Strategy("NODE_AFFINITY", node_id=world.nodes[1].node_id)

    async def program(core):
        options = {"strategy": there, "max_retries": 0}
        for _ in range(5):  # its calls are known to be quick: they are pushed together
            await core.get_one(core.task({"token": 0}, **options))
        ahead = set(runs)
        refs = [core.task({"token": token, "sleep": 0.0002}, **options) for token in (1, 2, 3)]
        (connection,) = {held.worker for held in core.submitter.leases.held.values()}
        world.cluster.network.block(world.nodes[1].host, world.nodes[0].host)
        while len(set(runs) - ahead) < 2:
            await asyncio.sleep(0.0001)
        connection._transport.cut()
        world.cluster.network.unblock(world.nodes[1].host, world.nodes[0].host)
        for ref in refs:
            try:
                outcomes.append(await core.get_one(ref))
            except WorkerCrashedError as error:
                outcomes.append(str(error))

    world.drive(program)
    world.until(lambda: len(outcomes) == 3)
    assert all("the connection to it was lost" in str(outcome) for outcome in outcomes), outcomes
    assert set(runs.values()) == {1}


def test_of_what_a_process_took_along_when_it_ended_only_the_first_task_counts_as_begun(world):
    """It had said what it had done: the others run elsewhere, although they have no retries."""
    outcomes = []
    there = m.Strategy("NODE_AFFINITY", node_id=world.nodes[1].node_id)

    async def program(core):
        options = {"strategy": there, "max_retries": 0}
        for _ in range(5):
            await core.get_one(core.task({"token": 0}, **options))
        refs = [core.task({"token": token, "sleep": 0.002}, **options) for token in (1, 2, 3)]
        (lease,) = [lease for held in core.submitter.leases.held.values() for lease in held.queue.leases.values()]
        assert len(lease.running) == 3
        (worker,) = [process for process in world.loop.processes.values() if process.pid in pids(core)]
        while worker.core.executor.running is None:
            await asyncio.sleep(0.0001)
        await asyncio.sleep(0.0005)
        world.loop.kill(worker)
        for ref in refs:
            try:
                outcomes.append(await core.get_one(ref))
            except WorkerCrashedError as error:
                outcomes.append(str(error))

    def pids(core):
        return {held.pid for held in core.submitter.leases.held.values()}

    world.drive(program)
    world.until(lambda: len(outcomes) == 3)
    assert "WorkerCrashed" not in str(outcomes[1:]) and outcomes[1:] == [2, 3]
    assert isinstance(outcomes[0], str)


def test_what_comes_late_by_a_connection_that_a_driver_has_replaced_changes_nothing(world):
    """The request had been sent again by the new one, and answered; then the next one overwrote what it had written."""
    told = []

    async def program(core):
        async def put(value):
            await core.request(core.gcs, m.KvPut(namespace="n", key=b"k", value=value))

        await put(b"1")
        transport = core.gcs._connection._transport
        again = asyncio.get_running_loop().create_task(put(b"2"))
        await asyncio.sleep(0)
        core.gcs._connection.flush()
        transport.cut(2.0)
        await again
        await put(b"3")
        await asyncio.sleep(3.0)
        told.append((await core.request(core.gcs, m.KvGet(namespace="n", key=b"k"))).value)

    world.drive(program, 1)
    world.until(lambda: told)
    assert told == [b"3"]
