"""What the raylet has assigned to this worker, and the environment variables that tell libraries.

Floor: worker. One lease at a time: the next replaces what the one before was given.
"""

from __future__ import annotations

import os

from ray._core.common import messages as m
from ray._core.common.accelerators import VARIABLES, visible_devices
from ray._core.common.resources import UNIT

THREADS = "OMP_NUM_THREADS"


class Assignment:
    """`devices`: of each kind of accelerator."""

    def __init__(self) -> None:
        self.resources: dict[str, float] = {}
        self.devices: dict[str, list[str]] = {}
        self._outside: dict[str, str | None] = {}
        """Values of variables before this worker set them for a lease; None: they were not set."""
        self._limits_threads = THREADS not in os.environ

    def __repr__(self) -> str:
        return f"<Assignment {self.resources} {self.devices}>"

    def apply(self, message: m.AssignWorker) -> None:
        """Before anything of the lease runs."""
        self.resources = {name: units / UNIT for name, units in message.assigned.items() if units}
        self.devices = message.resource_ids
        for variable, before in self._outside.items():
            if before is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = before
        wanted = visible_devices(message.resource_ids, os.environ)
        self._outside = {variable: os.environ.get(variable) for variable in wanted}
        os.environ.update(wanted)
        if self._limits_threads:
            os.environ[THREADS] = str(max(int(self._amount("CPU")), 1))

    def accelerator_ids(self) -> dict[str, list[str]]:
        """All kinds that there are; none assigned: an empty list."""
        return {kind: list(self.devices.get(kind, [])) for kind in VARIABLES}

    def _amount(self, kind: str) -> float:
        group = f"{kind}_group_"
        return max((v for name, v in self.resources.items() if name == kind or name.startswith(group)), default=0.0)
