"""Warnings of the state API, by name. The dashboard's part of it is `ray.dashboard.modules.state`."""

from typing import TYPE_CHECKING

from ray._private.not_included import absent_names

_REASONS = "(2) {} is overloaded. (3) There's an unexpected network issue. Please check the"
GCS_QUERY_FAILURE_WARNING = (
    "Failed to query data from GCS. It is due to (1) GCS is unexpectedly failed. "
    f"{_REASONS.format('GCS')} gcs_server.out log to find the root cause."
)
NODE_QUERY_FAILURE_WARNING = (
    "Failed to query data from {type}. Queried {total} {type} and {network_failures} {type} failed to reply. "
    "It is due to (1) {type} is unexpectedly failed. "
    f"{_REASONS.format('{type}')} {{log_command}} to find the root cause."
)

if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(__name__, "Its processes do not speak gRPC with each other.")
