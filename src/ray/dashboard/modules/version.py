"""The version of the REST API, at the place where Ray 2.60 has it."""

from ray.dashboard.modules.job.common import CURRENT_VERSION

__all__ = ["CURRENT_VERSION"]
