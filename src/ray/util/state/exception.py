"""What goes wrong when the state of a cluster is asked for."""

from __future__ import annotations


class RayStateApiException(Exception):
    """The question was refused, or its answer is not complete."""


class ServerUnavailable(RayStateApiException):
    """Nobody answers there."""


class DataSourceUnavailable(Exception):
    """A part of the cluster that has the answer cannot be reached."""
