"""The tests that docs/contract.md names are there."""

import fnmatch
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "contract.md"


def test_every_pattern_of_the_table_names_a_test():
    patterns = re.findall(r"`([\w/]+\.py)::(\S+)`", PAGE.read_text())
    assert len(patterns) > 100
    for file, pattern in patterns:
        names = re.findall(r"^(?:async )?def (test_\w+)", (TESTS / file).read_text(), re.MULTILINE)
        assert fnmatch.filter(names, pattern), f"{file} has no test like {pattern}"
