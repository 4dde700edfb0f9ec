"""Programs written for Ray are checked well: types of refs and values are known, mistakes are found."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytest.importorskip("mypy")


def complaints(*command: str) -> set[int]:
    """Lines of bad.py that the checker complains about, after good.py passed."""
    good = subprocess.run([*command, str(HERE / "good.py")], capture_output=True, text=True, cwd=HERE.parents[1])
    assert good.returncode == 0, good.stdout
    bad = subprocess.run([*command, str(HERE / "bad.py")], capture_output=True, text=True, cwd=HERE.parents[1])
    return {int(number) for number in re.findall(r"bad\.py:(\d+)(?::\d+)?:? (?:- )?error", bad.stdout)}


def wanted() -> set[int]:
    lines = (HERE / "bad.py").read_text().splitlines()
    return {number for number, line in enumerate(lines, start=1) if line.endswith("# error")}


@pytest.mark.timeout(300)
def test_mypy_accepts_right_programs_and_finds_mistakes() -> None:
    assert complaints(sys.executable, "-m", "mypy", "--strict", "--no-error-summary") == wanted()


@pytest.mark.skipif(shutil.which("pyright") is None, reason="pyright is not installed")
@pytest.mark.timeout(300)
def test_pyright_accepts_right_programs_and_finds_mistakes() -> None:
    assert complaints("pyright") == wanted()
