"""To whom this node gives its objects, and whom it sends to others that are getting the same one.

Floor: raylet, pure. When many nodes want one object, each gives it to `fan_out` others at a time and sends the rest
to those, who pass on what they have while it still comes in. So a broadcast becomes a tree, its source sends the
object a few times however many want it, and nobody had to plan it.
"""

from __future__ import annotations

import dataclasses
import itertools

FAN_OUT = 2
"""Of one object at a time. With 1 a broadcast is a chain: half the load on each, but as deep as there are nodes."""


@dataclasses.dataclass(slots=True)
class _Offer:
    object_id: bytes
    node_id: bytes
    sent_on: int = 0
    """How many others were sent there."""


class Offers:
    def __init__(self, fan_out: int = FAN_OUT) -> None:
        self._fan_out = fan_out
        self._offers: dict[int, _Offer] = {}
        self._of_object: dict[bytes, list[_Offer]] = {}
        self._tickets = itertools.count(1)

    def __repr__(self) -> str:
        return f"<Offers {len(self._offers)} of {len(self._of_object)} objects>"

    def ask(self, object_id: bytes, node_id: bytes, may_send_on: bool) -> int | bytes:
        """A ticket for the node that asks, or the node that it should ask instead: one that is getting it from here."""
        given = self._of_object.setdefault(object_id, [])
        others = [offer for offer in given if offer.node_id != node_id]
        if may_send_on and len(others) >= self._fan_out:
            child = min(others, key=lambda offer: offer.sent_on)
            child.sent_on += 1
            return child.node_id
        offer = _Offer(object_id, node_id)
        given.append(offer)
        ticket = next(self._tickets)
        self._offers[ticket] = offer
        return ticket

    def ended(self, ticket: int) -> None:
        """Whoever had the ticket has the object, or does not want it from here any more."""
        offer = self._offers.pop(ticket)
        given = self._of_object[offer.object_id]
        given.remove(offer)
        if not given:
            del self._of_object[offer.object_id]
