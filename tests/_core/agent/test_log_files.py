"""Log files by their names."""

import pytest

from ray._core.agent import log_files


@pytest.fixture
def logs(tmp_path):
    (tmp_path / "logs" / "old").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (tmp_path / "logs" / "a.out").write_text("1\n2\n3\n")
    (tmp_path / "logs" / "b.err").write_text("no newline")
    (tmp_path / "logs" / "old" / "c.out").write_text("")
    return str(tmp_path / "logs")


def test_files_are_listed_by_pattern(logs):
    assert log_files.list_files(logs, "*") == ["a.out", "b.err", "old/c.out"]
    assert log_files.list_files(logs, "*.out") == ["a.out", "old/c.out"]


def test_a_file_is_read_in_pieces(logs):
    assert log_files.read(logs, "a.out", 0, 3) == (b"1\n2", 0)
    assert log_files.read(logs, "a.out", 3, 100) == (b"\n3\n", 3)
    assert log_files.read(logs, "a.out", 6, 100) == (b"", 6)


@pytest.mark.parametrize(
    ("name", "lines", "text"),
    [
        ("a.out", 0, b""),
        ("a.out", 1, b"3\n"),
        ("a.out", 2, b"2\n3\n"),
        ("a.out", 9, b"1\n2\n3\n"),
        ("b.err", 1, b"no newline"),
    ],
)
def test_the_last_lines_are_found(logs, name, lines, text):
    assert log_files.read(logs, name, 0, 100, lines)[0] == text


def test_the_last_lines_are_found_across_blocks(tmp_path):
    lines = [f"{number:0100d}\n" for number in range(5000)]
    (tmp_path / "x").write_text("".join(lines))
    assert log_files.read(str(tmp_path), "x", 0, 1 << 20, 3000)[0] == "".join(lines[2000:]).encode()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "old/../../secret"])
def test_nothing_outside_of_the_directory_is_read(logs, name):
    with pytest.raises(OSError):
        log_files.read(logs, name, 0, 100)


def test_a_link_out_of_the_directory_is_not_followed(logs, tmp_path):
    (tmp_path / "logs" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(PermissionError):
        log_files.read(logs, "link", 0, 100)
