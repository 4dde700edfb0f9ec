"""The worker pool's indexes say the same as a look at every worker would."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.common.messages import Address
from ray._core.raylet.workers import Worker, WorkerPool

ADDRESS = Address(b"n", b"w", "", 0, "p")


def ready(pool, name, job_id=b""):
    worker = Worker(name, job_id=job_id)
    pool.add(worker)
    pool.forked(worker, name[0])
    pool.registered(worker, ADDRESS)
    pool.put_idle(worker)
    return worker


def test_a_worker_of_a_job_serves_only_that_job_and_the_last_idle_goes_first():
    pool = WorkerPool()
    first, second = ready(pool, b"1"), ready(pool, b"2", b"other")
    assert pool.take_idle(b"job") is first
    assert pool.take_idle(b"job") is None
    assert pool.take_idle(b"other") is second


def test_workers_that_have_not_registered_are_counted():
    pool = WorkerPool()
    pool.add(Worker(b"1"))
    pool.add(Worker(b"2"))
    assert pool.starting == {(b"", ""): 2}
    pool.remove(b"1")
    assert pool.starting == {(b"", ""): 1}


def test_surplus_is_what_has_been_idle_longest():
    pool = WorkerPool()
    workers = [ready(pool, bytes([n])) for n in range(1, 4)]
    assert pool.surplus(1) == workers[:2]
    assert pool.surplus(1) == []


@given(st.lists(st.tuples(st.sampled_from(["new", "lease", "return", "end", "die"]), st.integers(0, 20)), min_size=15))
def test_lookups_agree_with_the_workers_themselves(steps):
    pool, leases, names = WorkerPool(), 0, 0
    for action, pick in steps:
        workers = sorted(pool.workers.values(), key=lambda worker: worker.worker_id)
        leased = [worker for worker in workers if worker.lease_id]
        if action == "new":
            names += 1
            ready(pool, names.to_bytes(2, "little"))
        elif action == "lease" and (worker := pool.take_idle(b"j")) is not None:
            leases += 1
            pool.lease(worker, leases, f"owner {pick % 3}")
        elif action in ("return", "end") and leased:
            (pool.put_idle if action == "return" else pool.end_lease)(leased[pick % len(leased)])
        elif action == "die" and workers:
            pool.remove(workers[pick % len(workers)].worker_id)
        living = list(pool.workers.values())
        assert {id(w) for w in pool.leased()} == {id(w) for w in living if w.lease_id}
        for worker in living:
            assert pool.by_lease(worker.lease_id) is (worker if worker.lease_id else None)
        for owner in ("owner 0", "owner 1", "owner 2"):
            assert {id(w) for w in pool.of_owner(owner)} == {id(w) for w in living if w.owner == owner}
        assert pool.starting == {}


def test_leases_are_asked_back_once_and_not_for_their_own_owner():
    pool = WorkerPool()
    mine, yours = ready(pool, b"1"), ready(pool, b"2")
    pool.lease(pool.take_idle(b"j"), 1, "you")
    pool.lease(pool.take_idle(b"j"), 2, "me")
    assert pool.take_kept({"me"}) == [yours]
    assert pool.take_kept({"me"}) == [] and pool.take_kept(set()) == []
    pool.end_lease(mine)
    assert pool.take_kept({"you"}) == []


def test_a_worker_that_was_killed_is_not_offered_again():
    pool, doomed = WorkerPool(), Worker(b"w")
    pool.add(doomed)
    pool.forked(doomed, 7)
    pool.put_idle(doomed)
    doomed.is_ending = True
    assert pool.take_idle(b"job") is None
    pool.lease(doomed, 1, "owner")
    pool.put_idle(doomed)
    assert pool.take_idle(b"job") is None
    assert pool.by_lease(1) is None


def test_a_worker_that_others_need_serves_tasks_but_no_actor_for_a_while():
    pool = WorkerPool()
    worker = ready(pool, b"1")
    assert pool.take_idle(b"job") is worker
    pool.lease(worker, 1, "gcs")
    pool.end_lease(worker)
    assert worker.has_served
    pool.needed(worker, now_s=5.0)
    assert pool.take_idle(b"job", needed_before_s=5.0) is None
    assert pool.take_idle(b"job", needed_before_s=5.1) is worker
    pool.needed(worker, now_s=6.0)
    assert pool.take_idle(b"job") is worker
