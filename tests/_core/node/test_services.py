"""A service says that it serves, or the error tells what it said instead."""

import contextlib
import os
import resource

import pytest

from ray._core.node.services import Service, StartError

ANNOUNCE = "import os, sys; os.write(int(sys.argv[-1]), b'{\"port\": 7}\\n'); sys.stdin.read()"


@contextlib.contextmanager
def many_open_files():
    """As in a program that has opened more than `select` can name."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"The limit for open files is {hard}.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    opened = []
    try:
        while not opened or opened[-1] < 1100:
            opened.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_node_starts_in_a_program_with_many_open_files(tmp_path):
    with many_open_files():
        service = Service("it", ["-c", ANNOUNCE], tmp_path)
        try:
            assert service.wait_ready(30) == {"port": 7}
        finally:
            service.kill()


def test_the_error_of_one_that_ends_quotes_its_log(tmp_path):
    service = Service("it", ["-c", "raise SystemExit('no port is free')"], tmp_path)
    with pytest.raises(StartError, match=r"it ended with status 1 at its start(.|\n)*no port is free"):
        service.wait_ready(30)


def test_one_that_says_nothing_is_given_up(tmp_path):
    service = Service("it", ["-c", "import time; time.sleep(100)"], tmp_path)
    try:
        with pytest.raises(StartError, match="said nothing for 0 s"):
            service.wait_ready(0.0)
    finally:
        service.kill()
