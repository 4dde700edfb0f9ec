"""Runs a driver of its own, for tests of what it prints."""

import os
import re
import subprocess
import sys
import tempfile

DEADLINE_S = 60
WATCHED = """
import threading
class Watched:
    shown = threading.Event()
    def __init__(self, stream):
        self.stream, self.end = stream, ""
    def write(self, text):
        self.stream.write(text)
        self.end = self.end[-{size}:] + text
        if {text!r} in self.end:
            self.shown.set()
    def __getattr__(self, name):
        return getattr(self.stream, name)
sys.stdout, sys.stderr = Watched(sys.stdout), Watched(sys.stderr)
"""
"""The driver's own ear for what is shown: it comes at some time, and is lost when the driver has ended before."""


def drive(body, until="", **environ):
    """(stdout lines, stderr lines) of a driver, without colours and the words of `ray.init`.

    `until`: the driver does not end before this is shown, or for 20 s.
    """
    script = (
        f"import os, sys, time\n{WATCHED.format(text=until, size=len(until))}" if until else "import os, sys, time\n"
    )
    script += f"import ray\nray.init(num_cpus=2)\n{body}"
    if until:
        script += "\nWatched.shown.wait(20)\n"
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # pytest's own are too long for a Unix socket in them
        environ = {**os.environ, "RAY_TMPDIR": short, "RAY_COLOR_PREFIX": "0", **environ}
        command = [sys.executable, "-c", script]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, env=environ, check=False)
    assert ran.returncode == 0, ran.stderr
    err = [line for line in ran.stderr.splitlines() if "Started a local Ray instance" not in line]
    return re.sub(r"pid=\d+", "pid=N", ran.stdout).splitlines(), re.sub(
        r"pid=\d+", "pid=N", "\n".join(err)
    ).splitlines()
