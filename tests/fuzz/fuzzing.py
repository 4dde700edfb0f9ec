"""Messages at random: any class, any values its fields may have, and ids that the cluster knows among them."""

from __future__ import annotations

import random
import types
import typing
from collections.abc import Sequence
from typing import Any

import msgspec

from ray._core.common import messages as m
from ray._core.wire import codec

INTEGERS = (0, 1, -1, 2, 255, 4096, 2**31, 2**32 - 1, 2**40, 2**63 - 1, -(2**63), 2**64 - 1)
TEXTS = ("", "CPU", "memory", "node", "actor", "job", "fun", "DEAD", "ALIVE", "../../etc/passwd", "\0", "a" * 300, "{}")
ORDERS = {
    m.ExitWorker,
    m.KillWorker,
    m.RetireWorker,
    m.DrainNode,
    m.SetDraining,
    m.AwaitOwnerEnd,
    m.ConstructActor,
    m.ResourceViews,
}
"""They end processes or nodes, give a process to an actor, or send work to nodes that are not there, as they should."""


class Source:
    """Random messages; one seed, one sequence.

    Their ids come from a small pool, so that they speak of the same things. `beyond`: so often a number is outside of
    what its field allows.
    """

    def __init__(self, seed: int, known_ids: Sequence[bytes] = (), beyond: float = 0.01) -> None:
        self.random = random.Random(seed)
        self._beyond = beyond
        self._known = [*known_ids, *(self.random.randbytes(size) for size in (4, 16, 20, 24, 28, 28) for _ in range(3))]
        self._classes = [cls for cls in m.ALL if cls not in ORDERS]

    def message(self) -> Any:
        return self.struct(self.random.choice(self._classes))

    def struct(self, cls: type, depth: int = 0) -> Any:
        types_by_name = typing.get_type_hints(cls, include_extras=True)
        return cls(**{name: self.value(types_by_name[name], depth) for name in cls.__struct_fields__})  # type: ignore[attr-defined]

    def value(self, kind: Any, depth: int) -> Any:
        choose = self.random
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is typing.Annotated:
            number, limits = self.value(arguments[0], depth), arguments[1]
            return number if choose.random() < self._beyond else min(max(number, limits.ge), limits.le)
        if origin in (types.UnionType, typing.Union):
            return self.value(choose.choice(arguments), depth)
        if kind is types.NoneType:
            return None
        is_any_number = origin is list or arguments[-1:] == (...,)
        if is_any_number or origin is dict:
            size = choose.choice((0, 1, 2, 5)) if depth < 3 else 0
            if is_any_number:
                return origin(self.value(arguments[0], depth + 1) for _ in range(size))
            return {self.value(arguments[0], depth + 1): self.value(arguments[1], depth + 1) for _ in range(size)}
        if origin is tuple and arguments[1:] == (Ellipsis,):
            return tuple(self.value(arguments[0], depth + 1) for _ in range(choose.choice((0, 1, 2, 5))))
        if origin is tuple:
            return tuple(self.value(argument, depth + 1) for argument in arguments)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.struct(kind, depth + 1)
        if kind is bool:
            return choose.random() < 0.5
        if kind is int:
            return choose.choice(INTEGERS) if choose.random() < 0.6 else choose.randrange(1000)
        if kind is float:
            return choose.choice((0.0, -1.0, 1e300, float("inf"), float("nan"), 0.5))
        if kind is str:
            return choose.choice(TEXTS)
        if kind is bytes:
            if choose.random() < 0.5:
                return choose.choice(self._known)
            return choose.randbytes(choose.choice((0, 1, 4, 16, 24, 28, 300)))
        raise TypeError(f"There is no rule for {kind!r}.")

    def frame(self) -> bytes:
        """A whole frame, now and then with a payload."""
        while True:
            payload = self.random.randbytes(100) if self.random.random() < 0.1 else b""
            try:
                return codec.encode_with_payload(self.message(), len(payload)) + payload
            except (OverflowError, ValueError):  # an integer that msgpack has no room for
                continue

    def damaged(self, frame: bytes) -> bytes:
        """A frame with some bytes changed, cut out, or put in."""
        data = bytearray(frame)
        for _ in range(self.random.choice((1, 1, 2, 8))):
            at = self.random.randrange(len(data) + 1)
            match self.random.randrange(3):
                case 0 if at < len(data):
                    data[at] = self.random.randrange(256)
                case 1:
                    del data[at : at + self.random.choice((1, 4, 100))]
                case _:
                    data[at:at] = self.random.randbytes(self.random.choice((1, 4, 100)))
        return bytes(data)
