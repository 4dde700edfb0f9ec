"""The examples run as their users run them, as scripts of their own, and what they print is right."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *arguments):
    """What the example prints; it starts a cluster of its own, which ends with it."""
    command = [sys.executable, str(EXAMPLES / name), "--address", "local", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_map_reduce_counts_what_a_plain_loop_counts(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import map_reduce_stdlib

    by_hand = map_reduce_stdlib.Census()
    for path in map_reduce_stdlib.sources(limit=60):
        by_hand.read(path)
    printed = run("map_reduce_stdlib.py", "--limit", "60", "--batch", "7")
    assert by_hand.nodes.total() > 10_000
    assert f"{by_hand.nodes.total():,} syntax nodes" in printed
    assert f"60 files, {by_hand.size_bytes / 1e6:.1f} MB, {by_hand.lines:,} lines" in printed
    assert "17 tasks" in printed  # 9 batches, and 8 merges of two


def test_pi_is_near_and_does_not_depend_on_the_number_of_actors():
    three, one = (
        re.findall(r"^pi = ([\d.]+)", run("monte_carlo_pi.py", "--samples", "100001", "--batch", "9000", "--actors", n))
        for n in ("3", "1")
    )
    assert three == one
    assert float(one[0]) == pytest.approx(math.pi, abs=0.02)


def test_the_parameter_server_learns_the_spirals():
    printed = run("parameter_server.py", "--steps", "300", "--report-every", "100")
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", printed)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.3
    assert float(re.findall(r"accuracy ([\d.]+)%", printed)[-1]) > 90


def test_the_pipeline_counts_what_a_plain_loop_counts(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import word_pipeline

    pages = [page for module in word_pipeline.MODULES for page in word_pipeline.pages_of(module)]
    words = sum(word.isalpha() for page in pages for word in page.split())
    for producers, consumers in (("1", "1"), ("2", "3")):
        printed = run("word_pipeline.py", "--producers", producers, "--consumers", consumers)
        assert f"{words:,} words on {len(pages)} pages" in printed
