"""placeholder"""

from __future__ import annotations

from typing import Any


def serve_proxy(arguments: Any, stopped: Any) -> int:
    raise NotImplementedError
