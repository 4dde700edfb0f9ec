"""A broadcast becomes a tree: nobody gives an object to many at a time, and nobody waits in a circle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.raylet.offers import Offers
from ray._core.raylet.parts import Parts


def test_others_are_sent_to_those_who_get_it_in_turn():
    offers = Offers(fan_out=2)
    first, second = offers.ask(b"x", b"A", True), offers.ask(b"x", b"B", True)
    assert [offers.ask(b"x", node, True) for node in (b"C", b"D", b"E")] == [b"A", b"B", b"A"]
    assert isinstance(offers.ask(b"x", b"C", False), int)  # A could not give it
    assert isinstance(offers.ask(b"y", b"C", True), int)  # another object
    offers.ended(first)
    offers.ended(second)
    assert isinstance(offers.ask(b"x", b"D", True), int)


def test_nobody_is_sent_to_itself():
    offers = Offers(fan_out=1)
    offers.ask(b"x", b"A", True)
    assert isinstance(offers.ask(b"x", b"A", True), int)  # it has lost its connection, and asks anew


@given(st.lists(st.integers(0, 39), min_size=1, max_size=40, unique=True), st.integers(1, 3))
def test_all_who_ask_at_once_find_a_giver_through_few_others(order, fan_out):
    """Each node that gets the object gives it on in turn; none has ended before the last has asked."""
    givers = {"source": Offers(fan_out)}
    depth, children = {"source": 0}, {}
    for number in order:
        asked = "source"
        while isinstance(answer := givers[asked].ask(b"x", str(number).encode(), True), bytes):
            asked = answer.decode()
            assert asked in depth, "sent to a node that does not get it"
        givers[str(number)], depth[str(number)] = Offers(fan_out), depth[asked] + 1
        children[asked] = children.get(asked, 0) + 1
    assert max(children.values()) <= fan_out
    full_levels = next(d for d in range(50) if sum(fan_out**level for level in range(1, d + 1)) >= len(order))
    assert max(depth.values()) <= full_levels


@pytest.mark.parametrize("num_nodes", [1, 2, 8, 30])
def test_where_the_network_is_the_limit_a_broadcast_takes_little_more_than_two_transfers(num_nodes):
    """Each node sends one part and takes one part in a step; what has come is passed on while the rest comes in.

    (On one machine all nodes share its processors, so there a broadcast takes as long as that many copies.)
    """
    num_parts = 64
    have = {"source": Parts(num_parts, 1)}
    for start in range(num_parts):
        have["source"].came(start)
    offers, children = {"source": Offers()}, {"source": []}
    for number in range(num_nodes):
        node, giver = f"node {number}", "source"
        while isinstance(answer := offers[giver].ask(b"x", node.encode(), True), bytes):
            giver = answer.decode()
        have[node], offers[node], children[node] = Parts(num_parts, 1), Offers(), []
        children[giver].append(node)
    steps = 0
    while not all(parts.is_whole for parts in have.values()):
        steps += 1
        arrivals = []
        for giver, takers in children.items():
            takers.sort(key=lambda node: have[node].come_bytes)  # the one that has waited is served
            for taker in takers:
                part = have[taker].claim()
                if part is not None and have[giver].has(*part):
                    arrivals.append((taker, part[0]))
                    break
                if part is not None:
                    have[taker].again(part[0])
        for taker, start in arrivals:
            have[taker].came(start)
    assert steps <= min(num_nodes, 2) * num_parts + 10
