"""The field `nsight`, at the place where Ray 2.60 has its plug-in."""

from typing import TYPE_CHECKING

from ray._private.not_included import absent_names
from ray._private.runtime_env.wrappers import NsightPlugin

__all__ = ["NsightPlugin"]


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "parse_nsight_config",
    )
