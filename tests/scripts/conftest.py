"""The shell in which a test runs `ray` commands; what it left is ended, and nothing may stay behind."""

import shutil
import tempfile

import pytest
from commands import Shell, arenas_of
from polling import wait_until

from ray._core.node import processes


@pytest.fixture
def shell():
    """A Shell; what it left running is ended after the test, and its shared memory must be free then."""
    temp = tempfile.mkdtemp(prefix="rt", dir="/tmp")  # short: sockets lie below it
    shell = Shell(temp)
    yield shell
    left = shell.processes()
    arenas = arenas_of(left)
    _, stubborn = processes.stop(left, grace_s=10)
    assert stubborn == []
    wait_until(lambda: not any(arena.exists() for arena in arenas), "the arenas are gone")
    assert shell.processes() == []
    shutil.rmtree(temp)
