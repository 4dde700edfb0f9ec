"""Asynchronous functions and event loops."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any


def is_async_func(func: Any) -> bool:
    """Whether it is a coroutine function or an asynchronous generator function."""
    return inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func)


def has_async_methods(cls: type) -> bool:
    """Whether a method of the class is asynchronous: its actors then are."""
    return any(is_async_func(method) for _, method in inspect.getmembers(cls))


def get_new_event_loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def sync_to_async(func: Any) -> Any:
    """`func`, or an asynchronous function that calls it."""
    if is_async_func(func):
        return func

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper
