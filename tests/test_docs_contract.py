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


def test_every_item_of_the_core_stands_there_once_and_names_a_test():
    rows = [line.strip("|").split(" | ") for line in (TESTS.parent / "docs/contract.md").read_text().splitlines()]
    items = [row for row in rows if len(row) == 3 and row[1].strip() not in ("item", "---")]
    assert len(items) > 150
    assert len({item for _, item, _ in items}) == len(items)
    assert [item for mark, item, shown in items if "::" not in shown or mark.strip() not in ("1", "2", "")] == []


def test_every_test_of_deployments_is_named():
    """So a test that is new finds its place in a table."""
    page = (TESTS.parent / "docs/contract_deployment.md").read_text()
    for directory in ("util/client", "runtime_env", "dashboard", "scripts"):
        for file in sorted((TESTS / directory).glob("test_*.py")):
            assert f"{directory}/{file.name}::" in page or file.name in UNITS, file
