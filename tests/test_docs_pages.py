"""The examples of the pages in docs/ run, in the order of each page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    ("page", "examples"), [("util.md", 4), ("logs.md", 2), ("timeouts_and_priorities.md", 1), ("waiting.md", 1)]
)
def test_the_examples_of_the_page_run(tmp_path, page, examples):
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == examples
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "RAY_ADDRESS": "local"},
    )
    assert done.returncode == 0, done.stderr
    if page == "logs.md":
        assert '"message": "at work"' in done.stderr and '"step": 1' in done.stderr, done.stderr
