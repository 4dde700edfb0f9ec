"""What compare.py makes of its measurements: medians, ratios and the Markdown of RESULTS.md. Pure: no clock, no files.

One run of a peer gives `Samples`; the rounds of a peer are merged by the median of their medians, so that one
round which something else disturbed does not count.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PURE, REAL, STDLIB = "pure-ray", "ray 2.60.0", "standard library"

# Which line of ours a line of the standard library is held against.
STDLIB_COUNTERPARTS = {
    "multiprocessing.Pool calls sync": "single client tasks sync",
    "multiprocessing.Pool calls async": "single client tasks async",
    "ProcessPoolExecutor calls sync": "single client tasks sync",
    "ProcessPoolExecutor calls async": "single client tasks async",
    "warm memcpy gigabytes": "single client put gigabytes",
}


@dataclass(frozen=True, slots=True)
class Samples:
    """One workload in one round: either `values` or the reason why there are none."""

    name: str
    unit: str
    values: tuple[float, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One workload of one peer over all rounds; `value` is None when no round gave one."""

    name: str
    unit: str
    value: float | None
    lowest: float | None = None
    highest: float | None = None
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """When and on what was measured; a load average well above 0 means that something else was running."""

    date: str
    cores: int
    memory_gib: float
    python: str
    system: str
    rounds: int
    quick: bool
    load_average: float


@dataclass(slots=True)
class Measurements:
    """The samples of each peer, one sequence per round, in the order in which they ran."""

    rounds: dict[str, list[Sequence[Samples]]] = field(default_factory=dict)

    def add(self, peer: str, samples: Sequence[Samples]) -> None:
        self.rounds.setdefault(peer, []).append(samples)

    def lines(self, peer: str) -> dict[str, Line]:
        by_name: dict[str, list[Samples]] = {}
        for samples in self.rounds.get(peer, []):
            for one in samples:
                by_name.setdefault(one.name, []).append(one)
        return {name: merge(rounds) for name, rounds in by_name.items()}


def decode(report: Mapping[str, Any]) -> list[Samples]:
    """The samples in the JSON of ray_perf.py or stdlib_peers.py."""
    return [
        Samples(result["name"], result["unit"], tuple(result["samples"]), result["error"])
        for result in report["results"]
    ]


def merge(rounds: Sequence[Samples]) -> Line:
    """Median, lowest and highest of the rounds' medians."""
    medians = [statistics.median(one.values) for one in rounds if one.values]
    errors = tuple(dict.fromkeys(one.error for one in rounds if one.error))
    name, unit = rounds[0].name, next((one.unit for one in rounds if one.unit), "")  # a killed run has none
    if not medians:
        return Line(name, unit, None, errors=errors)
    return Line(name, unit, statistics.median(medians), min(medians), max(medians), errors)


def times_better(ours: Line | None, theirs: Line | None) -> float | None:
    """How many times better ours is: above 1 is a win, whether more or less of the unit is better."""
    if ours is None or theirs is None or ours.value is None or theirs.value is None:
        return None
    better, worse = (ours.value, theirs.value) if ours.unit == "per second" else (theirs.value, ours.value)
    return better / worse if worse else None


def number(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} x"


def cell(line: Line | None) -> str:
    """The median, and how far the rounds were apart."""
    if line is None or line.value is None:
        return "not measured" if line and line.errors else "-"
    if line.lowest == line.highest:
        return number(line.value)
    return f"{number(line.value)} ({number(line.lowest)} to {number(line.highest)})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown; the first column is text, the others are numbers."""
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return ["| " + " | ".join(row) + " |" for row in (header, rule, *rows)]


def ray_rows(pure: Mapping[str, Line], real: Mapping[str, Line]) -> list[list[str]]:
    rows = []
    for name in dict.fromkeys([*real, *pure]):
        ours, theirs = pure.get(name), real.get(name)
        unit = (ours or theirs or Line(name, "", None)).unit
        rows.append([name, unit, cell(ours), cell(theirs), ratio(times_better(ours, theirs))])
    return rows


def stdlib_rows(pure: Mapping[str, Line], stdlib: Mapping[str, Line]) -> list[list[str]]:
    rows = []
    for name, line in stdlib.items():
        counterpart = STDLIB_COUNTERPARTS[name]
        ours = pure.get(counterpart)
        rows.append([name, cell(line), counterpart, cell(ours), ratio(times_better(ours, line))])
    return rows


def error_lines(lines: Mapping[str, Mapping[str, Line]]) -> list[str]:
    return [
        f"- {peer}, {line.name}: {error}"
        for peer, by_name in lines.items()
        for line in by_name.values()
        for error in line.errors
    ]


def render(measurements: Measurements, setting: Setting) -> str:
    """The whole of RESULTS.md."""
    lines = {peer: measurements.lines(peer) for peer in measurements.rounds}
    pure, real, stdlib = (lines.get(peer, {}) for peer in (PURE, REAL, STDLIB))
    rounds = f"{setting.rounds} {'quick ' if setting.quick else ''}round{'s' if setting.rounds > 1 else ''}"
    text = [
        "# Results",
        "",
        "Written by `python benchmarks/compare.py`; do not edit.",
        "",
        f"{setting.date}, {setting.cores} cores, {setting.memory_gib:g} GiB, Python {setting.python}, "
        f"{setting.system}. {rounds}, the peers in turn within each. Medians of the rounds; "
        "in parentheses the lowest and the highest round. Load average before the first run: "
        f"{setting.load_average:.2f}.",
        "",
        f"## {PURE} and {REAL}",
        "",
        "The ratio says how many times better pure-ray is, be it more per second, or fewer seconds or MiB.",
        "",
        *table(["workload", "unit", PURE, REAL, "ratio"], ray_rows(pure, real)),
        "",
        f"## {PURE} and the {STDLIB}",
        "",
        *table([STDLIB, "per second", "our workload", PURE, "ratio"], stdlib_rows(pure, stdlib)),
        "",
    ]
    if errors := error_lines(lines):
        text += ["## Not measured", "", *errors, ""]
    return "\n".join(text)
