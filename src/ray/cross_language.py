"""The languages whose workers Ray knows. Only Python's can run here yet."""

from __future__ import annotations

import enum


class Language(enum.IntEnum):
    PYTHON = 0
    JAVA = 1
    CPP = 2
