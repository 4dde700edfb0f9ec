"""Waiting for what tells nobody when it comes: asked again and again, until a deadline. Names of `test_utils`."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Callable
from typing import Any

from ray._common.network_utils import parse_address
from ray._common.test_utils import wait_for_condition


def wait_for_assertion(
    assertion_predictor: Callable[..., Any],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    raise_exceptions: bool = False,
    **kwargs: Any,
) -> None:
    """Call the function, which asserts, until it does not raise; its last AssertionError when the time is over."""

    def passes() -> bool:
        assertion_predictor(**kwargs)
        return True

    try:
        wait_for_condition(passes, timeout, retry_interval_ms, raise_exceptions)
    except RuntimeError:
        assertion_predictor(**kwargs)  # once more, to raise what is still wrong


def wait_until_succeeded_without_exception(
    func: Callable[..., Any],
    exceptions: tuple[type[BaseException], ...],
    *args: Any,
    timeout_ms: float = 1000,
    retry_interval_ms: float = 100,
    raise_last_ex: bool = False,
) -> bool:
    """Call `func(*args)` until it raises none of `exceptions`.

    Returns:
        Whether that came about in time.
    Raises:
        Exception: it did not, and `raise_last_ex` is set; the text tells the last exception.
    """
    deadline_at_s = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            func(*args)
            return True
        except exceptions as error:
            if time.monotonic() >= deadline_at_s:
                if raise_last_ex:
                    raise Exception(f"Timed out while testing, {traceback.format_exc()}") from error
                return False
            time.sleep(retry_interval_ms / 1000)


def wait_until_server_available(address: str, timeout_ms: float = 5000, retry_interval_ms: float = 100) -> bool:
    """Whether somebody accepts connections at "host:port" within the time."""
    parsed = parse_address(address)
    if parsed is None:
        raise ValueError(f'An address is "host:port", not {address!r}.')
    deadline_at_s = time.monotonic() + timeout_ms / 1000
    while True:
        try:
            socket.create_connection((parsed[0], int(parsed[1])), timeout=1).close()
            return True
        except OSError:
            if time.monotonic() >= deadline_at_s:
                return False
            time.sleep(retry_interval_ms / 1000)
