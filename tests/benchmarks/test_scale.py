"""benchmarks/scale.py tells processes apart and measures each."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import scale


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("python\0-m\0ray._core.gcs.server\0--listen-fd\0" + "3", "gcs_server"),
        ("python\0-m\0ray._core.raylet.main\0--session-dir\0/t", "raylets"),
        ("raylet: zygote\0\0", "other"),
        ("ray::small_value\0\0", "workers"),
        ("ray::Agent\0", "other"),
    ],
)
def test_roles(command, role):
    assert scale.role_of(command) == role


def test_a_row_has_what_each_process_used():
    _, row = scale.workers([1], 5000)
    assert row[:2] == ["1", "1"]
    assert float(row[3]) > 0 and float(row[4]) > 0  # driver and worker, counted in ticks of 10 ms
    assert set(scale.roles().values()) <= {"driver", "other"}  # the cluster is gone
