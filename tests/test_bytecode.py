"""The directories of compiled modules of tests that were killed do not pile up."""

import subprocess
import sys
import tempfile

import bytecode


def test_a_run_removes_what_killed_runs_have_left_and_nothing_of_those_that_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(bytecode, "YOUNG_S", -1.0)
    set_up = f"import bytecode; bytecode.tempfile.tempdir = {str(tmp_path)!r}"
    script = f"{set_up}; print(bytecode.directory(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=bytecode.__file__.rpartition("/")[0],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        theirs = other.stdout.readline().strip()
        ours = bytecode.directory()
        assert sorted(map(str, tmp_path.iterdir())) == sorted([theirs, ours])
        other.kill()
    third = bytecode.directory()
    assert sorted(map(str, tmp_path.iterdir())) == sorted([ours, third])
