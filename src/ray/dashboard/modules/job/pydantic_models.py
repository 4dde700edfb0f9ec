"""The types of the REST API, under the name at which Ray 2.60 has them."""

from ray.dashboard.modules.job.common import DriverInfo, JobDetails, JobType

__all__ = ["DriverInfo", "JobDetails", "JobType"]
