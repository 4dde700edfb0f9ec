"""What all messages derive from: one way, requests, replies, and the pieces of them. Floor: common, pure."""

from __future__ import annotations

import msgspec

PROTOCOL = 1
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
