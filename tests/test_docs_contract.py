"""The tests that docs/contract.md and docs/contract_deployment.md name are there."""

import fnmatch
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
UNITS = ("test_buffer_pool.py", "test_proto.py")
"""Below what is promised."""


@pytest.mark.parametrize("page", ["contract.md", "contract_deployment.md"])
def test_every_pattern_of_the_tables_names_a_test(page):
    patterns = re.findall(r"`([\w/]+\.py)::(\S+)`", (TESTS.parent / "docs" / page).read_text())
    assert len(patterns) > 100
    for file, pattern in patterns:
        names = re.findall(r"^(?:async )?def (test_\w+)", (TESTS / file).read_text(), re.MULTILINE)
        assert fnmatch.filter(names, pattern), f"{file} has no test like {pattern}"


def test_every_test_of_deployments_is_named():
    """So a test that is new finds its place in a table."""
    page = (TESTS.parent / "docs/contract_deployment.md").read_text()
    for directory in ("util/client", "runtime_env", "dashboard", "scripts"):
        for file in sorted((TESTS / directory).glob("test_*.py")):
            assert f"{directory}/{file.name}::" in page or file.name in UNITS, file
