"""Who is away and who has ended: in every history, as a naive judge that knows the truth would say."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ray._core.gcs.presence import LONGEST_STEP_S, RESOLUTION_S, Ended, Knock, Presence

GRACE_S = 10.0
DOOR = ("10.0.0.1", 7000)


class World:
    """One GCS, and peers that connect, are cut, end; time passes in steps that the table asks for."""

    def __init__(self, grace_s=GRACE_S):
        self.table, self.now_s = Presence(grace_s), 0.0
        self.ended, self.knocks, self.numbers = {}, [], itertools.count()

    def act(self, effects):
        for effect in effects:
            if isinstance(effect, Ended):
                assert effect.peer not in self.ended, "nobody ends twice"
                self.ended[effect.peer] = effect
            else:
                self.knocks.append(effect)
        self.table.validate()

    def comes(self, peer, kind="core", node=b"n", door=DOOR):
        self.ended.pop(peer, None)
        connection = f"{peer}{next(self.numbers)}"
        self.act(self.table.came(kind, peer, node, door, connection, self.now_s))
        return connection

    def goes(self, connection, why="It was cut"):
        self.act(self.table.went(connection, why, self.now_s))

    def passes(self, seconds):
        end_s = self.now_s + seconds
        while (step_s := self.table.next_s()) is not None and self.now_s + step_s <= end_s:
            self.now_s += step_s
            self.act(self.table.pass_time(self.now_s))
        self.now_s = end_s
        self.act(self.table.pass_time(end_s))


def test_one_that_comes_back_within_the_grace_was_never_gone():
    world = World()
    connection = world.comes(b"w")
    for _ in range(5):
        world.goes(connection)
        world.passes(GRACE_S - 0.1)
        connection = world.comes(b"w")
    world.passes(100 * GRACE_S)
    assert not world.ended and world.table.next_s() is None


def test_one_that_does_not_come_back_has_ended_when_the_grace_is_over_and_not_before():
    world = World()
    world.goes(world.comes(b"w"))
    world.passes(GRACE_S - 0.01)
    assert not world.ended
    world.passes(0.02)
    assert world.ended[b"w"].why == "It was cut, and it was not back within 10 s."


def test_where_nobody_listens_any_more_nothing_is_waited_for():
    world = World()
    world.goes(world.comes(b"w"))
    [knock] = world.knocks
    assert knock.door == DOOR
    world.act(world.table.nobody_there(knock))
    assert "nobody listens at 10.0.0.1:7000" in world.ended[b"w"].why


def test_the_answer_to_a_knock_of_before_means_nothing():
    world = World()
    world.goes(world.comes(b"w"))
    [old] = world.knocks
    connection = world.comes(b"w")
    world.act(world.table.nobody_there(old))
    world.goes(connection)
    world.act(world.table.nobody_there(old))
    assert not world.ended


def test_who_was_given_up_and_came_again_has_all_of_its_grace():
    world = World()
    world.goes(world.comes(b"w"))
    world.passes(GRACE_S / 2)
    world.act(world.table.nobody_there(world.knocks[-1]))
    assert b"w" in world.ended
    world.goes(world.comes(b"w"))
    world.passes(GRACE_S - 0.1)
    assert not world.ended


def test_it_is_knocked_at_once_and_then_ever_more_seldom():
    world = World()
    world.goes(world.comes(b"w"))
    assert len(world.knocks) == 1
    world.passes(0.006)
    assert len(world.knocks) == 2
    world.passes(GRACE_S / 2)
    assert 9 < len(world.knocks) < 15


def test_the_end_of_an_older_connection_means_nothing():
    world = World()
    old = world.comes(b"w")
    new = world.comes(b"w")
    world.goes(old)
    world.passes(2 * GRACE_S)
    assert not world.ended and not world.knocks and world.table.connection(b"w") == new


def test_time_in_which_the_gcs_was_stopped_is_nobodys_fault():
    world = World()
    world.goes(world.comes(b"w"))
    world.now_s += 1000
    world.act(world.table.pass_time(world.now_s))
    assert not world.ended
    world.passes(GRACE_S)
    assert b"w" in world.ended


def test_a_new_node_at_the_door_of_one_that_is_away_shows_that_this_has_ended():
    world = World()
    world.goes(world.comes(b"n", "node", b"n"))
    world.comes(b"m", "node", b"m")
    assert world.ended[b"n"].why == "It was cut; another node has started at 10.0.0.1:7000."


def test_with_their_node_all_its_cores_end_those_that_are_away_too():
    world = World()
    world.comes(b"n", "node", b"n")
    here = world.comes(b"a")
    world.goes(world.comes(b"b"))
    other = world.comes(b"c", node=b"other")
    ended, connections = world.table.node_died(b"n")
    world.act(ended)
    assert set(world.ended) == {b"a", b"b"} and connections == [here]
    assert world.table.connection(b"c") == other


def test_after_a_restart_nodes_are_missed_until_each_is_back_or_given_up():
    world = World()
    for name in (b"1", b"2"):
        world.table.expect("node", name, name, (name.decode(), 1), 60.0, 0.0)
    world.table.expect("core", b"w", b"1", ("1", 5), 60.0, 0.0)
    world.table.validate()
    assert world.table.misses_nodes and not world.knocks
    world.comes(b"1", "node", b"1", ("1", 1))
    assert world.table.misses_nodes
    world.passes(59)
    assert not world.ended and world.knocks
    world.passes(2)
    assert set(world.ended) == {b"2", b"w"} and not world.table.misses_nodes


PEERS = [b"n1", b"n2", b"a", b"b", b"c"]
NODE_OF = {b"n1": b"n1", b"n2": b"n2", b"a": b"n1", b"b": b"n1", b"c": b"n2"}
EVENTS = st.one_of(
    st.tuples(st.just("comes"), st.sampled_from(PEERS)),
    st.tuples(st.just("cut"), st.integers(0, 5)),
    st.tuples(st.just("knocked"), st.integers(0, 5)),
    st.tuples(st.just("passes"), st.floats(0, 1.5 * GRACE_S)),
    st.tuples(st.just("stopped"), st.floats(0, 10 * GRACE_S)),
    st.tuples(st.just("node dies"), st.sampled_from([b"n1", b"n2"])),
)


@given(st.lists(EVENTS, max_size=40))
def test_in_every_history_exactly_those_end_who_are_away_for_longer_than_the_grace(history):
    """The judge: for each peer when it was last here, in time that the GCS was awake."""
    world = World()
    open_connections, newest, away_since_s, awake_s = [], {}, {}, 0.0
    for event, argument in history:
        before = set(world.ended)
        if event == "comes":
            kind = "node" if argument.startswith(b"n") else "core"
            connection = world.comes(argument, kind, NODE_OF[argument], (argument.decode(), 1))
            before.discard(argument)
            open_connections.append((connection, argument))
            newest[argument] = connection
            away_since_s.pop(argument, None)
        elif event == "cut" and open_connections:
            connection, peer = open_connections.pop(argument % len(open_connections))
            is_newest = newest.get(peer) == connection
            world.goes(connection)
            if is_newest and peer not in world.ended:
                away_since_s[peer] = awake_s
        elif event == "knocked" and world.knocks:
            knock = world.knocks[argument % len(world.knocks)]
            world.act(world.table.nobody_there(knock))
            for peer in set(world.ended) - before:
                assert peer == knock.peer and peer in away_since_s, "only who is away is knocked dead"
                del away_since_s[peer]
            before = set(world.ended)
        elif event == "passes":
            world.passes(argument)
            awake_s += argument
        elif event == "stopped":
            world.now_s += argument
            world.act(world.table.pass_time(world.now_s))
            awake_s += min(argument, 2 * LONGEST_STEP_S)
        elif event == "node dies":
            ended, connections = world.table.node_died(argument)
            world.act(ended)
            gone = {peer for peer in PEERS if NODE_OF[peer] == argument}
            assert set(world.ended) - before <= gone
            assert set(connections) <= {newest[peer] for peer in gone - {argument} if peer in newest}
            for peer in gone:
                away_since_s.pop(peer, None)
                newest.pop(peer, None)
            before = set(world.ended)
        for peer in set(world.ended) - before:
            assert away_since_s.pop(peer) + GRACE_S <= awake_s + 2 * RESOLUTION_S, "nobody is given up early"
            newest.pop(peer, None)
        if event in ("passes", "stopped"):
            for since_s in away_since_s.values():
                late_s = 0.0 if event == "passes" else 2 * LONGEST_STEP_S
                assert since_s + GRACE_S >= awake_s - late_s - 2 * RESOLUTION_S, "nobody is waited for too long"
    assert all(isinstance(knock, Knock) for knock in world.knocks)
