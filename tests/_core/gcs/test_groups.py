"""Placement groups event by event: all bundles or none, two phases, rescheduled, removed; nothing stays reserved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray._core.common.messages import BundleSpec, NodeView, PlacementGroupInfo
from ray._core.gcs.groups import Commit, GroupTable, Prepare, Publish, Return


def node(name, available, total=None):
    return NodeView(name, "h", 1, "", {"CPU": available if total is None else total}, {"CPU": available}, {}, 1)


def group(group_id=b"g", *amounts, strategy="PACK", **more):
    bundles = [BundleSpec(index, {"CPU": each}, {}) for index, each in enumerate(amounts)]
    name = more.pop("name", "")
    return PlacementGroupInfo(group_id, b"job", name, "ns", strategy, bundles, False, b"", "", [], **more)


def states(effects):
    return [effect.info.state for effect in effects if isinstance(effect, Publish)]


def created(table, info, *nodes):
    """Create the group and have every node agree."""
    table.create(info, 1)
    orders = table.schedule(nodes)
    while orders:
        order = orders.pop(0)
        if isinstance(order, Prepare):
            orders += table.prepared(order.group_id, order.attempt, order.node_id, True, 2)
        elif isinstance(order, Commit):
            orders += table.committed(order.group_id, order.attempt, order.node_id, True, 2)
    table.validate()
    return table.get(info.group_id)


def test_a_group_on_one_node_takes_one_phase():
    table = GroupTable()
    assert table.create(group(b"g", 1, 1), 5)
    [prepare] = table.schedule([node(b"a", 2)])
    assert isinstance(prepare, Prepare) and prepare.commit and len(prepare.bundles) == 2
    effects = table.prepared(b"g", prepare.attempt, b"a", True, 7)
    assert states(effects) == ["CREATED"]
    info = table.get(b"g")
    assert (info.nodes, info.created_at_ms, info.ready_at_ms, info.attempts) == ([b"a", b"a"], 5, 7, 1)


def test_on_several_nodes_all_reserve_before_any_commits():
    table = GroupTable()
    table.create(group(b"g", 1, 1, strategy="STRICT_SPREAD"), 1)
    first, second = table.schedule([node(b"a", 1), node(b"b", 1)])
    assert not first.commit
    assert table.prepared(b"g", 1, first.node_id, True, 2) == []
    effects = table.prepared(b"g", 1, second.node_id, True, 2)
    assert states(effects) == ["PREPARED"] and [type(e) for e in effects[1:]] == [Commit, Commit]
    assert table.committed(b"g", 1, b"a", True, 3) == []
    assert states(table.committed(b"g", 1, b"b", True, 3)) == ["CREATED"]


def test_a_refusal_gives_everything_back_and_the_group_tries_again():
    table = GroupTable()
    table.create(group(b"g", 1, 1, strategy="SPREAD"), 1)
    nodes = [node(b"a", 1), node(b"b", 1)]
    table.schedule(nodes)
    table.prepared(b"g", 1, b"a", True, 2)
    [returned] = table.prepared(b"g", 1, b"b", False, 2)
    assert isinstance(returned, Return) and returned.node_id == b"a" and not returned.removed
    assert [info.group_id for info in table.pending()] == [b"g"]
    table.validate()
    assert [order.attempt for order in table.schedule(nodes)] == [2, 2]
    assert table.prepared(b"g", 1, b"a", True, 2) == [], "an answer to the first attempt"


def test_what_does_not_fit_waits_and_is_known_to_be_busy_or_infeasible():
    table = GroupTable()
    table.create(group(b"g", 2), 1)
    assert table.schedule([node(b"a", 1)]) == [] and table.get(b"g").infeasible
    assert table.schedule([node(b"a", 1, total=2)]) == [] and not table.get(b"g").infeasible
    assert len(table.schedule([node(b"a", 2)])) == 1


def test_two_groups_of_one_pass_do_not_get_the_same_room():
    table = GroupTable()
    table.create(group(b"g", 1), 1)
    table.create(group(b"h", 1), 1)
    [prepare] = table.schedule([node(b"a", 1)])
    assert prepare.group_id == b"g"


def test_names_are_unique_until_removal():
    table = GroupTable()
    assert table.create(group(b"g", 1, name="n"), 1)
    assert not table.create(group(b"h", 1, name="n"), 1)
    assert table.named("n", "ns").group_id == b"g" and table.named("n", "other") is None
    table.remove(b"g")
    assert table.named("n", "ns") is None and table.get(b"g").state == "REMOVED"
    assert table.create(group(b"h", 1, name="n"), 1)


def test_removal_returns_all_bundles_also_those_being_reserved():
    table = GroupTable()
    created(table, group(b"g", 1, 1, strategy="STRICT_SPREAD"), node(b"a", 1), node(b"b", 1))
    effects = table.remove(b"g")
    assert effects[:2] == [Return(b"g", b"a", [0], True), Return(b"g", b"b", [1], True)] or effects[:2] == [
        Return(b"g", b"a", [1], True),
        Return(b"g", b"b", [0], True),
    ]
    assert states(effects) == ["REMOVED"] and table.remove(b"g") == []
    table.create(group(b"h", 1), 1)
    table.schedule([node(b"a", 1)])
    assert table.remove(b"h")[0] == Return(b"h", b"a", [0], True)
    assert table.prepared(b"h", 1, b"a", True, 2) == []
    table.validate()


def test_lost_bundles_are_placed_anew_and_the_others_stay():
    table = GroupTable()
    info = created(table, group(b"g", 1, 1, strategy="STRICT_SPREAD"), node(b"a", 1), node(b"b", 1))
    lost = info.nodes.index(b"a")
    assert states(table.node_died(b"a", 3)) == ["RESCHEDULING"]
    table.validate()
    assert table.schedule([node(b"b", 1)]) == [], "one bundle per node"
    [prepare] = table.schedule([node(b"b", 1), node(b"c", 1)])
    assert (prepare.node_id, [b.index for b in prepare.bundles]) == (b"c", [lost])
    assert states(table.prepared(b"g", prepare.attempt, b"c", True, 4)) == ["CREATED"]
    assert sorted(table.get(b"g").nodes) == [b"b", b"c"]


def test_a_node_that_dies_while_it_reserves_fails_the_attempt():
    table = GroupTable()
    table.create(group(b"g", 1, 1, strategy="STRICT_SPREAD"), 1)
    table.schedule([node(b"a", 1), node(b"b", 1)])
    table.prepared(b"g", 1, b"a", True, 2)
    effects = table.node_died(b"b", 3)
    assert [type(e) for e in effects] == [Return] and effects[0].node_id == b"a"
    assert table.get(b"g").state == "PENDING"
    table.validate()


def restarted(table):
    """The table of a GCS that is started after the one of `table` was killed."""
    after = GroupTable()
    after.restore(dict(table.take_rows()))
    return after


def test_bundles_that_a_node_made_usable_before_the_gcs_was_killed_stay():
    """What runs there would be ended, since the GCS had not written down yet that the group is created."""
    table = GroupTable()
    table.create(group(b"g", 1, 1), 1)
    table.schedule([node(b"a", 2)])
    after = restarted(table)
    [commit] = after.reconcile(b"a", [(b"g", 0), (b"g", 1)])
    after.validate()
    assert (type(commit), commit.node_id, commit.indexes) == (Commit, b"a", [0, 1])
    assert states(after.committed(b"g", commit.attempt, b"a", True, 2)) == ["CREATED"]
    assert after.get(b"g").nodes == [b"a", b"a"]


def test_a_part_of_what_a_group_lacks_goes_back_when_the_gcs_was_killed():
    table = GroupTable()
    table.create(group(b"g", 1, 1, strategy="STRICT_SPREAD"), 1)
    table.schedule([node(b"a", 1), node(b"b", 1)])
    after = restarted(table)
    assert after.reconcile(b"a", [(b"g", 0)]) == [Return(b"g", b"a", [0], False)]
    assert after.get(b"g").state == "PENDING"
    after.validate()


def created_by(actor, detached=False):
    info = group(b"g", 1)
    return type(info)(*[getattr(info, f) for f in info.__struct_fields__[:6]], detached, actor, "", [])


@pytest.mark.parametrize("detached", [False, True])
def test_groups_end_with_their_job_unless_detached(detached):
    table = GroupTable()
    table.create(created_by(b"", detached), 1)
    assert states(table.actor_died(b"another")) == []
    assert states(table.job_finished(b"job")) == ([] if detached else ["REMOVED"])


def test_groups_of_an_actor_end_once_both_the_actor_and_its_job_have():
    for first, second in (("actor_died", "job_finished"), ("job_finished", "actor_died")):
        table = GroupTable()
        table.create(created_by(b"actor"), 1)
        ids = {"actor_died": b"actor", "job_finished": b"job"}
        assert states(getattr(table, first)(ids[first])) == []
        assert states(getattr(table, second)(ids[second])) == ["REMOVED"]


# ------------------------------------------------------------------ properties


class Cluster:
    """Nodes that reserve honestly, and deliver their answers in any order."""

    def __init__(self, sizes):
        self.free = {bytes([65 + number]): size for number, size in enumerate(sizes)}
        self.total = dict(self.free)
        self.held = {}  # (node, group, index) -> amount
        self.answers = []

    def views(self):
        return [node(name, units, self.total[name]) for name, units in self.free.items()]

    def act(self, effects):
        for effect in effects:
            if isinstance(effect, Prepare) and effect.node_id in self.free:
                need = sum(b.resources["CPU"] for b in effect.bundles)
                ok = need <= self.free[effect.node_id]
                for bundle in effect.bundles if ok else ():
                    key = (effect.node_id, effect.group_id, bundle.index)
                    assert key not in self.held
                    self.held[key] = bundle.resources["CPU"]
                    self.free[effect.node_id] -= bundle.resources["CPU"]
                self.answers.append(("prepared", effect, ok))
            elif isinstance(effect, Commit) and effect.node_id in self.free:
                assert all((effect.node_id, effect.group_id, index) in self.held for index in effect.indexes)
                self.answers.append(("committed", effect, True))
            elif isinstance(effect, Return) and effect.node_id in self.free:
                for index in effect.indexes:
                    amount = self.held.pop((effect.node_id, effect.group_id, index), 0)
                    self.free[effect.node_id] += amount

    def listed(self, name):
        return [(group_id, index) for node_name, group_id, index in self.held if node_name == name]


ACTIONS = ["create", "remove", "schedule", "answer", "answer", "answer", "die", "restart"]
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 99)), min_size=10, max_size=40)


@given(STEPS, st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_group_has_all_its_bundles_or_none_and_nothing_stays_reserved(steps, sizes):
    table, cluster, count, written = GroupTable(), Cluster(sizes), 0, {}

    def restart():
        """The GCS is killed, and what was on its way to it is lost; another one hears from all nodes."""
        restored = GroupTable()
        restored.restore(written)
        cluster.answers.clear()
        for name in cluster.free:
            cluster.act(restored.reconcile(name, cluster.listed(name)))
        return restored

    def write():
        for group_id, row in table.take_rows():
            written[group_id] = row

    def answer(pick):
        kind, order, ok = cluster.answers.pop(pick % len(cluster.answers))
        if order.node_id in cluster.free:
            handle = table.prepared if kind == "prepared" else table.committed
            cluster.act(handle(order.group_id, order.attempt, order.node_id, ok, 1))

    for action, pick in steps:
        if action == "create":
            count += 1
            strategy = ["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"][pick % 4]
            table.create(group(bytes([count]), *[1 + pick // 8 % 2] * (1 + pick % 3), strategy=strategy), 1)
        elif action == "remove" and count:
            cluster.act(table.remove(bytes([1 + pick % count])))
        elif action == "schedule":
            cluster.act(table.schedule(cluster.views()))
        elif action == "answer" and cluster.answers:
            answer(pick)
        elif action == "die" and len(cluster.free) > 1:
            name = sorted(cluster.free)[pick % len(cluster.free)]
            del cluster.free[name]
            cluster.held = {key: amount for key, amount in cluster.held.items() if key[0] != name}
            cluster.act(table.node_died(name, 1))
        elif action == "restart":
            table = restart()
        table.validate()
        write()
    while cluster.answers:
        answer(0)
        table.validate()
    held = {}
    for name, group_id, index in cluster.held:
        held.setdefault(group_id, {})[index] = name
    for info in table.infos():
        mine = held.pop(info.group_id, {})
        if info.state == "CREATED":
            assert mine == dict(enumerate(info.nodes))
        elif info.state == "RESCHEDULING":
            assert mine == {index: name for index, name in enumerate(info.nodes) if name}
        else:
            assert mine == {}, info
    assert held == {}
