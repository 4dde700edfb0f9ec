"""A driver under `uv run` gives its workers the same environment: they run by the same command.

Source: Ray docs, "Environment dependencies", "Using uv for package management". RAY_ENABLE_UV_RUN_RUNTIME_ENV=0 turns
it off.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SWITCH = "RAY_ENABLE_UV_RUN_RUNTIME_ENV"
_WITH_VALUE = {
    *("--extra", "--group", "--no-group", "--only-group", "--env-file", "--with", "--with-editable"),
    *("--with-requirements", "--python", "-p", "--package", "--index", "--default-index", "--index-url", "-i"),
    *("--extra-index-url", "--find-links", "-f", "--directory", "--project", "--config-file", "--cache-dir"),
    *("--python-platform", "--resolution", "--prerelease", "--link-mode", "--refresh-package", "--config-setting"),
}
"""Options of `uv run` that are followed by a value."""


def adapted(wanted: dict[str, Any], ancestors: Iterable[Sequence[str]] | None = None) -> dict[str, Any]:
    """`wanted`, with what `uv run` asks for when this process runs under it.

    Args:
        ancestors: command lines of the parents, nearest first; None: as they are.
    Raises:
        RuntimeError: packages are to be installed by pip or uv as well.
    """
    if os.environ.get(SWITCH, "1") != "1" or "py_executable" in wanted:
        return wanted
    command = uv_command(ancestors_of_this_process() if ancestors is None else ancestors)
    if command is None:
        return wanted
    if wanted.get("pip") or wanted.get("uv"):
        raise RuntimeError(
            "You are using the 'pip' or 'uv' runtime environments together with 'uv run'. These are not compatible: "
            f"put the packages into the project that uv runs, or set {SWITCH}=0."
        )
    return {"working_dir": os.getcwd(), **wanted, "py_executable": shlex.join(command)}


def uv_command(ancestors: Iterable[Sequence[str]]) -> list[str] | None:
    """`uv run` with its options, but without the script; None when no ancestor is a `uv run`. Pure."""
    for words in ancestors:
        if len(words) > 1 and os.path.basename(words[0]) == "uv" and "run" in words[1:]:
            return [*words[: words.index("run") + 1], *_options(words[words.index("run") + 1 :])]
    return None


def _options(words: Sequence[str]) -> list[str]:
    """The options up to the script, module or program."""
    kept: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        if word == "--" or not word.startswith("-") or word in ("-m", "--module", "-s", "--script"):
            break
        taken = 2 if word in _WITH_VALUE else 1
        kept += words[index : index + taken]
        index += taken
    return kept


def ancestors_of_this_process() -> list[list[str]]:
    """Command lines of this process's parents, nearest first; none where there is no /proc."""
    found: list[list[str]] = []
    pid = os.getppid()
    while pid > 1:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            break
        found.append(words)
        pid = int(stat.rsplit(")", 1)[1].split()[1])
    return found
