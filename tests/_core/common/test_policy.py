"""Placement: feasible before available, packing before spreading, and never a node that cannot hold it.

The policies are described in Ray's documentation, "Scheduling".
"""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.common.labels import matches
from ray._core.common.messages import NodeView, Strategy
from ray._core.common.policy import Choice, Knobs, Outcome, explain, pick_node, pick_of_many, utilization

UNIT = 10_000


def node(name, total, used=0, labels=None, alive=True, draining=False, **more):
    total = {"CPU": total * UNIT, **{key: amount * UNIT for key, amount in more.items()}}
    available = {**total, "CPU": total["CPU"] - used * UNIT}
    return NodeView(name.encode(), "h", 1, "", total, available, labels or {}, 1, alive, draining)


def pick(demand, nodes, strategy=Strategy(), labels=None, seed=0, **kwargs):  # noqa: B008
    demand = {name: int(amount * UNIT) for name, amount in demand.items()}
    return pick_node(demand, nodes, strategy, labels or {}, rng=Random(seed), **kwargs)


# ------------------------------------------------------------------ DEFAULT


def test_the_local_node_is_packed_until_it_is_half_used_and_then_others_take_over():
    busy = [node("a", 4, used=1), node("b", 4)]
    assert pick({"CPU": 1}, busy, local=b"a").node_id == b"a"
    fuller = [node("a", 4, used=2), node("b", 4)]
    assert pick({"CPU": 1}, fuller, local=b"a").node_id == b"b"


def test_beyond_half_use_the_least_used_is_taken():
    nodes = [node("a", 4, used=3), node("b", 4, used=2), node("c", 10, used=9)]
    assert pick({"CPU": 1}, nodes, local=b"a").node_id == b"b"


def test_ties_are_broken_at_random_among_the_top_fifth():
    nodes = [node(f"n{number:02}", 4) for number in range(20)]
    chosen = {pick({"CPU": 1}, nodes, seed=seed).node_id for seed in range(200)}
    assert chosen == {b"n00", b"n01", b"n02", b"n03"}


def test_work_without_gpu_avoids_gpu_nodes_unless_only_they_have_room():
    gpu, plain = node("a", 4, GPU=1), node("b", 4)
    assert pick({"CPU": 1}, [gpu, plain], local=b"a").node_id == b"b"
    assert pick({"CPU": 1}, [gpu, plain], local=b"a", knobs=Knobs(avoid_gpu_nodes=False)).node_id == b"a"
    assert pick({"CPU": 1}, [gpu, node("b", 4, used=4)]).node_id == b"a"
    assert pick({"CPU": 1, "GPU": 1}, [gpu, plain]).node_id == b"a"


def test_the_node_with_most_argument_bytes_is_taken_when_it_has_room():
    nodes = [node("a", 4), node("b", 4), node("c", 4, used=4)]
    assert pick({"CPU": 1}, nodes, local=b"a", prefer=[b"c", b"b"]).node_id == b"b"


def test_an_actor_that_needs_nothing_goes_anywhere():
    nodes = [node(name, 1, used=1) for name in "abc"]
    assert {pick({}, nodes, seed=seed).node_id for seed in range(50)} == {b"a", b"b", b"c"}


def test_busy_and_infeasible_are_told_apart():
    nodes = [node("a", 2, used=2), node("b", 1, used=1)]
    assert pick({"CPU": 2}, nodes, local=b"b") == Choice(Outcome.BUSY, b"a", "all 1 feasible nodes are busy")
    assert pick({"CPU": 1}, nodes, local=b"b").node_id == b"b"
    refused = pick({"CPU": 3, "x": 1}, nodes)
    assert refused.outcome is Outcome.INFEASIBLE
    assert refused.why == "it needs {'CPU': 3.0, 'x': 1.0}, and the most that a node has is 2 CPU, 0 x"


def test_dead_and_draining_nodes_get_nothing():
    nodes = [node("a", 4, alive=False), node("b", 4, draining=True)]
    assert pick({"CPU": 1}, nodes) == Choice(Outcome.INFEASIBLE, None, "no node is alive")


def test_amounts_that_no_node_has_together_are_explained():
    nodes = [node("a", 1, x=5), node("b", 5, x=1)]
    assert explain({"CPU": 5 * UNIT, "x": 5 * UNIT}, nodes) == "no single node has {'CPU': 5.0, 'x': 5.0} together"


def test_negative_amounts_are_refused():
    with pytest.raises(ValueError, match="negative"):
        pick({"CPU": -1}, [node("a", 1)])


# ------------------------------------------------------------------ SPREAD


def test_spread_goes_round_the_nodes_with_room():
    nodes, last, seen = [node("c", 2), node("a", 2), node("b", 2, used=2), node("d", 2)], b"", []
    for _ in range(5):
        last = pick({"CPU": 1}, nodes, Strategy("SPREAD"), spread_after=last).node_id
        seen.append(last)
    assert seen == [b"a", b"c", b"d", b"a", b"c"]


# ------------------------------------------------------------------ node affinity


def affinity(name, **kwargs):
    return Strategy("NODE_AFFINITY", node_id=name.encode(), **kwargs)


def test_hard_affinity_waits_for_a_busy_node_and_fails_for_a_dead_or_too_small_one():
    nodes = [node("a", 4), node("b", 2, used=2)]
    assert pick({"CPU": 1}, nodes, affinity("a")).node_id == b"a"
    waits = pick({"CPU": 1}, nodes, affinity("b"))
    assert (waits.outcome, waits.node_id) == (Outcome.BUSY, b"b")
    assert pick({"CPU": 1}, nodes, affinity("b", fail_on_unavailable=True)).outcome is Outcome.UNSCHEDULABLE
    assert pick({"CPU": 1}, nodes, affinity("z")).outcome is Outcome.UNSCHEDULABLE
    assert pick({"CPU": 3}, nodes, affinity("b")).outcome is Outcome.UNSCHEDULABLE


def test_soft_affinity_goes_elsewhere_when_the_node_is_gone_and_waits_while_it_is_busy():
    nodes = [node("a", 4), node("b", 2, used=2)]
    assert pick({"CPU": 1}, nodes, affinity("z", soft=True)).node_id == b"a"
    assert pick({"CPU": 3}, nodes, affinity("b", soft=True)).node_id == b"a"
    assert pick({"CPU": 1}, nodes, affinity("b", soft=True)).outcome is Outcome.BUSY
    assert pick({"CPU": 1}, nodes, affinity("b", soft=True, spill_on_unavailable=True)).node_id == b"a"


# ------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ("v", {"k": "v"}, True),
        ("v", {"k": "w"}, False),
        ("v", {}, False),
        ("!v", {"k": "w"}, True),
        ("!v", {"k": "v"}, False),
        ("!v", {}, True),
        ("in(v, w)", {"k": "w"}, True),
        ("in(v,w)", {"k": "x"}, False),
        ("!in(v,w)", {"k": "x"}, True),
        ("!in(v,w)", {"k": "v"}, False),
        ("!in(v,w)", {}, True),
        ("*", {"k": ""}, True),
        ("*", {}, False),
        ("!*", {}, True),
        ("!*", {"k": "v"}, False),
    ],
)
def test_each_selector(selector, labels, expected):
    assert matches({"k": selector}, labels) is expected


def test_labels_must_hold_and_soft_ones_are_a_wish():
    nodes = [node("a", 1, labels={"zone": "x"}), node("b", 1, labels={"zone": "y", "disk": "ssd"})]
    assert pick({"CPU": 1}, nodes, labels={"zone": "y"}).node_id == b"b"
    refused = pick({"CPU": 1}, nodes, labels={"zone": "z"})
    assert (refused.outcome, refused.why) == (Outcome.INFEASIBLE, "no node has the labels {'zone': 'z'}")
    assert pick({"CPU": 1}, nodes, Strategy("NODE_LABEL", labels_hard={"zone": "x"})).node_id == b"a"
    wish = Strategy("NODE_LABEL", labels_hard={"zone": "!z"}, labels_soft={"disk": "ssd"})
    assert pick({"CPU": 1}, nodes, wish).node_id == b"b"
    vain = Strategy("NODE_LABEL", labels_hard={"zone": "!z"}, labels_soft={"disk": "tape"})
    assert pick({"CPU": 1}, nodes, vain).outcome is Outcome.PLACED


# ------------------------------------------------------------------ properties

AMOUNTS = st.dictionaries(st.sampled_from(["CPU", "GPU", "memory", "x"]), st.integers(0, 8 * UNIT), max_size=4)


@st.composite
def views(draw):
    rows = []
    for number in range(draw(st.integers(0, 8))):
        total = draw(AMOUNTS)
        available = {name: draw(st.integers(-UNIT, units)) for name, units in total.items()}
        labels = draw(st.dictionaries(st.sampled_from("kl"), st.sampled_from("vw")))
        flags = draw(st.tuples(st.booleans() | st.just(True), st.just(False) | st.booleans()))
        rows.append(NodeView(bytes([number]), "h", 1, "", total, available, labels, 1, *flags))
    return rows


STRATEGIES = st.one_of(
    st.just(Strategy()),
    st.just(Strategy("SPREAD")),
    st.builds(
        Strategy,
        st.just("NODE_AFFINITY"),
        node_id=st.integers(0, 9).map(lambda n: bytes([n])),
        soft=st.booleans(),
        spill_on_unavailable=st.booleans(),
        fail_on_unavailable=st.booleans(),
    ),
)
SELECTORS = st.dictionaries(st.sampled_from("kl"), st.sampled_from(["v", "!v", "in(v,w)", "!in(v,w)"]), max_size=2)


def fits_naively(demand, amounts):
    return all(units <= amounts.get(name, 0) for name, units in demand.items())


@given(views(), AMOUNTS, STRATEGIES, SELECTORS, st.integers(0, 9), st.integers(0, 3))
def test_a_choice_is_sound(nodes, demand, strategy, labels, local, seed):
    choice = pick_node(demand, nodes, strategy, labels, rng=Random(seed), local=bytes([local]))
    again = pick_node(demand, list(nodes), strategy, labels, rng=Random(seed), local=bytes([local]))
    assert choice == again
    able = {
        n.node_id: n
        for n in nodes
        if n.alive and not n.draining and fits_naively(demand, n.total) and matches(labels, n.labels)
    }
    roomy = {name for name, n in able.items() if fits_naively(demand, n.available)}
    match choice.outcome:
        case Outcome.PLACED:
            assert choice.node_id in roomy
        case Outcome.BUSY:
            assert choice.node_id in able and choice.node_id not in roomy
            if strategy.kind != "NODE_AFFINITY":
                assert not roomy
        case Outcome.INFEASIBLE:
            assert not able and choice.node_id is None and choice.why
        case Outcome.UNSCHEDULABLE:
            assert (strategy.kind == "NODE_AFFINITY" and not strategy.soft) or strategy.fail_on_unavailable
            assert choice.why
    if strategy.kind == "NODE_AFFINITY" and not strategy.soft and choice.node_id is not None:
        assert choice.node_id == strategy.node_id


@given(st.integers(1, 12), st.integers(1, 60))
def test_spread_is_even(count, rounds):
    nodes, last, seen = [node(f"{number:02}", 1) for number in range(count)], b"", Counter()
    for _ in range(rounds):
        last = pick({}, nodes, Strategy("SPREAD"), spread_after=last).node_id
        seen[last] += 1
    assert max(seen.values()) - min(seen[n.node_id] for n in nodes) <= 1


def test_utilization_is_of_the_most_used_critical_resource():
    view = NodeView(b"a", "h", 1, "", {"CPU": 4, "memory": 8, "x": 1}, {"CPU": 3, "memory": 2, "x": 0}, {}, 1)
    assert utilization(view) == 0.75


def test_of_fallback_selectors_the_first_with_room_is_taken_then_the_first_that_could_ever_have_it():
    nodes = [
        node("a", 4, used=4, labels={"zone": "a"}),
        node("b", 4, labels={"zone": "b"}),
        node("c", 4, labels={"zone": "c"}),
    ]
    first = {"zone": "a"}
    others = [{"zone": "x"}, {"zone": "c"}, {"zone": "b"}]
    assert pick({"CPU": 1}, nodes, labels=first, fallbacks=others).node_id == b"c"
    busy = pick({"CPU": 1}, nodes, labels={"zone": "x"}, fallbacks=[{"zone": "y"}, first])
    assert (busy.outcome, busy.node_id) == (Outcome.BUSY, b"a")
    never = pick({"CPU": 1}, nodes, labels={"zone": "x"}, fallbacks=[{"zone": "y"}])
    assert never.outcome is Outcome.INFEASIBLE and "'x'" in never.why


# ------------------------------------------------------------------ large clusters

MANY = 1000


def pick_of(nodes, demand, seed, **kwargs):
    rows = {each.node_id: each for each in nodes}
    demand = {name: int(amount * UNIT) for name, amount in demand.items()}
    return pick_of_many(demand, rows, Strategy(), rng=Random(seed), **kwargs)


@given(st.integers(0, 2**32), st.integers(0, 8), st.integers(0, 3))
def test_a_node_is_found_in_a_large_cluster_whenever_there_is_one(seed, free, gpus):
    """However few have room, and never one that has none, or a GPU that a plain node could spare."""
    rng = Random(seed)
    nodes = [node(f"n{number:04}", 4, used=4) for number in range(MANY)]
    for number in rng.sample(range(MANY), free):
        nodes[number] = node(f"n{number:04}", 4, used=1)
    for number in rng.sample(range(MANY), gpus):
        nodes[number] = node(f"n{number:04}", 4, used=0, GPU=1)
    choice = pick_of(nodes, {"CPU": 2}, seed)
    assert choice.outcome is pick({"CPU": 2}, nodes).outcome
    if choice.outcome is Outcome.PLACED:
        (chosen,) = [each for each in nodes if each.node_id == choice.node_id]
        assert chosen.available["CPU"] >= 2 * UNIT
        others = [each for each in nodes if each.available["CPU"] >= 2 * UNIT and "GPU" not in each.total]
        assert "GPU" not in chosen.total or not others


def test_a_large_cluster_prefers_the_local_node_and_the_best_fifth():
    nodes = [node(f"n{number:04}", 100, used=50 + number // 25) for number in range(MANY)]
    assert pick_of([*nodes, node("z", 4)], {"CPU": 1}, 0, local=b"z").node_id == b"z"
    stale, own = node("z", 4, used=4), node("z", 4)
    assert pick_of([*nodes, stale], {"CPU": 1}, 0, local=b"z", own=own).node_id == b"z"
    chosen = [int(pick_of(nodes, {"CPU": 1}, seed).node_id[1:]) for seed in range(300)]
    assert sum(number < MANY * 0.3 for number in chosen) > 290  # a sample's best fifth is about that of all
    assert len(set(chosen)) > 100


def test_what_a_choice_costs_does_not_grow_with_the_cluster():
    class Counted(dict):
        looks = 0

        def __getitem__(self, key):
            Counted.looks += 1
            return super().__getitem__(key)

        def values(self):
            Counted.looks += len(self)
            return super().values()

    rows = Counted({each.node_id: each for each in (node(f"n{number}", 4) for number in range(5000))})
    assert pick_of_many({"CPU": UNIT}, rows, Strategy(), rng=Random(0)).outcome is Outcome.PLACED
    assert Counted.looks < 100
