"""The schemes of URIs, at the place where Ray 2.60 has them."""

from typing import TYPE_CHECKING

from ray._private.not_included import absent_names
from ray._private.runtime_env.uris import Protocol

__all__ = ["Protocol"]


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "ProtocolsProvider",
    )
