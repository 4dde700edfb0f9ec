"""`ray` commands run as users run them: processes of their own, in a temp dir of the test's, on free ports."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ray._core.node import processes


class Shell:
    """Runs commands. Everything they start lies below `temp`, so nothing else on the machine is touched."""

    def __init__(self, temp):
        self.temp = Path(temp)
        self.environ = {**os.environ, "RAY_TMPDIR": str(temp)}
        self.environ.pop("RAY_ADDRESS", None)

    @property
    def sessions(self):
        return self.temp / "ray"

    def popen(self, *args, **env):
        return subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *args],
            env={**self.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ray(self, *args, status=0, **env):
        """(standard output, standard error) of a command that ends with `status`."""
        process = self.popen(*args, **env)
        said, complained = process.communicate(timeout=60)
        assert process.returncode == status, (
            f"ray {' '.join(args)}: {process.returncode}\n{said}\n{complained}\n{self.story()}"
        )
        return said, complained

    def python(self, code, status=0, **env):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**self.environ, **env}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}\n{self.story()}"
        return done.stdout

    def start_head(self, *args, **env):
        """Start a head on a free port; its address."""
        self.ray("start", "--head", "--port=0", "--num-cpus=2", "--object-store-memory=100000000", *args, **env)
        return (self.sessions / "ray_current_cluster").read_text()

    def story(self):
        """What runs, and how each service's log ends."""
        logs = self.sessions.glob("session_2*/logs/*.err")
        ends = (f"== {log}\n{log.read_text()[-1500:]}" for log in logs if not log.name.startswith("worker"))
        return "\n".join([str(self.processes()), *ends])

    def processes(self):
        return processes.of_this_machine(self.temp)


def arenas_of(found):
    """The shared-memory files of the raylets among these processes."""
    names = []
    for process in found:
        argv = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode().split("\0")
        if "--settings" in argv:
            names.append(Path(json.loads(argv[argv.index("--settings") + 1])["arena_path"]))
    return names
