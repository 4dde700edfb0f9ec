"""Facts of this machine, under the names that libraries import."""

from __future__ import annotations

import getpass
import os
import sys
import threading
from pathlib import Path

from ray._version import VERSION


def get_num_cpus() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_system_memory() -> int:
    """Bytes: the machine's memory, or the cgroup's limit where that is lower."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(file)
        text = path.read_text().strip() if path.exists() else ""
        if text.isdigit():
            total = min(total, int(text))
    return total


def get_used_memory() -> int:
    """Bytes of the machine's memory, or of the cgroup's, that are in use."""
    for file in ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes"):
        path = Path(file)
        if path.exists() and (text := path.read_text().strip()).isdigit():
            return int(text)
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return get_system_memory() - available


def get_user() -> str:
    """Who runs this process; "" where the system does not say."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def get_ray_doc_version() -> str:
    """The part of a link to Ray's documentation that names the version."""
    return f"releases-{VERSION}"


def split_address(address: str) -> tuple[str, str]:
    """(module, rest) of "module://rest". ValueError for anything else."""
    if "://" not in address:
        raise ValueError("Address must contain '://'")
    module, _, rest = address.partition("://")
    return module, rest


def get_directory_size_bytes(path: str | Path = ".") -> int:
    """Of the files below a directory."""
    return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(path) for name in names)


def ensure_str(s: str | bytes, encoding: str = "utf-8", errors: str = "strict") -> str:
    return s.decode(encoding, errors) if isinstance(s, bytes) else s


def is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def get_entrypoint_name() -> str:
    """How this process was started, as one line; with "(interactive_shell)" where a person types."""
    prefix = "(interactive_shell) " if hasattr(sys, "ps1") else ""
    return prefix + " ".join([sys.executable, *sys.argv]) if sys.argv else prefix + sys.executable


def compute_version_info() -> tuple[str, str]:
    """Ray's and Python's version."""
    return VERSION, ".".join(map(str, sys.version_info[:3]))


def try_to_create_directory(directory_path: str) -> None:
    """Make the directory and those above it, if they are missing."""
    os.makedirs(os.path.expanduser(directory_path), exist_ok=True)
