"""Dask's graphs on Ray: not included."""

from ray._private.not_included import absent

__all__ = ["RayDaskCallback", "disable_dask_on_ray", "enable_dask_on_ray", "ray_dask_get", "ray_dask_get_sync"]

globals().update(
    absent("ray.util.dask", " ".join(__all__), "Use Dask's own schedulers, or dask.distributed, beside Ray.")
)
