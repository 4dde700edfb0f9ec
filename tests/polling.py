"""Waiting for what tells nobody when it has come, such as the doings of other processes."""

import time

POLL_S = 0.01


def wait_until(condition, what="", timeout_s=20.0):
    """Ask again and again until `condition()` is true, and return that; AssertionError when the time is over."""
    deadline_at_s = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline_at_s:
            raise AssertionError(f"not within {timeout_s} s: {what or condition}")
        time.sleep(POLL_S)
    return value
