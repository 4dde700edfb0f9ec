"""The GCS's tables."""

from ray._core.common.messages import NodeInfo, ReportResources
from ray._core.gcs.kv import KvTable
from ray._core.gcs.nodes import DEAD_KEPT, NodeTable


def test_put_without_overwrite_keeps_the_first_value():
    table = KvTable()
    assert table.put("n", b"k", b"1", overwrite=False)
    assert not table.put("n", b"k", b"2", overwrite=False)
    assert table.get("n", b"k") == b"1"
    assert table.get("other", b"k") is None


def test_delete_by_prefix_tells_what_went():
    table = KvTable()
    for key in (b"a1", b"a2", b"b1"):
        table.put("n", key, b"", overwrite=True)
    assert table.delete("n", b"a", by_prefix=True) == [b"a1", b"a2"]
    assert table.delete("n", b"zz", by_prefix=False) == []
    assert table.keys("n", b"") == [b"b1"]


def node(node_id):
    return NodeInfo(node_id, "h", 1, "p", "h", "n", False, "", "", {"CPU": 10_000})


def test_a_dead_node_stays_listed_and_reports_no_more():
    table = NodeTable()
    table.register(node(b"1"))
    dead = table.die(b"1", "R", "it went", 5)
    assert dead is not None and dead.state == "DEAD" and dead.death_message == "it went"
    assert table.die(b"1", "R", "again", 6) is None
    table.report(ReportResources(b"1", 9, {}, {}, []))
    assert table.views() == [] and [info.state for info in table.infos()] == ["DEAD"]


def test_dead_nodes_are_listed_up_to_a_number_and_their_rows_go_with_them():
    table, rows = NodeTable(), {}

    def journal():
        for key, row in table.take_rows():
            rows[key] = row

    for number in range(DEAD_KEPT + 1):
        table.register(node(str(number).encode()))
        journal()
        table.die(str(number).encode(), "R", "it went", number)
        journal()
    assert len(table.infos()) == DEAD_KEPT and table.info(b"0") is None and rows[b"0"] is None
    again = NodeTable()
    again.restore({key: row for key, row in reversed(rows.items()) if row is not None})
    assert again.take_rows() == []
    again.register(node(b"x"))
    again.die(b"x", "R", "it went", 0)
    assert again.info(b"1") is None and again.info(b"2") is not None  # the oldest went


def test_a_drained_node_stays_so_when_it_or_the_gcs_comes_back():
    table = NodeTable()
    table.register(node(b"1"))
    assert table.drain(b"1", preempted=True).draining
    assert table.register(node(b"1")).draining and table.info(b"1").preempted and table.views()[0].draining
    again = NodeTable()
    again.restore(dict(table.take_rows()))
    assert again.views()[0].draining
    assert again.register(node(b"1")).preempted and again.views()[0].draining


def test_an_older_report_changes_nothing():
    table = NodeTable()
    table.register(node(b"1"))
    table.report(ReportResources(b"1", 2, {"CPU": 5}, {"CPU": 10}, []))
    table.report(ReportResources(b"1", 1, {"CPU": 7}, {"CPU": 10}, []))
    assert table.views()[0].available == {"CPU": 5}


def test_schedulers_are_told_each_change_once_and_of_a_death_too():
    table = NodeTable()
    table.register(node(b"1"))
    assert [(v.node_id, v.labels) for v in table.take_changes()] == [(b"1", {"ray.io/node-id": "31"})]
    assert table.take_changes() == []
    table.report(ReportResources(b"1", 1, {"CPU": 7}, {"CPU": 10}, []))
    table.report(ReportResources(b"1", 2, {"CPU": 5}, {"CPU": 10}, []))
    assert [v.available for v in table.take_changes()] == [{"CPU": 5}]
    assert table.drain(b"1") is not None
    assert [v.draining for v in table.take_changes()] == [True]
    table.die(b"1", "R", "it went", 5)
    assert [(v.node_id, v.alive) for v in table.take_changes()] == [(b"1", False)]
    assert table.drain(b"1") is None


def test_what_was_sent_to_a_node_counts_until_its_next_report_and_changes_no_row_that_was_given_away():
    table = NodeTable()
    table.register(node(b"1"))
    table.report(ReportResources(b"1", 1, {"CPU": 7}, {"CPU": 10}, []))
    [before], [told] = table.views(), table.take_changes()
    table.debit(b"1", {"CPU": 2})
    table.debit(b"1", {"CPU": 1})
    table.credit(b"1", {"CPU": 1})
    assert table.views()[0].available == {"CPU": 5}
    assert before.available == told.available == {"CPU": 7}
    table.credit(b"1", {"CPU": 99})
    assert table.views()[0].available == {"CPU": 10}, "never more than there is"
    table.report(ReportResources(b"1", 2, {"CPU": 6}, {"CPU": 10}, []))
    assert table.views()[0].available == {"CPU": 6}
