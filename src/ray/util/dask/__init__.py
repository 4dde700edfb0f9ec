"""Dask's graphs on Ray: `dask.compute(…, scheduler=ray_dask_get)`. Needs the package `dask`, version 2024.12 or newer.

Source: Ray docs, "Using Dask on Ray".
"""

from ray.util.dask.callbacks import RayDaskCallback
from ray.util.dask.scheduler import disable_dask_on_ray, enable_dask_on_ray, ray_dask_get, ray_dask_get_sync

__all__ = ["RayDaskCallback", "disable_dask_on_ray", "enable_dask_on_ray", "ray_dask_get", "ray_dask_get_sync"]
