"""Shows on the driver what the job's workers print and what the cluster has to say about the job.

Floor: worker, shell. The reactor hands batches over (locked, so it must not print: a terminal may block); a thread
shows them.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ray._core.common import messages as m
from ray._core.common.errors import RaySystemError
from ray._core.common.log_settings import LogSettings
from ray._core.worker.log_dedup import LogDeduplicator, Shown
from ray._core.worker.log_format import LogFormat

if TYPE_CHECKING:
    from ray._core.worker.core import CoreWorker

logger = logging.getLogger(__name__)
FLUSH_TIMEOUT_S = 3.0
"""How long a driver waits at its end for the nodes to ship what its workers printed; an agent that hangs costs no more.
"""
MOST_REMEMBERED = 1000
"""Events of which a repetition is not shown."""
TQDM_TOKEN = "__ray_tqdm_magic_token__"
"""In lines of JSON that are the state of a progress bar (see ray.experimental.tqdm_ray): drawn, not shown."""
_END = object()


class Bars(Protocol):
    """Who draws progress bars, and takes them away while something is printed."""

    def process_json_line(self, line: str) -> None: ...

    def hide_bars(self) -> None: ...

    def unhide_bars(self) -> None: ...


class DriverLog:
    """The driver's subscription to the output of its job.

    Args:
        make_bars: makes what draws progress bars, once one comes.
    """

    def __init__(self, core: CoreWorker, settings: LogSettings, make_bars: Callable[[], Bars]) -> None:
        self._core, self._settings, self._make_bars = core, settings, make_bars
        self._bars: Bars | None = None
        self._format = LogFormat(settings, core.node.host)
        self._dedup = LogDeduplicator(settings.dedup_window_s, settings.dedup_allow, settings.dedup_skip)
        self._incoming: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._told: dict[str, None] = {}
        self._started_at_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="ray-driver-log", daemon=True)

    def start(self) -> None:
        """Subscribe; what tasks print from now on will be shown."""
        core = self._core
        self._thread.start()
        core.handlers[m.LogLines] = core.handlers[m.ErrorEvent] = lambda _, message: self._incoming.put(message)
        with core.lock:
            gcs = core.gcs
            for channel, key in (("log", core.job_id), ("error", core.job_id), ("error", m.EVERY_JOB)):
                gcs.subscribe(channel, key)
            core.reactor.flush()

    def flush(self) -> None:
        """Show everything that the job's workers have written so far. For a while at most, see FLUSH_TIMEOUT_S."""
        self._fetch()
        shown = threading.Event()
        self._incoming.put(shown)
        shown.wait(FLUSH_TIMEOUT_S)

    def stop(self) -> None:
        """Show everything that the job's workers have written, and end."""
        self._fetch()
        self._incoming.put(_END)
        self._thread.join()

    def _fetch(self) -> None:
        core = self._core
        try:
            if core.exports.is_used:  # else no worker has run anything for this job
                core.call(core.gcs, m.FlushLogs(job_id=core.job_id), FLUSH_TIMEOUT_S)
        except (RaySystemError, OSError) as error:
            logger.warning("The last output of workers may be missing here, it is in their logs: %s", error)

    # ---------------------------------------------------------- the thread

    def _run(self) -> None:
        while True:
            at_s = self._dedup.next_at_s
            try:
                got = self._incoming.get(timeout=None if at_s is None else max(at_s - time.monotonic(), 0))
            except queue.Empty:
                got = None
            self._show(self._dedup.expire(time.monotonic()))
            if got is _END:
                self._show(self._dedup.flush())
                return
            if isinstance(got, threading.Event):
                self._show(self._dedup.flush())
                got.set()
            elif isinstance(got, m.LogLines):
                for batch in got.batch:
                    self._show_batch(batch)
            elif isinstance(got, m.ErrorEvent):
                self._show_event(got)

    def _show_event(self, event: m.ErrorEvent) -> None:
        """Once, however many nodes have noticed the same."""
        is_muted = event.source == "autoscaler" and not self._settings.scheduler_events
        if is_muted or event.message in self._told:
            return
        self._told[event.message] = None
        if len(self._told) > MOST_REMEMBERED:
            del self._told[next(iter(self._told))]
        self._write(self._format.event(event, time.monotonic() - self._started_at_s), is_err=False)

    def _show_batch(self, batch: m.LogLine) -> None:
        if any(TQDM_TOKEN in line for line in batch.lines):
            batch = self._draw(batch)
        if self._settings.dedup:
            self._show(self._dedup.add(batch, time.monotonic()))
        else:
            self._show([Shown(batch, text) for text in batch.lines])

    def _show(self, shown: list[Shown]) -> None:
        for is_err in (False, True):
            text = "".join(self._format.line(each) for each in shown if each.source.is_err == is_err)
            if text:
                self._write(text, is_err)

    def _draw(self, batch: m.LogLine) -> m.LogLine:
        """Draw the progress bars among the lines; what is left is to be shown."""
        if self._bars is None:
            self._bars = self._make_bars()
        rest: list[str] = []
        for line in batch.lines:
            if TQDM_TOKEN not in line:
                rest.append(line)
                continue
            unfinished, brace, state = line.partition('{"__magic_token__"')
            self._bars.process_json_line(brace + state)
            if unfinished:  # the task had printed it without a newline
                rest.append(unfinished)
        return msgspec.structs.replace(batch, lines=rest)

    def _write(self, text: str, is_err: bool) -> None:
        stream = sys.stderr if is_err else sys.stdout
        if self._bars is not None:
            self._bars.hide_bars()
        with contextlib.suppress(OSError, ValueError, AttributeError):  # the user has closed it: nowhere to say so
            stream.write(text)
            stream.flush()
        if self._bars is not None:
            self._bars.unhide_bars()
