"""The reaper on real processes: what it watches, when it kills, what it unlinks."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from ray._core.node.node import REAPER
from ray._core.node.reaper import END, Reaper, Watched, charge

SLEEP = [sys.executable, "-S", "-E", "-c", "import time; time.sleep(1000)"]


class Started:
    """A reaper whose owner is a process of its own, and one process that it watches."""

    def __init__(self, tmp_path, *flags):
        self.owner = subprocess.Popen(SLEEP)
        self.watched = subprocess.Popen(SLEEP)
        self.file = tmp_path / "memory"
        self.file.write_text("x")
        pipe, self.fate = os.pipe()
        self.reaper = subprocess.Popen(
            [sys.executable, "-S", "-E", str(REAPER), *flags, str(self.owner.pid)], stdin=pipe, start_new_session=True
        )
        os.close(pipe)
        self.charge(self.watched.pid, str(self.file), str(tmp_path / "never there"))

    def charge(self, pid, *files):
        os.write(self.fate, charge(pid, list(files)))

    def close(self):
        os.close(self.fate)


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(*flags):
        started.append(Started(tmp_path, *flags))
        return started[0]

    yield begin
    for each in started:
        for process in (each.owner, each.watched, each.reaper):
            process.kill()
            process.wait()


def test_when_the_owner_is_killed_it_kills_and_frees_though_the_pipe_stays_open(start):
    it = start()
    it.owner.kill()
    assert it.watched.wait(10) == -signal.SIGKILL
    it.watched.wait()
    assert it.reaper.wait(10) == 0
    assert not it.file.exists()
    it.close()


def test_when_the_pipe_closes_it_kills_and_frees(start):
    it = start()
    it.close()
    assert it.watched.wait(10) == -signal.SIGKILL
    assert it.reaper.wait(10) == 0
    assert not it.file.exists()


def test_a_process_that_ends_leaves_no_file_and_the_reaper_stays(start):
    it = start()
    second = subprocess.Popen(SLEEP)
    it.charge(second.pid)
    it.watched.kill()
    it.watched.wait()
    while it.file.exists():
        assert it.reaper.poll() is None
    assert second.poll() is None
    it.close()
    assert second.wait(10) == -signal.SIGKILL
    assert it.reaper.wait(10) == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_that_end_everything_else_do_not_end_it(start, signum):
    it = start()
    second = subprocess.Popen(SLEEP)  # once it is told of and freed, the handlers are there
    it.charge(second.pid)
    it.watched.kill()
    it.watched.wait()
    while it.file.exists():
        pass
    it.reaper.send_signal(signum)
    it.close()
    assert second.wait(10) == -signal.SIGKILL
    assert it.reaper.wait(10) == 0


def test_detached_it_outlives_the_owner_and_waits_for_the_watched(start):
    it = start("--detached")
    os.write(it.fate, END)
    it.close()
    it.owner.kill()
    it.owner.wait()
    with pytest.raises(subprocess.TimeoutExpired):
        it.reaper.wait(0.3)
    assert it.watched.poll() is None and it.file.exists()
    it.watched.terminate()
    it.watched.wait()
    assert it.reaper.wait(10) == 0
    assert not it.file.exists()


def test_a_process_that_is_gone_already_is_seen_as_gone():
    process = subprocess.Popen(SLEEP)
    process.kill()
    process.wait()
    watched = Watched(process.pid)
    assert watched.look(set())
    watched.kill()  # whoever has the number now is left alone


def test_a_socket_that_another_node_has_bound_since_stays(tmp_path):
    path = tmp_path / "raylet.1"
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.bind(str(path))
        watched = Watched(os.getpid(), [os.fsencode(path)])
        path.unlink()
        second.bind(str(path))
        watched.clean()
        assert path.exists()
        Watched(os.getpid(), [os.fsencode(path)]).clean()
        assert not path.exists()
    memory = tmp_path / "memory"
    memory.write_text("x")
    watched = Watched(os.getpid(), [os.fsencode(memory)])
    memory.write_text("written to")
    watched.clean()
    assert not memory.exists()


def test_charges_are_understood_however_they_are_cut():
    """And whatever is in a path: a new line, bytes that are no text."""
    files = ["/tmp/a b\n", os.fsdecode(b"/tmp/\xff"), "/"]
    said = charge(os.getpid(), files) + charge(os.getpid(), []) + END
    for cut in range(len(said) + 1):
        read, write = os.pipe()
        reaper = Reaper(read, None)
        for part in (said[:cut], said[cut:]):
            if part:
                os.write(write, part)
                reaper._read()
        assert [(each.pid, list(each.files)) for each in reaper.watched] == [
            (os.getpid(), [os.fsencode(file) for file in files]),
            (os.getpid(), []),
        ]
        assert reaper.pipe == -1
        for descriptor in (read, write, *(each.fd for each in reaper.watched)):
            os.close(descriptor)
