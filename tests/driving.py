"""Runs a driver of its own, for tests of what it prints."""

import os
import re
import subprocess
import sys
import tempfile

DEADLINE_S = 60


def drive(body, **environ):
    """(stdout lines, stderr lines) of a driver, without colours and the words of `ray.init`."""
    script = f"import os, sys, time\nimport ray\nray.init(num_cpus=2)\n{body}"
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # pytest's own are too long for a Unix socket in them
        environ = {**os.environ, "RAY_TMPDIR": short, "RAY_COLOR_PREFIX": "0", **environ}
        command = [sys.executable, "-c", script]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, env=environ, check=False)
    assert ran.returncode == 0, ran.stderr
    err = [line for line in ran.stderr.splitlines() if "Started a local Ray instance" not in line]
    return re.sub(r"pid=\d+", "pid=N", ran.stdout).splitlines(), re.sub(
        r"pid=\d+", "pid=N", "\n".join(err)
    ).splitlines()
