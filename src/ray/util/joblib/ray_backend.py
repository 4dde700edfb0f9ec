"""joblib's calls in a `ray.util.multiprocessing.Pool`."""

from __future__ import annotations

from typing import Any

from joblib.parallel import FallbackToBackend, MultiprocessingBackend, SequentialBackend

import ray
from ray.util.multiprocessing import Pool


class RayBackend(MultiprocessingBackend):  # type: ignore[misc]  # joblib has no types
    """As joblib's own backend of processes, with actors for processes.

    Args:
        ray_remote_args: options of the actors.
    """

    def __init__(self, *args: Any, ray_remote_args: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.ray_remote_args = ray_remote_args
        super().__init__(*args, **kwargs)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many processes `n_jobs` means: -1 is as many as the cluster has CPUs, -2 one less.

        Raises:
            ValueError: 0.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs > 0:
            return n_jobs
        if not ray.is_initialized():
            ray.init()
        return max(int(ray.cluster_resources().get("CPU", 0)) + 1 + n_jobs, 1)

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        **memmapping: Any,
    ) -> int:
        """Start the processes; how many there are.

        Args:
            prefer, require, memmapping: of no meaning here: arguments travel as objects do.
        Raises:
            FallbackToBackend: one process is none more than there is.
            ValueError: more than the cluster has CPUs.
        """
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self._pool = Pool(n_jobs, ray_remote_args=self.ray_remote_args)
        self.parallel = parallel
        return n_jobs


__all__ = ["RayBackend"]
