"""How much memory this machine uses, under the names that tests import. What watches it is in `ray._core.raylet`."""

from typing import TYPE_CHECKING

from ray._private.not_included import absent_names
from ray._private.utils import get_system_memory, get_used_memory
from ray.exceptions import OutOfMemoryError as RayOutOfMemoryError


class MemoryMonitor:
    """Tells when less than `1 - error_threshold` of the memory is left."""

    def __init__(self, error_threshold: float = 0.95, check_interval: float = 1) -> None:
        self.error_threshold = error_threshold
        self.check_interval = check_interval

    def get_memory_usage(self) -> tuple[float, float]:
        """(used, total), in GiB."""
        return get_used_memory() / 2**30, get_system_memory() / 2**30

    def raise_if_low_memory(self) -> None:
        """Raises RayOutOfMemoryError."""
        used, total = self.get_memory_usage()
        if used > self.error_threshold * total:
            raise RayOutOfMemoryError(f"{used:.2f} of {total:.2f} GiB of this machine's memory are used.")


__all__ = ["MemoryMonitor", "RayOutOfMemoryError"]


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "get_rss get_shared get_top_n_memory_usage",
    )
