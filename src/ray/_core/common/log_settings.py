"""How a driver shows its job's output: the variables that users set, read once per session.

Floor: common. Beside `config.py` because these are the driver's own: they do not travel with the cluster's settings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import msgspec


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Source: Ray docs, "Configuring logging"."""

    to_driver: bool = True
    """RAY_LOG_TO_DRIVER"""
    dedup: bool = True
    """RAY_DEDUP_LOGS"""
    dedup_window_s: float = 5.0
    """RAY_DEDUP_LOGS_AGG_WINDOW_S"""
    dedup_allow: str = ""
    """RAY_DEDUP_LOGS_ALLOW_REGEX: lines that are always shown at once."""
    dedup_skip: str = ""
    """RAY_DEDUP_LOGS_SKIP_REGEX: lines that are never shown."""
    color: int = -1
    """RAY_COLOR_PREFIX: 0 none, 1 by process, unset (-1): one colour."""
    prefix: bool = True
    """RAY_DISABLE_WORKER_LOG_PREFIX turns it off."""
    scheduler_events: bool = True
    """RAY_SCHEDULER_EVENTS: what autoscaler and scheduler have to say."""


def load(environ: Mapping[str, str] = os.environ) -> LogSettings:
    """Raises ValueError for a value that is no number or regular expression; the text names the variable."""
    color = environ.get("RAY_COLOR_PREFIX", "")
    return LogSettings(
        to_driver=_flag(environ, "RAY_LOG_TO_DRIVER", True),
        dedup=_flag(environ, "RAY_DEDUP_LOGS", True),
        dedup_window_s=_number(environ, "RAY_DEDUP_LOGS_AGG_WINDOW_S", 5.0),
        dedup_allow=_pattern(environ, "RAY_DEDUP_LOGS_ALLOW_REGEX"),
        dedup_skip=_pattern(environ, "RAY_DEDUP_LOGS_SKIP_REGEX"),
        color=-1 if not color else int(_flag(environ, "RAY_COLOR_PREFIX", True)),
        prefix=not _flag(environ, "RAY_DISABLE_WORKER_LOG_PREFIX", False),
        scheduler_events=_flag(environ, "RAY_SCHEDULER_EVENTS", True),
    )


def services_to_stderr(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the services of a node write to the standard error of who starts it, instead of to files."""
    return _flag(environ, "RAY_LOG_TO_STDERR", False)


def _flag(environ: Mapping[str, str], name: str, default: bool) -> bool:
    text = environ.get(name, "").strip().lower()
    return default if not text else text not in ("0", "false", "no", "off")


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "").strip()
    try:
        number = float(text) if text else default
    except ValueError:
        number = -1.0
    if number < 0:
        raise ValueError(f"{name}={text!r} is no number of seconds, 0 or more.")
    return number


def _pattern(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "")
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{name}={text!r} is no regular expression: {error}.") from None
    return text
