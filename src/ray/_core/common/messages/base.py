"""What all messages derive from: one way, requests, replies, and the pieces of them. Floor: common, pure."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ray._core.common.resources import MOST_UNITS

Units = Annotated[int, msgspec.Meta(ge=0, le=MOST_UNITS)]
"""Of a resource, in fixed point. Whatever else came in could be granted (less than nothing fits anywhere) or added up,
and could not be told to others any more."""
Balance = Annotated[int, msgspec.Meta(ge=-MOST_UNITS, le=MOST_UNITS)]
"""What is free: below zero when workers that woke have taken their CPUs back."""
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 60)]
"""It is counted on from."""

PROTOCOL = 2
"""Raised with each incompatible change of this file; peers with another number are refused at the handshake."""


class Part(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A piece of messages, never sent alone."""


class Message(msgspec.Struct, array_like=True, gc=False):
    """One way; nothing answers."""


class Request(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """Answered by one `Reply` with the same `rid`, which `Connection.request` chooses."""

    rid: int = 0


class Reply(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """The answer to a request."""

    rid: int = 0
