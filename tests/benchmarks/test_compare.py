"""The table of the comparison: medians over rounds, ratios in the right direction, what could not be measured."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from report import PURE, REAL, STDLIB, Line, Measurements, Samples, Setting, decode, merge, render, times_better

SETTING = Setting("2026-01-02", 2, 23.5, "3.11.7", "Linux", rounds=3, quick=False, load_average=0.1)


def test_a_disturbed_round_does_not_move_the_median():
    rounds = [Samples("tasks", "per second", values) for values in [(9, 10, 11), (1, 1, 1), (10, 12, 14)]]
    assert merge(rounds) == Line("tasks", "per second", 10, lowest=1, highest=12)


def test_a_round_that_failed_is_left_out_of_the_median_but_told():
    rounds = [
        Samples("tasks", "", error="killed"),
        Samples("tasks", "per second", (7,)),
        Samples("tasks", "", error="killed"),
    ]
    assert merge(rounds) == Line("tasks", "per second", 7, 7, 7, errors=("killed",))


@pytest.mark.parametrize(("unit", "expected"), [("per second", 0.25), ("seconds", 4.0), ("MiB", 4.0)])
def test_less_is_better_unless_it_is_a_rate(unit, expected):
    assert times_better(Line("x", unit, 2.0), Line("x", unit, 8.0)) == expected


def test_there_is_no_ratio_without_both_sides():
    measured, failed = Line("x", "seconds", 2.0), Line("x", "seconds", None)
    assert times_better(measured, None) is None
    assert times_better(failed, measured) is None


def test_the_report_of_a_run_is_decoded_with_its_errors():
    report = {
        "results": [
            {"name": "a", "unit": "seconds", "samples": [1.0, 2.0], "error": None},
            {"name": "b", "unit": "MiB", "samples": [], "error": "ImportError: no"},
        ]
    }
    assert decode(report) == [Samples("a", "seconds", (1.0, 2.0)), Samples("b", "MiB", error="ImportError: no")]


def test_the_results_hold_every_peer_and_say_what_was_not_measured():
    measurements = Measurements()
    for factor in (1.0, 2.0, 3.0):
        tasks = Samples("single client tasks sync", "per second", (5000 * factor,))
        measurements.add(PURE, [tasks, Samples("groups", "per second", error="ImportError: no groups")])
        measurements.add(
            REAL, [Samples(tasks.name, "per second", (1000 * factor,)), Samples("groups", "per second", (3.0,))]
        )
        measurements.add(STDLIB, [Samples("multiprocessing.Pool calls sync", "per second", (4000.0,))])
    text = render(measurements, SETTING)
    assert (
        "| single client tasks sync | per second | 10,000 (5,000 to 15,000) | 2,000 (1,000 to 3,000) | 5.00 x |" in text
    )
    assert "| groups | per second | not measured | 3 | - |" in text
    assert "| multiprocessing.Pool calls sync | 4,000 | single client tasks sync | 10,000 (5,000 to 15,000)" in text
    assert "- pure-ray, groups: ImportError: no groups" in text
    assert "2 cores, 23.5 GiB, Python 3.11.7" in text


def test_the_results_of_some_peers_alone_are_rendered():
    measurements = Measurements()
    measurements.add(REAL, [Samples("ray.init time", "seconds", (2.5,))])
    assert "| ray.init time | seconds | - | 2.5 | - |" in render(measurements, SETTING)
