"""Bundles on nodes: what is chosen fits, and the strict strategies find a place whenever there is one."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.common.labels import matches
from ray._core.common.messages import BundleSpec, NodeView
from ray._core.gcs.packing import is_feasible, pack, pack_among_many

STRATEGIES = ["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]


def node(name, labels=None, **amounts):
    return NodeView(name.encode(), "h", 1, "", amounts, dict(amounts), labels or {}, 1)


def bundles(*amounts, **selector):
    return [BundleSpec(index, each, selector) for index, each in enumerate(amounts)]


def test_pack_uses_few_nodes_and_spread_many():
    nodes = [node(name, CPU=4) for name in "abc"]
    wanted = bundles(*[{"CPU": 1}] * 3)
    assert len(set(pack(wanted, "PACK", nodes).values())) == 1
    assert len(set(pack(wanted, "SPREAD", nodes).values())) == 3
    assert Counter(Counter(pack(bundles(*[{"CPU": 1}] * 5), "SPREAD", nodes).values()).values()) == {2: 2, 1: 1}


def test_soft_strategies_do_what_they_can_and_strict_ones_refuse():
    nodes = [node("a", CPU=2), node("b", CPU=1)]
    wanted = bundles(*[{"CPU": 1}] * 3)
    assert Counter(pack(wanted, "PACK", nodes).values()) == {b"a": 2, b"b": 1}
    assert Counter(pack(wanted, "SPREAD", nodes).values()) == {b"a": 2, b"b": 1}
    assert pack(wanted, "STRICT_PACK", nodes) is None
    assert pack(wanted, "STRICT_SPREAD", nodes) is None


def test_strict_pack_takes_the_wished_node_if_it_can():
    nodes = [node("a", CPU=2), node("b", CPU=2), node("c", CPU=1)]
    assert pack(bundles({"CPU": 2}), "STRICT_PACK", nodes, soft_target=b"b") == {0: b"b"}
    assert pack(bundles({"CPU": 2}), "STRICT_PACK", nodes, soft_target=b"c")[0] in (b"a", b"b")


def test_what_keeps_its_place_is_respected():
    nodes = [node(name, CPU=4) for name in "abc"]
    missing = [BundleSpec(1, {"CPU": 1}, {})]
    assert pack(missing, "STRICT_SPREAD", nodes, {0: b"a"})[1] != b"a"
    assert pack(missing, "STRICT_PACK", nodes, {0: b"b"}) == {1: b"b"}
    assert pack(missing, "PACK", nodes, {0: b"c"}) == {1: b"c"}
    assert pack(missing, "SPREAD", nodes, {0: b"a"})[1] != b"a"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_labels_of_bundles_must_hold(strategy):
    nodes = [node("a", {"zone": "x"}, CPU=4), node("b", {"zone": "y"}, CPU=4)]
    assert pack(bundles({"CPU": 1}, zone="y"), strategy, nodes) == {0: b"b"}
    assert pack(bundles({"CPU": 1}, zone="z"), strategy, nodes) is None


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gpu_nodes_are_left_to_those_who_need_them(strategy):
    nodes = [node("a", CPU=4, GPU=4), node("b", CPU=4)]
    assert pack(bundles({"CPU": 1}), strategy, nodes) == {0: b"b"}
    assert pack(bundles({"CPU": 1, "GPU": 1}), strategy, nodes) == {0: b"a"}


def test_a_busy_cluster_is_not_an_infeasible_one():
    full = NodeView(b"a", "h", 1, "", {"CPU": 2}, {"CPU": 0}, {}, 1)
    assert pack(bundles({"CPU": 2}), "PACK", [full]) is None
    assert is_feasible(bundles({"CPU": 2}), "PACK", [full])
    assert not is_feasible(bundles({"CPU": 3}), "PACK", [full])


def test_all_bundles_go_to_nodes_with_one_value_of_the_topologys_label():
    nodes = [node(f"{rack}{number}", {"rack": rack}, CPU=2) for rack in "ab" for number in range(2)]
    nodes.append(node("none", CPU=8))

    def racks(count, strategy):
        places = pack(bundles(*[{"CPU": 1}] * count), strategy, nodes, topology_label="rack")
        return places and (len({place[:1] for place in places.values()}), len(set(places.values())))

    assert racks(2, "PACK") == (1, 1)
    assert racks(2, "SPREAD") == racks(2, "STRICT_SPREAD") == racks(4, "PACK") == (1, 2)
    assert racks(3, "STRICT_SPREAD") is racks(5, "PACK") is racks(3, "STRICT_PACK") is None
    assert pack([BundleSpec(1, {"CPU": 2}, {})], "PACK", nodes, {0: b"b0"}, b"", "rack")[1][:1] == b"b"
    assert not is_feasible(bundles(*[{"CPU": 1}] * 5), "PACK", nodes, topology_label="rack")
    assert not is_feasible(bundles({"CPU": 1}), "PACK", nodes, topology_label="room")


def test_a_topology_that_was_used_least_is_left_whole():
    fuller = NodeView(b"b", "h", 1, "", {"CPU": 4}, {"CPU": 2}, {"rack": "b"}, 1)
    nodes = [node("a", {"rack": "a"}, CPU=4), fuller, node("c", {"rack": "c"}, CPU=4)]
    assert pack(bundles({"CPU": 2}), "PACK", nodes, topology_label="rack") == {0: b"b"}


AMOUNTS = st.dictionaries(st.sampled_from(["CPU", "GPU", "x"]), st.integers(0, 4), max_size=3)
LABELS = st.dictionaries(st.just("k"), st.sampled_from("vw"))
NODES = st.lists(st.tuples(AMOUNTS, LABELS), max_size=5).map(
    lambda rows: [node(f"{number}", labels, **amounts) for number, (amounts, labels) in enumerate(rows)]
)
BUNDLES = st.lists(st.tuples(AMOUNTS, st.sampled_from([{}, {"k": "v"}, {"k": "!v"}])), min_size=1, max_size=4).map(
    lambda rows: [BundleSpec(index, amounts, labels) for index, (amounts, labels) in enumerate(rows)]
)


@given(NODES, BUNDLES, st.sampled_from(STRATEGIES))
def test_a_place_within_one_domain_is_found_if_there_is_one(nodes, wanted, strategy):
    places = pack(wanted, strategy, nodes, topology_label="k")
    within = [[each for each in nodes if each.labels.get("k") == value] for value in "vw"]
    assert (places is None) == all(pack(wanted, strategy, rows) is None for rows in within)
    if places is not None:
        values = {each.labels["k"] for each in nodes if each.node_id in places.values()}
        assert len(values) == 1
        assert holds(places, wanted, nodes)


def holds(places, wanted, nodes):
    left = {n.node_id: dict(n.available) for n in nodes}
    for bundle in wanted:
        node_id = places[bundle.index]
        for name, units in bundle.resources.items():
            left[node_id][name] = left[node_id].get(name, 0) - units
        if not matches(bundle.label_selector, next(n.labels for n in nodes if n.node_id == node_id)):
            return False
    return all(units >= 0 for amounts in left.values() for units in amounts.values())


def exists(wanted, nodes, is_allowed):
    """Every assignment, tried one after another."""
    return any(
        is_allowed(choice) and holds(dict(zip(range(len(wanted)), choice, strict=True)), wanted, nodes)
        for choice in itertools.product([n.node_id for n in nodes], repeat=len(wanted))
    )


@given(BUNDLES, NODES, st.sampled_from(STRATEGIES))
def test_a_packing_is_whole_and_fits(wanted, nodes, strategy):
    places = pack(wanted, strategy, nodes)
    if places is not None:
        assert set(places) == {bundle.index for bundle in wanted}
        assert holds(places, wanted, nodes)
        if strategy == "STRICT_PACK":
            assert len(set(places.values())) == 1
        if strategy == "STRICT_SPREAD":
            assert len(set(places.values())) == len(wanted)
    elif strategy == "STRICT_PACK":
        assert not exists(wanted, nodes, lambda choice: len(set(choice)) == 1)
    elif strategy == "STRICT_SPREAD":
        assert not exists(wanted, nodes, lambda choice: len(set(choice)) == len(choice))


@given(st.sampled_from(STRATEGIES), st.integers(1, 4), st.sets(st.integers(0, 599), max_size=5), st.integers(0, 100))
def test_in_a_large_cluster_a_place_is_found_whenever_there_is_one(strategy, count, with_room, turn):
    """Whichever window of the nodes is looked at first."""
    nodes = [node(f"n{number:03}", CPU=2 if number in with_room else 0) for number in range(600)]
    wanted = bundles(*[{"CPU": 1}] * count)
    places = pack_among_many(wanted, strategy, nodes, turn=turn)
    assert (places is None) == (pack(wanted, strategy, nodes) is None)
    if places is not None:
        assert holds(places, wanted, nodes)


def test_windows_move_on_and_keep_to_what_is_placed_and_wished():
    nodes = [node(f"n{number:03}", CPU=9) for number in range(600)]
    (one,) = bundles({"CPU": 1})
    assert len({pack_among_many([one], "PACK", nodes, turn=turn)[0] for turn in range(9)}) == 9
    assert pack_among_many([one], "STRICT_PACK", nodes, soft_target=b"n599")[0] == b"n599"
    two = bundles({"CPU": 1}, {"CPU": 1})
    assert pack_among_many(two[1:], "STRICT_PACK", nodes, placed={0: b"n599"})[1] == b"n599"
