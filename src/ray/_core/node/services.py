"""Starts processes of a node and waits until they say that they serve. Floor: node, shell."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class StartError(RuntimeError):
    """A process of the node did not start; the text has the last lines of its log."""


class Service:
    """A child process on its way up."""

    def __init__(self, name: str, module: str, args: Sequence[str], log_dir: Path, fds: Sequence[int] = ()) -> None:
        self.name = name
        self.log = log_dir / f"{name}.err"
        self._ready_r, ready_w = os.pipe()
        with open(log_dir / f"{name}.out", "ab") as out, open(self.log, "ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *args, "--ready-fd", str(ready_w)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=[ready_w, *fds],
                start_new_session=True,
            )
        os.close(ready_w)

    def wait_ready(self, timeout_s: float) -> dict[str, Any]:
        """What the process says of itself. Raises StartError when it ends or stays silent."""
        deadline_at_s, said = time.monotonic() + timeout_s, b""
        try:
            while not said.endswith(b"\n"):
                readable, _, _ = select.select([self._ready_r], [], [], max(deadline_at_s - time.monotonic(), 0))
                part = os.read(self._ready_r, 4096) if readable else b""
                if not part:
                    how = "ended" if readable else f"said nothing for {timeout_s} s"
                    lines = self.log.read_text(errors="replace").splitlines()[-10:]
                    tail = "\n".join(lines) or "(its log is empty)"
                    raise StartError(f"{self.name} {how} at its start. The last lines of {self.log}:\n{tail}")
                said += part
        finally:
            os.close(self._ready_r)
        answer: dict[str, Any] = json.loads(said)
        return answer
