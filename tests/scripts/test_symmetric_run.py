"""`ray symmetric-run`: one command, a cluster while a program runs. Source: cluster.md 1.2."""

import socket
import sys

import pytest

from ray.scripts.symmetric_run import split


@pytest.mark.parametrize(
    ("argv", "given", "expected"),
    [
        (["--num-cpus=1", "--", "python", "x.py", "--", "y"], ("--num-cpus=1", "python", "x.py", "--", "y"),
         (["--num-cpus=1"], ["python", "x.py", "--", "y"])),
        (["--", "python"], ("python",), ([], ["python"])),
        (["python"], ("python",), (["python"], [])),
    ],
)  # fmt: skip
def test_the_entrypoint_is_what_stands_behind_the_dashes(argv, given, expected):
    assert split(argv, given) == expected


def test_the_program_runs_on_a_cluster_that_is_gone_afterwards(shell, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = tmp_path / "program.py"
    program.write_text("import ray, sys; ray.init(); print('on', int(ray.cluster_resources()['CPU'])); sys.exit(3)")
    flags = ("--num-cpus=5", "--object-store-memory=100000000", "--ray-client-server-port=0")
    said, _ = shell.ray(
        "symmetric-run", f"--address=127.0.0.1:{port}", *flags, "--", sys.executable, str(program), status=3
    )
    assert "on 5" in said
    assert shell.processes() == []


def test_what_it_decides_itself_cannot_be_given(shell):
    _, complained = shell.ray("symmetric-run", "--address=127.0.0.1:1", "--head", "--", "true", status=1)
    assert "`--head` is what this command decides itself" in complained
    _, complained = shell.ray("symmetric-run", "--address=127.0.0.1:1", status=1)
    assert "No entrypoint" in complained
