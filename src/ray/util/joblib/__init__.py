"""joblib (and what builds on it, such as scikit-learn) on a cluster.

`register_ray()`, then `with joblib.parallel_backend("ray"): ...`. Needs joblib: `pip install pure-ray[joblib]`.
"""

from __future__ import annotations


def register_ray() -> None:
    """Make the backend "ray" known to joblib.

    Raises:
        ImportError: joblib is not installed.
    """
    try:
        import joblib
    except ImportError as error:
        raise ImportError(
            "To use the Ray backend you must install joblib. Try running 'pip install joblib'."
        ) from error
    from ray.util.joblib.ray_backend import RayBackend

    joblib.register_parallel_backend("ray", RayBackend)


__all__ = ["register_ray"]
