"""The text of `ray memory`. Pure: rows of the state API and what raylets say of their stores in, text out.

Source: Ray docs, "Debugging Memory Issues"; the layout is what Ray 2.60 prints.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from ray._core.common.messages import StoreStats

GROUPS = {"NODE_ADDRESS": "ip", "STACK_TRACE": "call_site"}
SORTS = {"PID": "pid", "OBJECT_SIZE": "object_size", "REFERENCE_TYPE": "reference_type"}
UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_MIB = 1024**2
_TITLES = ("Mem Used by Objects", "Local References", "Pinned", "Used by task", "Captured in Objects", "Actor Handles")
_TYPES = ("LOCAL_REFERENCE", "PINNED_IN_MEMORY", "USED_BY_PENDING_TASK", "CAPTURED_IN_OBJECT", "ACTOR_HANDLE")
_SUMMARY_WIDTHS = (21, 17, 14, 14, 21, 14)
_COLUMNS = ("IP Address", "PID", "Type", "Call Site", "Status", "Attempt", "Size", "Reference Type", "Object Ref")
_WIDTHS = (14, 9, 8, 10, 10, 9, 9, 15, 56)
HINT = "To record callsite information for each ObjectRef created, set env variable RAY_record_ref_creation_sites=1"


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What to show. `num_entries`: of each group; None: all.

    Raises:
        ValueError: an order, grouping or unit that does not exist.
    """

    group_by: str = "NODE_ADDRESS"
    sort_by: str = "OBJECT_SIZE"
    units: str = "B"
    num_entries: int | None = None
    stats_only: bool = False

    def __post_init__(self) -> None:
        for value, known in ((self.group_by, GROUPS), (self.sort_by, SORTS), (self.units, UNITS)):
            if value not in known:
                raise ValueError(f"{value!r} is none of {', '.join(known)}.")


def report(rows: Sequence[Any], stores: Sequence[StoreStats], wanted: Wanted, now: datetime.datetime) -> str:
    """`rows`: ObjectState of every reference that a process of the cluster has."""
    lines = [f"======== Object references status: {now:%Y-%m-%d %H:%M:%S.%f} ========"]
    if not wanted.stats_only:
        shown = "all" if wanted.num_entries is None else str(wanted.num_entries)
        by, order = (word.lower().replace("_", " ") for word in (wanted.group_by, wanted.sort_by))
        lines += [
            f"Grouping by {by}...        Sorting by {order}...        Display {shown} entries per group...",
            "",
            "",
        ]
        groups: dict[str, list[Any]] = {}
        for row in sorted(rows, key=lambda row: getattr(row, SORTS[wanted.sort_by])):
            groups.setdefault(str(getattr(row, GROUPS[wanted.group_by])), []).append(row)
        for name in sorted(groups):
            lines += _group(f"{by}: {name}", groups[name], wanted)
        lines += [HINT, ""]
    return "\n".join([*lines, *_stores(stores)])


def _group(title: str, rows: list[Any], wanted: Wanted) -> list[str]:
    owned = sum(max(row.object_size, 0) for row in rows if row.task_status != "NIL")
    cells = [_size(owned, wanted.units)]
    for kind in _TYPES:
        of_kind = [row for row in rows if row.reference_type == kind]
        cells.append(f"{len(of_kind)}, ({_size(sum(max(row.object_size, 0) for row in of_kind), wanted.units)})")
    lines = [
        f"--- Summary for {title} ---",
        _aligned(_TITLES, _SUMMARY_WIDTHS, ""),
        _aligned(cells, _SUMMARY_WIDTHS, ""),
    ]
    lines += ["", f"--- Object references for {title} ---", _aligned(_COLUMNS, _WIDTHS, "| ")]
    for row in rows[: wanted.num_entries]:
        size = _size(row.object_size, wanted.units) if row.object_size >= 0 else "?"
        status = "-" if row.task_status == "NIL" else row.task_status
        values = (row.ip, row.pid, row.type.capitalize(), row.call_site, status, row.attempt_number, size)
        lines += ["", _aligned((*values, row.reference_type, row.object_id), _WIDTHS, "| "), ""]
    return [*lines, ""]


def _aligned(cells: Sequence[object], widths: Sequence[int], between: str) -> str:
    """At least one space behind each, so that a long one is not read together with the next."""
    padded = (f"{f'{cell} ':<{width}}" for cell, width in zip(cells, widths, strict=True))
    return between.join(padded).rstrip()


def _size(number: int, units: str) -> str:
    return f"{number / UNITS[units]} {units}"


def _stores(stores: Sequence[StoreStats]) -> list[str]:
    total = sum(store.size for store in stores) or 1
    used = sum(store.used for store in stores)
    spilled, count = sum(store.spilled_bytes for store in stores), sum(store.num_spilled for store in stores)
    restored = sum(store.restored_bytes for store in stores)
    full = 100 * used / total
    objects = sum(store.num_objects for store in stores)
    needed = 100 * (used + sum(store.on_disk_bytes for store in stores)) / total
    lines = ["--- Aggregate object store stats across all nodes ---"]
    lines.append(
        f"Plasma memory usage {used // _MIB} MiB, {objects} objects, {round(full, 2)}% full, {round(needed, 2)}% needed"
    )
    taken, slabs = sum(store.taken_bytes for store in stores), sum(store.num_slabs for store in stores)
    if slabs:
        lines.append(f"Taken by processes {taken // _MIB} MiB, in {slabs} slabs")
    if spilled:
        lines.append(f"Spilled {spilled // _MIB} MiB, {count} objects")
    if restored:
        lines.append(f"Restored {restored // _MIB} MiB")
    return [*lines, "", ""]
