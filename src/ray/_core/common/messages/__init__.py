"""THE schema: every message that crosses from one process to another.

Floor: common, pure. A message is a msgspec Struct, encoded as a msgpack array whose first item is the message's tag.
A frame holds one message and, where the class says so, a raw payload behind it (see `wire.codec`).

Kinds of message, told by the base class:
* `Request`: carries `rid`, a number that its sender chose; answered by exactly one `Reply` with the same `rid`, or
  by `Failed`. A connection that closes fails all its open requests.
* `Reply`: answers a request.
* `Message`: one way. Its docstring says why losing it with its connection does no harm.

Bytes named `args`, `blob`, `spec_blob` … are the user's, opaque to gcs_server and raylet, which never unpickle.
Direction is written as sender > receiver. C: core worker (driver or worker), G: gcs_server, R: raylet, A: agent,
Z: zygote. Adding a field: at the end, with a default.
"""

from __future__ import annotations

import msgspec

from ray._core.common.messages.actors import *
from ray._core.common.messages.base import *
from ray._core.common.messages.base import Message, Reply, Request
from ray._core.common.messages.control import *
from ray._core.common.messages.parts import *
from ray._core.common.messages.raylet import *
from ray._core.common.messages.state import *
from ray._core.common.messages.tasks import *
from ray._core.common.messages.waiting import *
from ray._core.common.messages.workers import *


def _all_messages() -> tuple[type[msgspec.Struct], ...]:
    found: list[type[msgspec.Struct]] = []

    def collect(base: type[msgspec.Struct]) -> None:
        cls: type[msgspec.Struct]
        for cls in base.__subclasses__():
            found.append(cls)
            collect(cls)

    for base in (Message, Request, Reply):
        collect(base)
    return tuple(sorted(found, key=lambda cls: int(cls.__struct_config__.tag or 0)))


ALL: tuple[type[msgspec.Struct], ...] = _all_messages()
"""Every message class, by tag."""
