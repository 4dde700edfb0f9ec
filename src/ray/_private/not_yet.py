"""What the engine cannot do yet is refused here, by name: an option that is taken and ignored would be a lie.

Whoever builds one of these takes it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray._core.common.options import TaskOptions


def refuse_task(options: TaskOptions, given: Mapping[str, Any]) -> None:
    """Raises NotImplementedError for a remote function that the core worker cannot run as asked."""
    strategy = options.placing.strategy
    wanted = {
        "a placement group": strategy and strategy.kind == "PLACEMENT_GROUP",
    }
    refuse(next((what for what, is_wanted in wanted.items() if is_wanted), None))


def refuse(what: str | None) -> None:
    """Raises NotImplementedError, unless `what` is None."""
    if what is not None:
        raise NotImplementedError(f"Not available yet in this version of pure-ray: {what}.")
