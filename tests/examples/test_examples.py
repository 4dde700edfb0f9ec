"""The examples run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
pytestmark = pytest.mark.usefixtures("cluster")


def test_map_reduce_counts_the_standard_library(capsys):
    import map_reduce_stdlib

    counts = map_reduce_stdlib.main(["--limit", "60", "--batch", "7"])
    assert counts["Name"] > 1000
    assert "60 files" in capsys.readouterr().out
