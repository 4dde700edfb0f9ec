"""What libraries call to have their use counted. Nothing is counted, kept or sent."""

from __future__ import annotations

import enum


class _AnyName(enum.EnumMeta):
    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class TagKey(enum.Enum, metaclass=_AnyName):
    """`TagKey.<any name>` is that name: what is recorded goes nowhere."""


def usage_stats_enabled() -> bool:
    """False: there are none."""
    return False


def record_library_usage(library_usage: str) -> None:
    """Does nothing."""


def record_extra_usage_tag(key: object, value: str, gcs_client: object = None) -> None:
    """Does nothing."""
