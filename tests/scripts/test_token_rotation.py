"""A token file that is replaced while a cluster runs: the cluster goes on with its own, and a new one takes the new."""

import os
import subprocess
import sys

PROGRAM = """
import os, pathlib, ray
path = pathlib.Path.home() / ".ray" / "auth_token"
context = ray.init(num_cpus=1, object_store_memory=100 << 20, logging_level="ERROR")
first = path.read_text()

@ray.remote(max_calls=1)
def pid():
    return os.getpid()

before = ray.get(pid.remote())
path.unlink()
os.system("{SYS} -m ray.scripts.scripts get-auth-token --generate > /dev/null")
assert path.read_text() != first
assert path.stat().st_mode & 0o777 == 0o600
assert ray.get(pid.remote(), timeout=30) != before  # a process that was forked since

@ray.remote
class Actor:
    def ready(self):
        return len(ray.nodes())

assert ray.get(Actor.remote().ready.remote(), timeout=30) == 1
ray.shutdown()
ray.init(num_cpus=1, object_store_memory=100 << 20, logging_level="ERROR")
assert ray.get(pid.remote(), timeout=30)
print("rotated")
"""


def test_a_running_cluster_keeps_its_token_and_the_next_takes_the_new_one(tmp_path):
    environ = {name: value for name, value in os.environ.items() if "AUTH" not in name}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{SYS}", sys.executable)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**environ, "HOME": str(tmp_path)},
    )
    assert done.stdout == "rotated\n", done.stdout + done.stderr
