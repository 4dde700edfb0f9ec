"""Gauges of the machine and of the processes of a node, from /proc. Floor: raylet, shell.

Rates and utilizations are those since the scrape before; the first one has none. Where /proc lacks something, there is
no gauge of it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ray._core.common.metrics import Family, Sample, Tags

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_SECTOR = 512
Numbers = dict[str, float]


def gauge(name: str, description: str, tags: Tags, value: float) -> Family:
    return Family(name, "gauge", description, [Sample(name, tags, value)])


class MachineMetrics:
    """Keeps the numbers of the scrape before. `directory`: of whose disk the free space is told."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._before: Numbers = {}
        self._at_s = 0.0
        self._processor_ticks: dict[int, float] = {}
        self._processes_at_s = 0.0

    def __repr__(self) -> str:
        return f"<MachineMetrics of {self._directory}>"

    def machine(self, tags: Tags) -> Iterator[Family]:
        now_s, cpu_count = time.monotonic(), os.cpu_count() or 1
        yield gauge("node_cpu_count", "Cores of the machine.", tags, cpu_count)
        yield from _memory(tags)
        yield from self._disk(tags)
        totals = {**_processor(), **_disk_totals(), **_network()}
        for name in ("disk_io_read", "disk_io_write", "disk_io_read_count", "disk_io_write_count"):
            if name in totals:
                yield gauge(f"node_{name}", "Since the machine's start, bytes or operations.", tags, totals[name])
        for name in ("network_sent", "network_received"):
            if name in totals:
                yield gauge(f"node_{name}", "Bytes since the machine's start.", tags, totals[name])
        since_s = now_s - self._at_s if self._before else 0.0
        rates = {name: max(total - self._before.get(name, total), 0.0) for name, total in totals.items()}
        self._before, self._at_s = totals, now_s
        busy, idle = rates.get("cpu_busy", 0.0), rates.get("cpu_idle", 0.0)
        used = 100 * busy / (busy + idle) if busy + idle else 0.0
        yield gauge("node_cpu_utilization", "Percent of all cores in use.", tags, used)
        for name, total in (
            ("node_disk_io_read_speed", "disk_io_read"),
            ("node_disk_io_write_speed", "disk_io_write"),
            ("node_disk_read_iops", "disk_io_read_count"),
            ("node_disk_write_iops", "disk_io_write_count"),
            ("node_network_send_speed", "network_sent"),
            ("node_network_receive_speed", "network_received"),
        ):
            if total in rates:
                yield gauge(name, "A second.", tags, rates[total] / since_s if since_s else 0.0)

    def _disk(self, tags: Tags) -> Iterator[Family]:
        disk = shutil.disk_usage(self._directory)
        yield gauge("node_disk_usage", "Bytes in use of the session's disk.", tags, disk.used)
        yield gauge("node_disk_free", "Bytes free of the session's disk.", tags, disk.free)
        used = 100 * disk.used / disk.total if disk.total else 0.0
        yield gauge("node_disk_utilization_percentage", "Of the session's disk.", tags, used)

    def processes(self, components: Mapping[int, str], tags: Tags) -> Iterable[Family]:
        """Args: components: what each process is, by its id, unless its title says so."""
        now_s, samples = time.monotonic(), dict[str, list[Sample]]()
        since_s, self._processes_at_s = now_s - self._processes_at_s, now_s
        ticks: dict[int, float] = {}
        for pid, component in components.items():
            numbers = _process(pid)
            if numbers is None:
                continue
            ticks[pid] = numbers.pop("ticks")
            spent = ticks[pid] - self._processor_ticks.get(pid, ticks[pid])
            numbers["cpu_percentage"] = 100 * spent / _TICKS_PER_S / since_s if since_s else 0.0
            labels = (("Component", _title(pid) or component), ("pid", str(pid)), *tags)
            for name, value in numbers.items():
                samples.setdefault(name, []).append(Sample(f"component_{name}", labels, value))
        self._processor_ticks = ticks
        return [Family(f"component_{name}", "gauge", "Of one process.", found) for name, found in samples.items()]


def _lines(path: str) -> list[str]:
    """None of a file that this system does not have."""
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _memory(tags: Tags) -> Iterator[Family]:
    rows = {row.partition(":")[0]: int(row.split()[1]) * 1024 for row in _lines("/proc/meminfo")}
    if not rows:
        return
    total, free = rows["MemTotal"], rows["MemAvailable"]
    yield gauge("node_mem_total", "Bytes of memory of the machine.", tags, total)
    yield gauge("node_mem_available", "Bytes of memory that programs could get.", tags, free)
    yield gauge("node_mem_used", "Bytes of memory in use.", tags, total - free)
    yield gauge("node_mem_shared_bytes", "Bytes of shared memory.", tags, rows["Shmem"])
    swap, used = rows["SwapTotal"], rows["SwapTotal"] - rows["SwapFree"]
    yield gauge("node_swap_total", "Bytes of swap space.", tags, swap)
    yield gauge("node_swap_used", "Bytes of swap space in use.", tags, used)
    yield gauge("node_swap_utilization", "Percent of the swap space in use.", tags, 100 * used / swap if swap else 0.0)


def _processor() -> Numbers:
    for row in _lines("/proc/stat")[:1]:
        ticks = [float(each) for each in row.split()[1:9]]
        idle = ticks[3] + ticks[4]  # waiting for a disk counts as idle
        return {"cpu_idle": idle, "cpu_busy": sum(ticks) - idle}
    return {}


def _disk_totals() -> Numbers:
    """Of whole disks: a partition's traffic is in its disk's row too."""
    found: Numbers = {}
    for row in _lines("/proc/diskstats"):
        fields = row.split()
        if len(fields) < 10 or not os.path.exists(f"/sys/block/{fields[2]}"):
            continue
        for name, value in (
            ("disk_io_read_count", float(fields[3])),
            ("disk_io_read", float(fields[5]) * _SECTOR),
            ("disk_io_write_count", float(fields[7])),
            ("disk_io_write", float(fields[9]) * _SECTOR),
        ):
            found[name] = found.get(name, 0.0) + value
    return found


def _network() -> Numbers:
    """Of all interfaces but the loopback."""
    found: Numbers = {}
    for row in _lines("/proc/net/dev")[2:]:
        name, _, rest = row.partition(":")
        if name.strip() == "lo":
            continue
        fields = rest.split()
        found["network_received"] = found.get("network_received", 0.0) + float(fields[0])
        found["network_sent"] = found.get("network_sent", 0.0) + float(fields[8])
    return found


def _title(pid: int) -> str:
    """Of a worker, "ray::" and what it does; else ""."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""
    return title.split("(")[0].strip() if title.startswith("ray::") else ""


def _process(pid: int) -> Numbers | None:
    """None for one that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = [int(each) * _PAGE for each in Path(f"/proc/{pid}/statm").read_text().split()[:3]]
        num_fds = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    resident, shared = pages[1], pages[2]
    return {
        "ticks": float(stat[11]) + float(stat[12]),
        "rss_bytes": resident,
        "rss_mb": resident / 1e6,
        "uss_bytes": resident - shared,
        "uss_mb": (resident - shared) / 1e6,
        "shared_bytes": shared,
        "num_fds": num_fds,
    }
