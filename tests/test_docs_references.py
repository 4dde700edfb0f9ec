"""The documents name only files that exist."""

import re
from pathlib import Path

import pytest

import ray

ENGINE = Path(ray.__file__).parent
ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


@pytest.fixture(scope="module")
def files():
    """Paths of all files of the tree, each with a slash before it."""
    return [
        f"/{path.relative_to(ROOT)}" for part in ("src", "tests", "benchmarks") for path in (ROOT / part).rglob("*.py")
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_modules_that_a_document_names_exist(document, files):
    named = set(re.findall(r"`([\w/]+\.py)`", document.read_text()))
    users_own = {"my_script.py"}
    assert {name for name in named if not any(path.endswith(f"/{name}") for path in files)} - users_own == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_a_document_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#]+)", document.read_text())
    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


def test_packages_and_directories_of_the_architecture_exist():
    text = (ROOT / "docs/architecture.md").read_text()
    named = re.findall(r"`(_core/\w+/|util/[\w/]+/|dashboard/)`", text)
    assert named and [name for name in named if not (ENGINE / name).is_dir()] == []
