"""What this machine has: cores, memory, addresses, accelerators. Floor: node, shell (reads only)."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

STORE_SHARE = 0.3
"""Part of the free memory that becomes the object store."""
GREATEST_STORE = 200_000_000_000


def num_cpus() -> int:
    """Cores that this process may use, by affinity and by cgroup quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _read("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        cores = min(cores, max(-(-int(quota[0]) // int(quota[1])), 1))
    return cores


def num_gpus() -> int:
    """NVIDIA GPUs of the machine, or those that CUDA_VISIBLE_DEVICES leaves."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    here = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    if visible is None:
        return here
    return min(here, len([name for name in visible.split(",") if name.strip() not in ("", "NoDevFiles", "-1")]))


def available_memory() -> int:
    """Bytes that new processes may take: free in the machine, and within the cgroup's limit."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", _read("/proc/meminfo"))
    free = int(found[1]) * 1024 if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, used = _read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory.current")
    if limit.isdigit() and used.isdigit():
        free = min(free, max(int(limit) - int(used), 0))
    return free


def object_store_memory(free: int, shm_dir: str) -> int:
    """Bytes: 30 % of `free`, within what `shm_dir` holds."""
    shm = os.statvfs(shm_dir)
    return min(int(free * STORE_SHARE), int(shm.f_bavail * shm.f_frsize * 0.95), GREATEST_STORE)


def node_ip(towards: str = "8.8.8.8") -> str:
    """The address that packets to `towards` would leave from; 127.0.0.1 without a network. Nothing is sent."""
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((towards, 53))
        except OSError:
            return "127.0.0.1"
        name: str = sock.getsockname()[0]
        return name


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:  # another kernel, or no such controller here
        return ""
