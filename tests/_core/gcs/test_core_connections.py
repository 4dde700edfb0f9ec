"""Connections of core workers: the newest counts, and a dead node names all it had."""

from ray._core.gcs.core_connections import CoreConnections


def test_only_the_newest_connection_is_the_worker():
    cores = CoreConnections()
    cores.opened("old", b"w", b"n")
    cores.opened("new", b"w", b"n")
    assert not cores.closed("old")
    assert cores.closed("new")
    assert not cores.closed("new") and not cores.closed("a raylet")


def test_a_node_has_the_connections_that_are_open_there():
    cores = CoreConnections()
    for connection, node in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        cores.opened(connection, connection.encode(), node)
    cores.closed("a")
    assert cores.of_node(b"1") == ["b"] and cores.of_node(b"2") == ["c"] and cores.of_node(b"3") == []
    cores.closed("b")
    cores.closed("c")
    assert repr(cores) == "<CoreConnections connections=0 nodes=0>"
