"""`multiprocessing.Pool`, its processes being actors anywhere in the cluster."""

from multiprocessing import JoinableQueue, TimeoutError

from ray.util.multiprocessing.pool import Pool

__all__ = ["JoinableQueue", "Pool", "TimeoutError"]
