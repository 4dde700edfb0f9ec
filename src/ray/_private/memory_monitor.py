"""How much memory this machine uses, under the names that tests import. What watches it is in `ray._core.raylet`."""

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
