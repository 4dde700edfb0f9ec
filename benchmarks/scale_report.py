"""`scale.md` and `scale.svg`, from what `scale_simulated.py` has measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

HEAD = """# Thousands of nodes, on virtual time

Written by `python benchmarks/scale_simulated.py --report`. The gcs_server is the real one, with its journal; so are
four nodes with drivers, their raylets and core workers. All other nodes are modelled (`scale_model.py`): they speak
the real messages and decide nothing. A callback of a real process takes as long on the virtual clock as it took of
one core of this machine (2 cores, Python 3.11, busy with other work), so an overloaded GCS is overloaded here too;
the kernel's part of sending is not in it.

A burst of nodes joins; they rest; actors are created, as fast as four drivers ask for 1,000 in a second; then
placement groups of four bundles; then tasks of half a second, as many at a time as fill 0.6 of all
CPUs; then 5 % of the machines lose their power, and what they hosted starts elsewhere.
"""


def write(directory: Path, results: dict[str, dict[str, Any]]) -> None:
    runs = [results[key] for key in sorted(results, key=int)]
    notes = directory / "scale_notes.md"
    (directory / "scale.md").write_text(
        f"{HEAD}\n{table(runs)}\n![cost against nodes](scale.svg)\n\n{notes.read_text()}"
    )
    plot(directory / "scale.svg", runs)


def gcs_us(run: dict[str, Any], phase: str) -> float:
    """GCS CPU for each of what a phase does, without the heartbeats meanwhile."""
    found = run[phase]
    return float((found["cpu_s"]["gcs"] - heartbeat_share(run) * found["virtual_s"]) / found["count"] * 1e6)


def heartbeat_share(run: dict[str, Any]) -> float:
    return float(run["rest"]["cpu_s"]["gcs"] / run["rest"]["virtual_s"])


def raylet_us(run: dict[str, Any]) -> float:
    """CPU of a raylet for each lease that was asked of it by a driver."""
    tasks = run["run_tasks"]
    asked = tasks["sent"].get("driver:RequestLease", 0) - tasks["sent"].get("raylet:LeaseSpilled", 0)
    return float(tasks["cpu_s"]["raylet"] / max(asked, 1) * 1e6)


def table(runs: list[dict[str, Any]]) -> str:
    rows: list[tuple[str, list[str]]] = [
        ("GCS CPU for a node that joins, µs", [f"{run['join']['gcs_us_each']:.0f}" for run in runs]),
        ("GCS CPU for a heartbeat, µs", [f"{run['rest']['gcs_us_each']:.0f}" for run in runs]),
        ("messages for a heartbeat", [f"{run['rest']['messages_each']:.1f}" for run in runs]),
        ("share of a core for all heartbeats", [f"{heartbeat_share(run):.1%}" for run in runs]),
        ("GCS memory for a node, bytes", [f"{run['rest']['gcs_bytes_per_node']:,}" for run in runs]),
        ("actors", [f"{run['place_actors']['count']:,}" for run in runs]),
        ("GCS CPU for an actor, µs", [f"{gcs_us(run, 'place_actors'):.0f}" for run in runs]),
        ("messages for an actor", [f"{run['place_actors']['messages_each']:.1f}" for run in runs]),
        ("GCS memory for an actor, bytes", [f"{run['place_actors']['gcs_bytes_per_actor']:,}" for run in runs]),
        ("an actor lives after, ms, p50 / p99", [_latency(run["place_actors"]) for run in runs]),
        ("GCS CPU for a placement group, µs", [f"{gcs_us(run, 'place_groups'):.0f}" for run in runs]),
        ("a group is there after, ms, p50 / p99", [_latency(run["place_groups"]) for run in runs]),
        ("tasks", [f"{run['run_tasks']['count']:,}" for run in runs]),
        ("GCS CPU for a task, µs", [f"{gcs_us(run, 'run_tasks'):.1f}" for run in runs]),
        ("messages for a task", [f"{run['run_tasks']['messages_each']:.2f}" for run in runs]),
        ("CPU of a driver's raylet for a lease, µs", [f"{raylet_us(run):.0f}" for run in runs]),
        ("a task starts after, ms, p50 / p99", [_latency(run["run_tasks"]) for run in runs]),
        ("GCS CPU for a lost node, µs", [f"{gcs_us(run, 'lose'):.0f}" for run in runs]),
        ("actors that moved from one", [f"{run['lose']['actors_moved'] / run['lose']['count']:.1f}" for run in runs]),
    ]
    lines = ["| nodes | " + " | ".join(f"{run['nodes']:,}" for run in runs) + " |", "| --- |" + " ---: |" * len(runs)]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(values)} |" for name, values in rows)]) + "\n"


def _latency(phase: dict[str, Any]) -> str:
    return f"{phase['latency_ms']['p50']:.0f} / {phase['latency_ms']['p99']:.0f}"


def plot(path: Path, runs: list[dict[str, Any]]) -> None:
    """GCS CPU of each kind of work, against the number of nodes."""
    plt.rcParams["svg.hashsalt"] = "scale"  # the same file for the same numbers
    nodes = [run["nodes"] for run in runs]
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for label, values in {
        "a node joins": [run["join"]["gcs_us_each"] for run in runs],
        "a heartbeat": [run["rest"]["gcs_us_each"] for run in runs],
        "an actor": [gcs_us(run, "place_actors") for run in runs],
        "a placement group": [gcs_us(run, "place_groups") for run in runs],
        "a task": [gcs_us(run, "run_tasks") for run in runs],
        "a node is lost": [gcs_us(run, "lose") for run in runs],
    }.items():
        axes.plot(nodes, values, marker="o", label=label)
    axes.set(xscale="log", yscale="log", xlabel="nodes", ylabel="CPU of the GCS for each, µs")
    axes.set_xticks(nodes, [f"{count:,}" for count in nodes])
    axes.minorticks_off()
    axes.legend(fontsize=8, ncols=2)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
