"""What module docstrings say of themselves ("Floor: raylet, pure.") is so. import-linter holds the floors' order."""

import ast
import re
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src" / "ray"
ENGINE = sorted(path for path in (SOURCES / "_core").rglob("*.py") if path.name != "__init__.py")
OUTSIDE = (
    *("asyncio", "mmap", "multiprocessing", "os", "queue", "select", "selectors", "shutil", "signal", "socket", "ssl"),
    *("subprocess", "tempfile", "threading", "time", "_thread"),
)
"""Where I/O, the clock, threads and the operating system come from."""


def floor_of(path: Path) -> tuple[str, str]:
    """What the docstring says: the floor, and the words behind it; "" for nothing."""
    found = re.search(r"\bFloor:\s+(\w+)([^.]*)", ast.get_docstring(ast.parse(path.read_text())) or "")
    return (found[1], found[2].strip(", ")) if found else ("", "")


def imported(path: Path) -> set[str]:
    """First names of the modules that are imported anywhere in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


PURE = [path for path in SOURCES.rglob("*.py") if floor_of(path)[1] == "pure"]


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: str(path.relative_to(SOURCES)))
def test_a_module_of_the_engine_names_the_floor_that_it_is_on(path):
    assert floor_of(path)[0] == path.relative_to(SOURCES / "_core").parts[0]


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(SOURCES)))
def test_a_pure_module_imports_nothing_of_the_outside(path):
    assert imported(path) & set(OUTSIDE) == set()


def test_there_are_pure_modules_and_the_names_of_the_outside_are_modules():
    assert len(PURE) > 50
    assert set(OUTSIDE) <= set(sys.stdlib_module_names)
