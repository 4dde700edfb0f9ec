"""Local scheduling: never more than there is, nobody starves."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ray._core.common.groups import bundle_resources, group_demand, mark_of, users_names
from ray._core.common.messages import Strategy
from ray._core.raylet.lines import LEVEL_GRANTS, Waiting
from ray._core.raylet.scheduler import Scheduler

UNIT = 10_000


def next_grant(scheduler, lease_id):
    """Grant the first request that fits; None when none does."""
    request = next(scheduler.fitting(), None)
    if request is not None:
        scheduler.grant(request, lease_id)
    return request


def test_jobs_take_turns():
    scheduler = Scheduler({"CPU": 3 * UNIT})
    for number in range(5):
        scheduler.enqueue(Waiting(("greedy", number), b"a", {"CPU": UNIT}))
    scheduler.enqueue(Waiting("modest", b"b", {"CPU": UNIT}))
    granted = [next_grant(scheduler, lease_id) for lease_id in range(4)]
    assert [each and each.key for each in granted] == [("greedy", 0), "modest", ("greedy", 1), None]


def test_a_request_for_what_is_taken_holds_nobody_up_who_needs_something_else():
    scheduler = Scheduler({"CPU": 2 * UNIT, "GPU": UNIT})
    for key, demand in ("a", {"GPU": UNIT}), ("b", {"GPU": UNIT}), ("c", {"CPU": UNIT}), ("d", {"CPU": UNIT}):
        scheduler.enqueue(Waiting(key, b"j", demand))
    assert [next_grant(scheduler, lease_id).key for lease_id in range(3)] == ["a", "c", "d"]
    assert next_grant(scheduler, 9) is None
    scheduler.release(0)
    assert next_grant(scheduler, 9).key == "b"


def test_what_waits_counts_as_taken_for_whoever_comes_next():
    scheduler = Scheduler({"CPU": 4 * UNIT})
    scheduler.enqueue(Waiting("a", b"j", {"CPU": 3 * UNIT}))
    assert scheduler.unclaimed() == {"CPU": UNIT}
    assert scheduler.cancel("a").key == "a"
    assert scheduler.unclaimed() == {"CPU": 4 * UNIT}
    assert scheduler.cancel("a") is None


def test_servable_counts_what_fits_together():
    scheduler = Scheduler({"CPU": 4 * UNIT, "x": UNIT})
    for number in range(5):
        scheduler.enqueue(Waiting(number, b"j", {"CPU": UNIT}))
    scheduler.enqueue(Waiting("x", b"j", {"x": UNIT}))
    scheduler.enqueue(Waiting("nothing", b"k", {}))
    assert sum(scheduler.servable(100).values()) == 6
    assert sum(scheduler.servable(2).values()) == 2


def test_what_is_taken_at_once_is_had_by_nobody_else_until_it_is_released():
    scheduler = Scheduler({"CPU": UNIT})
    assert scheduler.try_take(1, {"CPU": UNIT})
    assert not scheduler.try_take(2, {"CPU": UNIT})
    scheduler.release(1)
    assert scheduler.try_take(2, {"CPU": UNIT})
    scheduler.release(2)
    scheduler.validate()


GROUP = b"g" * 18


def in_group(key, index, **amounts):
    strategy = Strategy("PLACEMENT_GROUP", placement_group_id=GROUP, bundle_index=index)
    return Waiting(key, b"j", group_demand(amounts, strategy), any_bundle_of=GROUP if index < 0 else b"")


def with_bundles(*cpus):
    scheduler = Scheduler({"CPU": UNIT})
    for index, units in enumerate(cpus):
        scheduler.add_bundle(GROUP, index, bundle_resources(GROUP, index, {"CPU": units}))
    return scheduler


def test_what_takes_any_bundle_takes_one_with_room_for_all_of_it():
    scheduler = with_bundles(UNIT, 2 * UNIT)
    scheduler.enqueue(in_group("two", -1, CPU=2 * UNIT))
    assert next_grant(scheduler, 1).key == "two"
    assert scheduler.leases_holding(mark_of(GROUP, 1)) == [1]
    scheduler.enqueue(in_group("one", 1, CPU=UNIT))
    assert next_grant(scheduler, 2) is None, "bundle 1 is full"
    scheduler.enqueue(in_group("any", -1, CPU=UNIT))
    assert next_grant(scheduler, 2).key == "any"
    scheduler.validate()


def test_two_halves_are_no_whole_bundle():
    scheduler = with_bundles(UNIT, UNIT)
    scheduler.enqueue(in_group("two", -1, CPU=2 * UNIT))
    assert next_grant(scheduler, 1) is None


def test_a_bundle_leaves_nothing_behind():
    scheduler = with_bundles(UNIT)
    scheduler.enqueue(in_group("a", 0, CPU=UNIT))
    next_grant(scheduler, 1)
    scheduler.set_blocked(1, True)
    assert scheduler.available[f"CPU_group_0_{GROUP.hex()}"] == UNIT
    scheduler.release(1)
    assert scheduler.leases_holding(mark_of(GROUP, 0)) == []
    scheduler.remove_bundle(GROUP, 0, bundle_resources(GROUP, 0, {"CPU": UNIT}))
    assert scheduler.total == scheduler.available == {"CPU": UNIT}
    assert scheduler.bundles == {}


def test_users_see_their_own_names():
    strategy = Strategy("PLACEMENT_GROUP", placement_group_id=GROUP, bundle_index=2)
    assert users_names(group_demand({"CPU": 5, "x": 1}, strategy)) == {"CPU": 5, "x": 1}
    assert users_names({"CPU": 1, "GPU": 2}) == {"CPU": 1, "GPU": 2}


def test_a_blocked_worker_lends_its_cpu_and_takes_it_back_below_zero():
    scheduler = Scheduler({"CPU": UNIT})
    for key in "ab":
        scheduler.enqueue(Waiting(key, b"j", {"CPU": UNIT}))
    assert next_grant(scheduler, 1).key == "a"
    assert next_grant(scheduler, 2) is None
    scheduler.set_blocked(1, True)
    assert next_grant(scheduler, 2).key == "b"
    scheduler.set_blocked(1, False)
    assert scheduler.available == {"CPU": -UNIT}
    scheduler.release(1)
    scheduler.release(2)
    assert scheduler.available == {"CPU": UNIT}


def test_what_no_idle_node_could_hold_is_missing():
    assert Scheduler({"CPU": UNIT}).missing({"CPU": UNIT, "GPU": 2 * UNIT}) == {"GPU": 2 * UNIT}


ACTIONS = st.sampled_from(["ask", "grant", "release", "block", "unblock", "cancel"])


@given(st.lists(st.tuples(ACTIONS, st.integers(0, 30), st.integers(1, 4)), min_size=15))
def test_resources_always_add_up_and_every_request_is_granted_in_the_end(steps):
    scheduler, waiting, leases, count = Scheduler({"CPU": 4 * UNIT}), set(), [], 0
    for action, pick, amount in steps:
        count += 1
        if action == "ask":
            scheduler.enqueue(Waiting(count, bytes([pick % 3]), {"CPU": amount * UNIT}))
            waiting.add(count)
        elif action == "grant":
            request = next_grant(scheduler, count)
            if request is not None:
                waiting.remove(request.key)
                leases.append(count)
        elif action == "cancel" and waiting:
            key = sorted(waiting)[pick % len(waiting)]
            assert scheduler.cancel(key)
            waiting.remove(key)
        elif leases:
            lease = leases[pick % len(leases)]
            if action == "release":
                leases.remove(lease)
                scheduler.release(lease)
            else:
                scheduler.set_blocked(lease, action == "block")
        scheduler.validate()
    for lease in leases:
        scheduler.release(lease)
    while waiting:
        count += 1
        request = next_grant(scheduler, count)
        assert request is not None
        waiting.remove(request.key)
        scheduler.release(count)
    assert scheduler.available == {"CPU": 4 * UNIT}


def test_what_cannot_run_keeps_nothing_else_of_its_job_waiting():
    scheduler = Scheduler({"CPU": UNIT})
    scheduler.enqueue(Waiting("impossible", b"j", {"GPU": UNIT}))
    scheduler.enqueue(Waiting("nothing", b"j", {}))
    scheduler.enqueue(Waiting("one", b"j", {"CPU": UNIT}))
    assert [next_grant(scheduler, lease_id).key for lease_id in range(2)] == ["nothing", "one"]
    assert next_grant(scheduler, 2) is None


def test_a_large_request_is_served_although_small_ones_never_end():
    scheduler = Scheduler({"CPU": 2 * UNIT})
    scheduler.enqueue(Waiting("small", b"j", {"CPU": UNIT}))
    assert next_grant(scheduler, 0).key == "small"
    scheduler.enqueue(Waiting("large", b"j", {"CPU": 2 * UNIT}))
    for lease_id in range(1, 1000):
        scheduler.enqueue(Waiting("small", b"j", {"CPU": UNIT}))
        granted = next_grant(scheduler, lease_id)
        scheduler.release(lease_id - 1)
        granted = granted or next_grant(scheduler, lease_id)
        if granted is not None and granted.key == "large":
            return
    raise AssertionError("the large request starves")


# ------------------------------------------------------------------ priorities


def ask(scheduler, key, priority=0, cpus=1, job=b"j"):
    scheduler.enqueue(Waiting(key, job, {"CPU": cpus * UNIT}, priority=priority))


def serve(scheduler, count):
    """Grant and release one after another; the keys."""
    keys = []
    for _ in range(count):
        request = next_grant(scheduler, "lease")
        keys.append(request and request.key)
        scheduler.release("lease")
        scheduler.validate()
    return keys


def test_the_higher_priority_goes_first_and_equal_ones_in_the_order_in_which_they_came():
    scheduler = Scheduler({"CPU": UNIT})
    for key, priority in ("a", 0), ("b", -1), ("c", 5), ("d", 0), ("e", 5):
        ask(scheduler, key, priority)
    assert serve(scheduler, 6) == ["c", "e", "a", "d", "b", None]


def test_priorities_are_a_jobs_own_business():
    scheduler = Scheduler({"CPU": UNIT})
    for number in range(3):
        ask(scheduler, number, priority=100, job=b"a")
    ask(scheduler, "modest", job=b"b")
    assert serve(scheduler, 4) == [0, "modest", 1, 2]


def test_the_higher_priority_takes_what_is_kept_free_for_a_lower_one_that_waits_for_long():
    scheduler = Scheduler({"CPU": 2 * UNIT})
    assert scheduler.try_take("other", {"CPU": UNIT})
    ask(scheduler, "wide", cpus=2)
    for number in range(20):  # until the room is kept for it
        ask(scheduler, number)
        next_grant(scheduler, number)
        scheduler.release(number)
    assert next_grant(scheduler, "none") is None
    ask(scheduler, "urgent", priority=1)
    assert serve(scheduler, 2) == ["urgent", None]


REQUESTS = st.tuples(st.just("ask"), st.integers(-3, 3), st.integers(1, 2))
PRIORITY_STEPS = st.lists(st.one_of(REQUESTS, st.tuples(st.just("grant"), st.just(0), st.just(0))), min_size=20)


@settings(max_examples=40)
@given(PRIORITY_STEPS)
def test_requests_are_granted_by_priority_and_by_how_long_others_were_served_before_them(steps):
    scheduler, waiting, grants = Scheduler({"CPU": 2 * UNIT}), {}, 0
    for number, (step, priority, cpus) in enumerate([*steps, *[("grant", 0, 0)] * len(steps)]):
        if step == "ask":
            ask(scheduler, number, priority, cpus)
            waiting[number] = (grants - LEVEL_GRANTS * priority, priority)
            continue
        [key] = serve(scheduler, 1)
        if not waiting:
            assert key is None
            continue
        place, priority = waiting.pop(key)
        grants += 1
        if len({each for _, each in waiting.values()} | {priority}) > 1:
            assert place == min([place, *(each for each, _ in waiting.values())])
    assert not waiting


@settings(max_examples=20)
@given(st.integers(-1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(0, 5))
def test_nothing_starves_although_higher_ones_never_end(low, above, cpus, before):
    scheduler = Scheduler({"CPU": 2 * UNIT})
    for number in range(before):
        ask(scheduler, ("before", number), low)
    ask(scheduler, "low", low, cpus)
    bound = before + LEVEL_GRANTS * above + 2
    for number in range(bound):
        ask(scheduler, number, low + above, 1 + number % 2)
        if "low" in serve(scheduler, 1):
            assert number >= LEVEL_GRANTS * above - 1  # and until then the higher ones have gone first
            return
    raise AssertionError(f"not served within {bound} grants")


def test_who_waits_for_a_worker_in_an_environment_is_counted_apart_and_holds_nobody_up():
    scheduler = Scheduler({"CPU": 4 * UNIT})
    scheduler.enqueue(Waiting("env", b"j", {"CPU": UNIT}, runtime_env="E"))
    scheduler.enqueue(Waiting("plain", b"j", {"CPU": UNIT}))
    assert scheduler.servable(9) == {(b"j", "E"): 1, (b"", ""): 1}
    assert [waiting.key for waiting in scheduler.fitting()] == ["env", "plain"]


def test_ten_thousand_shapes_cost_no_more_than_their_number():
    count = 10_000  # 0.3 s on 2 cores; if each grant looked at all of them it would be minutes
    scheduler = Scheduler({"CPU": UNIT, "memory": count * UNIT})
    for number in range(count):
        scheduler.enqueue(Waiting(number, b"j", {"CPU": UNIT, "memory": number + 1}))
    served = []
    while (request := next_grant(scheduler, 1)) is not None:
        served.append(request.key)
        assert next_grant(scheduler, 2) is None
        assert scheduler.servable(4) == {}
        scheduler.release(1)
    assert served == list(range(count))
    scheduler.validate()
