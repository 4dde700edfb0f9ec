"""Programs as users of Ray write them: each is a script that checks itself and prints "ok" at the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
NOT_YET: dict[str, str] = {}


def _parameters():
    for path in SCRIPTS:
        reason = NOT_YET.get(path.stem)
        marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
        yield pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.timeout(100)
@pytest.mark.parametrize("path", list(_parameters()))
def test_the_program_ends_well(path, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=environment | {"RAY_USAGE_STATS_ENABLED": "0"},
        cwd=tmp_path,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert done.stdout.splitlines()[-1] == "ok"
