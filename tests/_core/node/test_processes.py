"""Which processes `ray stop` takes for ours, and how it ends them."""

import signal
import subprocess
import sys

import pytest

from ray._core.node import processes
from ray._core.node.processes import Process, service_of


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["python", "-m", "ray._core.raylet.main", "--session-dir", "/t/s"], ("ray._core.raylet.main", "/t/s")),
        (["python", "-m", "ray.dashboard.dashboard", "--session-dir", "/t/s"], ("ray.dashboard.dashboard", "/t/s")),
        (["python", "-m", "ray.scripts.scripts", "start", "--session-dir", "/t/s"], None),
        (["python", "-m", "raylet", "--session-dir", "/t/s"], None),
        (["python", "-m", "ray._core.gcs.server"], None),
        (["grep", "ray._core.raylet.main", "--session-dir"], None),
        (["-m"], None),
        ([], None),
    ],
)
def test_a_service_is_known_by_its_command_line(argv, expected):
    assert service_of(argv) == expected


def test_only_sessions_below_the_directory_are_found(tmp_path):
    module = tmp_path / "fake.py"
    sleeping = "import time; time.sleep(1000)"
    module.write_text(
        f"import subprocess, sys\nprint('up', flush=True)\nsubprocess.run([sys.executable, '-c', {sleeping!r}])\n"
    )
    code = "import runpy, sys; runpy.run_path(sys.argv[-1])"
    command = [
        sys.executable,
        "-c",
        code,
        "-m",
        "ray._core.raylet.main",
        "--session-dir",
        str(tmp_path / "s"),
        str(module),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    found = []
    # Its child is on its way: between fork and exec it has its parent's command line.
    while [each.session_dir for each in found] != [str(tmp_path / "s"), ""]:
        found = processes.of_this_machine(tmp_path)
    assert found[0].pid == process.pid
    assert found[1].parent == process.pid and found[1].session_dir == ""
    assert processes.of_this_machine(tmp_path / "s" / "other") == []
    ended, stubborn = processes.stop(found, grace_s=0.5)  # the child hears nothing: it is killed
    assert [each.pid for each in ended] == [process.pid]
    assert [each.pid for each in stubborn] == [found[1].pid]
    assert process.wait() == -signal.SIGTERM
    assert processes.of_this_machine(tmp_path) == []
    process.stdout.close()


def test_what_ignores_sigterm_is_killed_after_the_grace():
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(1000)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    ended, stubborn = processes.stop([Process(process.pid, 0, "stubborn", "/s")], grace_s=0.2)
    assert ended == [] and [each.name for each in stubborn] == ["stubborn"]
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


def test_a_process_that_has_ended_already_is_no_trouble():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert processes.stop([Process(process.pid, 0, "gone", "/s")], grace_s=1) == ([], [])
