"""Helpers of tests, Ray's own and third parties': waiting, signals between tasks, scripts as drivers."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import ray
from ray._common.utils import TimerBase
from ray._private.metric_tests import (
    MetricSamplePattern,
    PrometheusTimeseries,
    fetch_prometheus,
    fetch_prometheus_metric_timeseries,
    fetch_prometheus_metrics,
    fetch_prometheus_timeseries,
    fetch_raw_prometheus,
)
from ray._private.not_included import absent_names

DEFAULT_DRIVER_TIMEOUT_SECONDS = 300
KILLED_DRIVER_DRAIN_TIMEOUT_SECONDS = 10


@ray.remote(num_cpus=0)
class SignalActor:
    """Calls of `wait` end when somebody calls `send`."""

    def __init__(self) -> None:
        self.ready_event = asyncio.Event()
        self.num_waiters = 0

    async def send(self, clear: bool = False) -> None:
        """Args: clear: let only those go who wait now; who comes later waits for the next call."""
        self.ready_event.set()
        if clear:
            self.ready_event.clear()

    async def wait(self, should_wait: bool = True) -> None:
        if should_wait:
            self.num_waiters += 1
            await self.ready_event.wait()
            self.num_waiters -= 1

    async def cur_num_waiters(self) -> int:
        return self.num_waiters


@ray.remote(num_cpus=0)
class Semaphore:
    """`asyncio.Semaphore` for tasks."""

    def __init__(self, value: int = 1) -> None:
        self._sema = asyncio.Semaphore(value)

    async def acquire(self) -> None:
        await self._sema.acquire()

    async def release(self) -> None:
        self._sema.release()

    async def locked(self) -> bool:
        return self._sema.locked()


def wait_for_condition(
    condition_predictor: Callable[..., bool],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    raise_exceptions: bool = False,
    **kwargs: Any,
) -> None:
    """Call the predicate, with `kwargs`, again and again until it says True.

    Args:
        timeout: seconds.
        raise_exceptions: an exception of the predicate is raised at once; else it counts as False.
    Raises:
        RuntimeError: the time is over; the text tells the last exception.
    """
    deadline_at_s = time.monotonic() + timeout
    last: str | None = None
    while time.monotonic() <= deadline_at_s:
        try:
            if condition_predictor(**kwargs):
                return
        except Exception:
            if raise_exceptions:
                raise
            last = traceback.format_exc()
        time.sleep(retry_interval_ms / 1000)
    raise RuntimeError(_over(last))


async def async_wait_for_condition(
    condition_predictor: Callable[..., Awaitable[bool] | bool],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    **kwargs: Any,
) -> None:
    """As `wait_for_condition`; the predicate may be a coroutine function."""
    deadline_at_s = time.monotonic() + timeout
    last: str | None = None
    while time.monotonic() <= deadline_at_s:
        try:
            said = condition_predictor(**kwargs)
            if await said if inspect.isawaitable(said) else said:
                return
        except Exception:
            last = traceback.format_exc()
        await asyncio.sleep(retry_interval_ms / 1000)
    raise RuntimeError(_over(last))


def _over(last: str | None) -> str:
    said = f" Last exception: {last}" if last else ""
    return f"The condition wasn't met before the timeout expired.{said}"


def run_string_as_driver(
    driver_script: str,
    env: Mapping[str, str] | None = None,
    encode: str = "utf-8",
    timeout: float | None = DEFAULT_DRIVER_TIMEOUT_SECONDS,
) -> str:
    """Run a script in a process of its own.

    Args:
        env: its environment; default: this process's.
        timeout: seconds, after which it is killed.
    Returns:
        What it wrote, to both streams.
    Raises:
        CalledProcessError: it failed; `output` tells how.
        TimeoutExpired: it took too long.
    """
    done = subprocess.run(
        [sys.executable, "-"],
        input=driver_script.encode(encode),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=None if env is None else dict(env),
        timeout=timeout,
        check=False,
    )
    output = done.stdout.decode(encode, "replace")
    print(output)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, done.args, output, output)
    return output


class FakeTimer(TimerBase):
    """A clock that only moves when told to."""

    def __init__(self, start_time: float | None = None) -> None:
        self.reset(start_time)

    def reset(self, start_time: float | None = None) -> None:
        self._now = time.time() if start_time is None else start_time

    def time(self) -> float:
        return self._now

    def advance(self, by: float) -> None:
        self._now += by

    def realistic_sleep(self, amt: float) -> None:
        """Let `amt` seconds pass, and a thousandth of them for real."""
        self.advance(amt)
        time.sleep(amt / 1000)


def is_named_tuple(cls: type) -> bool:
    """Whether `cls` was made by `namedtuple`."""
    fields = getattr(cls, "_fields", None)
    return cls.__bases__ == (tuple,) and isinstance(fields, tuple) and all(type(name) is str for name in fields)


__all__ = [
    "DEFAULT_DRIVER_TIMEOUT_SECONDS",
    "KILLED_DRIVER_DRAIN_TIMEOUT_SECONDS",
    "FakeTimer",
    "MetricSamplePattern",
    "PrometheusTimeseries",
    "Semaphore",
    "SignalActor",
    "async_wait_for_condition",
    "fetch_prometheus",
    "fetch_prometheus_metric_timeseries",
    "fetch_prometheus_metrics",
    "fetch_prometheus_timeseries",
    "fetch_raw_prometheus",
    "is_named_tuple",
    "run_string_as_driver",
    "wait_for_condition",
]


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "TelemetryCallsite assert_tensors_equivalent check_library_usage_telemetry simulate_s3_bucket",
    )
