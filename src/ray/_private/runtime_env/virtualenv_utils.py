"""Where virtual environments lie, and whether this process runs in one."""

from __future__ import annotations

import os
import sys


def is_in_virtualenv() -> bool:
    return sys.prefix != sys.base_prefix


def get_virtualenv_path(target_dir: str) -> str:
    return os.path.join(target_dir, "virtualenv")


def get_virtualenv_python(target_dir: str) -> str:
    return os.path.join(get_virtualenv_path(target_dir), "bin", "python")


def get_virtualenv_activate_command(target_dir: str) -> list[str]:
    """The beginning of a shell command line that runs in the environment."""
    return ["source", os.path.join(get_virtualenv_path(target_dir), "bin", "activate"), "1>&2", "&&"]
