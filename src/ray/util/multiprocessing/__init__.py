"""`multiprocessing.Pool` with actors for processes, on the whole cluster: `from ray.util.multiprocessing import Pool`."""

from multiprocessing import JoinableQueue, TimeoutError

from ray.util.multiprocessing.pool import Pool

__all__ = ["JoinableQueue", "Pool", "TimeoutError"]
