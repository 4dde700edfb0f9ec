"""The lines of `make bench`: ratios of pairs, in the right direction, with what the work takes of the CPU."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import pairs
from pairs import Sample, line


@pytest.mark.parametrize(("unit", "told"), [("per second", "  0.50 x"), ("seconds", "  2.00 x")])
def test_above_one_is_better_than_the_base(unit, told):
    assert told in line("calls", unit, False, [(Sample(5.0, 0.0), Sample(10.0, 0.0))])


def test_a_pair_that_was_disturbed_moves_neither_the_ratio_nor_the_interval():
    found = [(Sample(factor * 30.0, 50e-6), Sample(factor * 10.0, 80e-6)) for factor in (1, 2, 1, 0.1)]
    found.append((Sample(1.0, 50e-6), Sample(10.0, 80e-6)))
    text = line("calls", "per second", True, found)
    assert "3.00 x (3.00 to 3.00)" in text
    assert "CPU 50 / 80 µs" in text


def test_both_sides_are_measured_in_turn():
    """The tree against itself: the import of ray, since no workload starts sooner."""
    command = [sys.executable, pairs.__file__, str(pairs.ROOT), "--only", "^import ray time$"]
    done = subprocess.run([*command, "--pairs", "1", "--starts", "1"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    [_, measured] = done.stdout.splitlines()
    assert measured.startswith("import ray time") and " x (" in measured
