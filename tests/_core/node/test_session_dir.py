"""The session directory and the file that names the cluster."""

import os

import pytest

from ray._core.node import session_dir


def test_the_temp_dir_follows_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/x")
    assert str(session_dir.temp_dir()) == "/x/ray"
    assert str(session_dir.temp_dir("/y")) == "/y"


def test_a_session_is_private_and_the_latest_one_is_linked(tmp_path):
    for name in ("session_1", "session_2", "session_1"):
        made = session_dir.prepare(tmp_path, name)
        assert made.stat().st_mode & 0o777 == 0o700
        assert {"logs", "sockets"} <= {path.name for path in made.iterdir()}
        assert (tmp_path / "session_latest").resolve() == made
    assert not list(tmp_path.glob(".*"))


def test_a_temp_dir_that_is_too_long_for_sockets_is_refused_before_anything_starts(tmp_path):
    deep = tmp_path / ("d" * 100)
    with pytest.raises(OSError, match=r"AF_UNIX path length cannot exceed 107 bytes.*shorter temp dir"):
        session_dir.prepare(deep, session_dir.new_session_name())
    assert not deep.exists()


def test_several_nodes_of_one_machine_listen_at_different_names(tmp_path):
    found = [session_dir.listen(tmp_path, "raylet") for _ in range(3)]
    assert [name for _, name in found] == ["raylet", "raylet.1", "raylet.2"]
    for sock, _ in found:
        sock.close()
    os.unlink(tmp_path / "raylet.1")
    sock, name = session_dir.listen(tmp_path, "raylet")
    assert name == "raylet.1"
    sock.close()
    with pytest.raises(OSError, match="Cannot listen at"):
        session_dir.listen(tmp_path / "nowhere", "raylet")


def test_the_current_cluster_is_written_and_read(tmp_path):
    assert session_dir.read_current_cluster(tmp_path) == ""
    session_dir.write_current_cluster(tmp_path, "1.2.3.4:5")
    assert session_dir.read_current_cluster(tmp_path) == "1.2.3.4:5"
    assert [path.name for path in tmp_path.iterdir()] == [session_dir.CURRENT_CLUSTER]
