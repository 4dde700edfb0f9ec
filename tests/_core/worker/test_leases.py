"""The owner's lease queue: every task runs once, nothing waits while a worker has room."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.worker.leases import AskForLease, LeaseQueue, Push, ReturnLease


def queue(**kwargs):
    return LeaseQueue(**{"target_us": 2000, "max_depth": 256, **kwargs})


def test_the_first_task_asks_for_a_lease_and_goes_to_it():
    leases = queue()
    assert leases.submit(b"a", None) == [AskForLease()]
    assert leases.granted(1, b"w") == [Push(b"a", 1)]


def test_nothing_waits_behind_a_task_of_unknown_duration():
    leases = queue()
    leases.submit(b"a", None)
    leases.granted(1, b"w")
    assert leases.submit(b"b", None) == [AskForLease()]


def test_short_tasks_fill_a_workers_queue_up_to_the_target():
    leases = queue()
    leases.submit(b"0", 80)
    leases.granted(1, b"w")
    pushed = [order for n in range(1, 100) for order in leases.submit(b"%d" % n, 80) if isinstance(order, Push)]
    assert len(pushed) == 19  # and the first: 20 tasks of 100 us are 2 ms


def test_a_blocked_worker_hands_back_and_is_pushed_nothing_until_it_answers():
    leases = queue()
    leases.submit(b"a", 80)
    leases.granted(1, b"w")
    leases.submit(b"b", 80)
    assert leases.handed_back(1, [(b"b", 80)], 0.0) == [AskForLease()]
    assert leases.finished(1, b"a", 0.0) == [Push(b"b", 1)]


def test_a_worker_whose_answer_crossed_what_it_hands_back_is_pushed_that_again():
    leases = queue()
    leases.submit(b"a", 80)
    leases.granted(1, b"w")
    leases.submit(b"b", 80)
    assert leases.finished(1, b"a", 0.0) == []
    assert leases.handed_back(1, [(b"b", 80)], 0.0) == [Push(b"b", 1)], "nothing would ever unblock it"


def test_a_task_that_is_not_wanted_any_more_is_not_queued_when_it_comes_back():
    leases = queue()
    leases.submit(b"a", 80)
    leases.granted(1, b"w")
    leases.submit(b"b", 80)
    leases.submit(b"c", 80)
    assert leases.handed_back(1, [(b"c", 80)], 0.0, [b"b"]) == [AskForLease()]
    leases.validate()
    assert leases.finished(1, b"a", 0.0) == [Push(b"c", 1)]


def test_a_revoked_lease_returns_once_it_is_idle():
    leases = queue()
    leases.submit(b"a", 80)
    leases.granted(1, b"w")
    assert leases.revoke(1, 0.0) == []
    assert leases.finished(1, b"a", 1.0) == [ReturnLease(1)]


def test_an_idle_lease_lingers_and_then_returns():
    leases = queue()
    leases.submit(b"a", 80)
    leases.granted(1, b"w")
    leases.finished(1, b"a", 1.0)
    assert leases.expire(1.1, linger_s=0.25) == []
    assert leases.expire(1.3, linger_s=0.25) == [ReturnLease(1)]


def test_a_lease_of_single_use_goes_back_after_its_task_and_the_next_asks_anew():
    leases = queue(single_use=True)
    leases.submit(b"a", 80)
    assert leases.granted(1, b"w") == [Push(b"a", 1)]
    assert leases.submit(b"b", 80) == [AskForLease()]
    assert leases.finished(1, b"a", 1.0) == [ReturnLease(1)]
    assert leases.granted(2, b"v") == [Push(b"b", 2)]


ACTIONS = ["submit", "grant", "finish", "back", "revoke", "lose", "cancel", "exit"]
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 99)), min_size=15)


@given(STEPS, st.integers(1, 5), st.booleans())
def test_each_task_is_pushed_to_one_worker_at_a_time_and_all_run_in_the_end(steps, max_requests, single_use):
    leases = queue(max_requests=max_requests, single_use=single_use)
    requests, pushed, done, count, grants = 0, {}, set(), 0, 0

    def apply(orders):
        nonlocal requests
        for order in orders:
            if isinstance(order, AskForLease):
                requests += 1
            elif isinstance(order, Push):
                assert order.task_id not in pushed and order.task_id not in done
                pushed[order.task_id] = order.lease_id
            else:
                assert order.lease_id not in pushed.values()
        leases.validate()

    def grant():
        nonlocal requests, grants
        requests, grants = requests - 1, grants + 1
        apply(leases.granted(grants, b"w"))

    def finish(task_id):
        done.add(task_id)
        apply(leases.finished(pushed.pop(task_id), task_id, 0.0))

    for action, pick in steps:
        if action == "submit":
            count += 1
            apply(leases.submit(b"%d" % count, None if pick % 3 == 0 else pick * 10))
        elif action == "grant" and requests:
            grant()
        elif action == "cancel":
            waiting = sorted(task_id for task_id, _ in leases.waiting)
            if waiting:
                done.add(waiting[pick % len(waiting)])
                assert leases.remove(waiting[pick % len(waiting)])
            assert not any(leases.remove(task_id) for task_id in pushed), "what was pushed does not wait"
            leases.validate()
        elif pushed:
            task_id = sorted(pushed)[pick % len(pushed)]
            lease_id = pushed[task_id]
            if action == "finish":
                finish(task_id)
            elif action == "back":
                del pushed[task_id]
                apply(leases.handed_back(lease_id, [(task_id, 50)], 0.0))
            elif action == "exit":
                leases.worker_exits(lease_id)
                finish(task_id)
            elif action == "revoke":
                apply(leases.revoke(lease_id, 0.0))
            elif action == "lose":
                for lost in leases.lost(lease_id):
                    del pushed[lost]
                    apply(leases.submit(lost, None))
    while pushed or requests:
        if pushed:
            finish(min(pushed))
        else:
            grant()
    assert len(done) == count


def test_a_queue_that_others_wait_for_gives_a_lease_back_when_it_has_had_its_turn():
    leases = queue()
    for name in b"a", b"b", b"c":
        leases.submit(name, None)
    leases.granted(1, b"w", 10.0)
    assert leases.finished(1, b"a", 10.05, turn_s=0.1) == [Push(b"b", 1)]
    assert leases.finished(1, b"b", 10.2, turn_s=0.1) == [ReturnLease(1)]


def test_a_queue_is_needless_once_nothing_waits_runs_or_is_asked_for():
    leases = queue()
    leases.submit(b"a", None)
    leases.granted(1, b"w")
    leases.finished(1, b"a", 0.0)
    assert not leases.is_needless
    leases.expire(9.0, 0.25)
    assert leases.is_needless
