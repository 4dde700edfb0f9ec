"""Starts processes of a node and waits until they say that they serve. Floor: node, shell."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ray._core.common import log_settings

LOG_LINES = 20
"""How much of its log a process that did not start has quoted."""


class StartError(RuntimeError):
    """A process of the node did not start; the text has the last lines of its log."""


class Service:
    """A process of the node, in a session of its own so that Ctrl-C in a terminal does not reach it.

    Args:
        name: "gcs_server", "raylet", …; its log files are `<log_name>.out` and `.err`.
        command: what follows the interpreter.
        fds: descriptors which it inherits under their numbers.
        announces: it is given `--ready-fd` and says on it that it serves.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log_dir: Path,
        *,
        log_name: str | None = None,
        fds: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
        announces: bool = True,
    ) -> None:
        self.name = name
        self.log = log_dir / f"{log_name or name}.err"
        self._ready_r, ready_w = os.pipe()
        to_stderr = log_settings.services_to_stderr()
        with open(self.log.with_suffix(".out"), "ab") as out, open(self.log, "ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, *command, *(["--ready-fd", str(ready_w)] if announces else [])],
                stdin=subprocess.DEVNULL,
                stdout=2 if to_stderr else out,
                stderr=None if to_stderr else err,
                pass_fds=[ready_w, *fds],
                start_new_session=True,
                env=None if env is None else dict(env),
            )
        os.close(ready_w)
        if not announces:
            os.close(self._ready_r)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def wait_ready(self, timeout_s: float) -> dict[str, Any]:
        """What the process says of itself. Raises StartError when it ends or stays silent."""
        deadline_at_s, said = time.monotonic() + timeout_s, b""
        ready = select.poll()  # not `select`: the program may have more than 1,024 files open
        ready.register(self._ready_r, select.POLLIN)
        try:
            while not said.endswith(b"\n"):
                readable = ready.poll(max(deadline_at_s - time.monotonic(), 0) * 1000)
                part = os.read(self._ready_r, 4096) if readable else b""
                if not part:
                    raise StartError(self._why_not(readable != [], timeout_s))
                said += part
        finally:
            os.close(self._ready_r)
        answer: dict[str, Any] = json.loads(said)
        return answer

    def _why_not(self, has_ended: bool, timeout_s: float) -> str:
        how = f"said nothing for {timeout_s:g} s"
        if has_ended:
            how = f"ended with status {self.process.wait()}"
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        tail = "\n".join(lines) or "(its log is empty)"
        return f"{self.name} {how} at its start. The last lines of {self.log}:\n{tail}"

    def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL when that takes longer than `grace_s`. Returns once it has ended."""
        self.process.terminate()
        try:
            self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
