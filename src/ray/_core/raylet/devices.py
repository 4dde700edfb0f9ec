"""Which lease has which accelerator devices. Floor: raylet, pure.

The scheduler guards the amounts; here they get names. Whole devices are exclusive; parts of one share it with other
parts. A bundle of a placement group holds an amount without names: those are given to what runs inside it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ray._core.common.resources import UNIT, Resources


class DeviceTable:
    """`names`: the node's devices by kind."""

    def __init__(self, names: Mapping[str, list[str]]) -> None:
        self._free = {kind: dict.fromkeys(each, UNIT) for kind, each in names.items()}
        self._held: dict[object, list[tuple[str, str, int]]] = {}

    def __repr__(self) -> str:
        return f"<DeviceTable kinds={sorted(self._free)} leases={len(self._held)}>"

    def take(self, lease_id: int, demand: Resources) -> dict[str, list[str]]:
        """Choose devices for a granted demand: by kind, in the node's order."""
        chosen = {}
        for kind, free in self._free.items():
            units = _amount(kind, demand)
            if not units:
                continue
            parts = _choose(free, units)
            for name, part in parts.items():
                free[name] -= part
                self._held.setdefault(lease_id, []).append((kind, name, part))
            chosen[kind] = [name for name in free if name in parts]
        return chosen

    def give_back(self, lease_id: object) -> None:
        """An unknown lease, or one without devices, changes nothing."""
        for kind, name, part in self._held.pop(lease_id, []):
            self._free[kind][name] += part


def _amount(kind: str, demand: Resources) -> int:
    """Also of a placement group's bundle, whose amounts are asked for twice: of the group and of the bundle."""
    return max(
        (units for name, units in demand.items() if name == kind or name.startswith(f"{kind}_group_")), default=0
    )


def _choose(free: Mapping[str, int], units: int) -> dict[str, int]:
    """Whole devices first in order, then the fullest device with room for the rest (a part is never split)."""
    parts: dict[str, int] = {}
    whole, rest = divmod(units, UNIT)
    unused = [name for name, left in free.items() if left == UNIT]
    for name in unused[:whole]:
        parts[name] = UNIT
    if len(parts) < whole:  # only parts are left: amounts fit, devices do not, and so they are shared
        for name in sorted((name for name in free if name not in parts), key=lambda name: -free[name]):
            if len(parts) < whole:
                parts[name] = UNIT
    if rest:
        room = [name for name, left in free.items() if name not in parts and left >= rest]
        others = [name for name in free if name not in parts]
        name = min(room, key=lambda name: free[name]) if room else max(others, key=lambda name: free[name], default="")
        if name:
            parts[name] = rest
    return parts
