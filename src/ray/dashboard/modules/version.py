"""The version of the REST API, at the place where Ray 2.60 has it."""

from typing import TYPE_CHECKING

from ray._private.not_included import absent_names
from ray.dashboard.modules.job.common import CURRENT_VERSION

__all__ = ["CURRENT_VERSION"]


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "VersionResponse",
    )
