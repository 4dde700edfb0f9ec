"""Why something waits, asked from this process: by a user, or for a wait of the driver that takes long.

Floor: worker, shell around `common.waiting`. Methods are not locked.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common import waiting
from ray._core.common.errors import RaySystemError
from ray._core.wire.reactor import Waiter
from ray._core.worker.object_ref import ObjectRef
from ray._core.worker.ref_generator import ObjectRefGenerator

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

logger = logging.getLogger("ray._private.worker")
ASK_S = 3.0
"""Longer than the GCS waits for silent nodes, which it names."""
REPORT_S = 5.0
"""How long a wait of the driver may at most be looked into; its end is noticed that much later."""
TOLD_KEPT = 100


class Explainer:
    """Asks who knows: this process itself, those of its node by its raylet, all others by the GCS."""

    def __init__(self, core: CoreWorker) -> None:
        self._core = core
        self._told: OrderedDict[tuple[object, ...], float] = OrderedDict()
        """When a chain was told last, for several threads that wait for the same."""

    def chain(self, start: m.Subject, timeout_s: float, width: int = waiting.MOST_ASKED) -> waiting.Step:
        """What `start` waits for (see `waiting.follow`). Takes no longer than `timeout_s`: who is silent is said so."""
        look = waiting.within(timeout_s, time.monotonic, ASK_S, self._ask)
        return waiting.follow(start, look, width=width)

    def _ask(self, subject: m.Subject, timeout_s: float) -> m.Findings:
        core = self._core
        is_ours = subject.worker_id == core.worker_id
        if is_ours or (not subject.node_id and subject.kind in ("object", "task")):
            with core.lock:
                found = core.inquiry.findings(subject)
            if found or is_ours:
                return m.Findings(found=found)
        is_near = subject.node_id == core.node.node_id
        try:
            reply = core.ask(core.raylet if is_near else core.gcs, m.Inquire(subject=subject), timeout_s)
        except RaySystemError:
            who = "the raylet of this node" if is_near else "the GCS"
            raise TimeoutError(f"{who} did not answer within {timeout_s:.1f} s") from None
        if isinstance(reply, m.Failed):
            raise ConnectionError(reply.message)
        assert isinstance(reply, m.Findings)
        return reply

    # ---------------------------------------------------------- waits that take long

    def wait(self, waiter: Waiter, timeout_s: float | None, about: Sequence[Any]) -> None:
        """As `Reactor.wait`; tells again and again, ever more rarely, why it takes so long.

        Args:
            about: what is waited for: refs, generators, subjects.
        """
        reactor, patience_s = self._core.reactor, self._core.config.waiting_report_s
        if patience_s <= 0:
            reactor.wait(waiter, timeout_s)
            return
        began_at_s = time.monotonic()
        while timeout_s is None or patience_s < timeout_s:
            if reactor.wait(waiter, began_at_s + patience_s - time.monotonic()):
                return
            left_s = REPORT_S if timeout_s is None else began_at_s + timeout_s - time.monotonic()
            self._report(patience_s, about, min(left_s, REPORT_S))
            patience_s *= 2
        reactor.wait(waiter, began_at_s + timeout_s - time.monotonic())

    def _report(self, waited_s: float, about: Sequence[Any], timeout_s: float) -> None:
        subjects = self._pending(about)
        if not subjects:
            return
        try:
            chain = self.chain(subjects[0], timeout_s, width=1)
        except Exception:  # whoever waits must not fail for it
            logger.exception("Why a wait takes so long could not be found out.")
            return
        if not waiting.is_waiting(chain) or self._is_told(chain, waited_s):
            return
        others = f" for {len(subjects)} things; the first" if len(subjects) > 1 else ""
        lines = "\n  ".join(waiting.render(chain))
        logger.warning("Waited %s%s:\n  %s", waiting.duration(waited_s), others, lines)

    def _pending(self, about: Sequence[Any]) -> list[m.Subject]:
        core = self._core
        here = (core.node.node_id, core.worker_id)
        found = []
        with core.lock:
            for each in about:
                if isinstance(each, m.Subject):
                    found.append(each)
                elif isinstance(each, ObjectRefGenerator):
                    if not each._stream.is_ready:
                        found.append(m.Subject("task", each._stream.task_id, *here))
                elif isinstance(each, ObjectRef):
                    entry = core.objects.get(each.binary())
                    if entry is not None and not core.remote.is_here(entry):
                        found.append(m.Subject("object", each.binary(), *here))
        return found

    def _is_told(self, chain: waiting.Step, waited_s: float) -> bool:
        """Whether another wait has told the same just now; if not, this one does."""
        signature, now_s = waiting.signature(chain), time.monotonic()
        with self._core.lock:
            told_at_s = self._told.pop(signature, None)
            is_told = told_at_s is not None and now_s - told_at_s < waited_s / 4
            self._told[signature] = told_at_s if is_told and told_at_s is not None else now_s
            if len(self._told) > TOLD_KEPT:
                self._told.popitem(last=False)
        return is_told
