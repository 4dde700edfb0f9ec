"""Two network namespaces stand for two machines: no loopback between them, only addresses and ports."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ray._core.node import processes

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="making network namespaces takes root and the ip command"
)
PROGRAM = """
import ray, numpy as np
context = ray.init()
@ray.remote(resources={"there": 0.5})
def make():
    return np.ones(1 << 20), ray.util.get_node_ip_address()
@ray.remote(resources={"node:HEAD": 0.1})
def look(pair):
    return float(pair[0].sum()), pair[1], ray.util.get_node_ip_address()
@ray.remote(num_cpus=0, resources={"there": 0.1})
class Adder:
    def add(self, a, b): return a + b
adder = Adder.remote()
print(*ray.get(look.remote(make.remote())), ray.get(adder.add.remote(1, 2)), len(ray.nodes()), sep=" ")
"""


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


class Machine:
    def __init__(self, name, ip):
        self.name, self.ip = name, ip
        self.temp = tempfile.mkdtemp(prefix="rm", dir="/tmp")

    def run(self, *command):
        """What it prints, run on this machine."""
        environ = {**os.environ, "RAY_TMPDIR": self.temp, "RAY_COLOR_PREFIX": "0"}
        environ.pop("RAY_ADDRESS", None)
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, *command], env=environ, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ray(self, *arguments):
        return self.run(sys.executable, "-m", "ray.scripts.scripts", *arguments)


@pytest.fixture
def machines():
    """Two machines with a wire between them."""
    mine = f"{os.getpid() % 100_000}"
    both = [Machine(f"ray{mine}a", "10.213.7.1"), Machine(f"ray{mine}b", "10.213.7.2")]
    for machine in both:
        run("ip", "netns", "add", machine.name)
    ends = [f"v{mine}a", f"v{mine}b"]
    run("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
    for machine, end in zip(both, ends, strict=True):
        run("ip", "link", "set", end, "netns", machine.name)
        for command in (("addr", "add", f"{machine.ip}/24", "dev", end), ("link", "set", "lo", "up")):
            run("ip", "-n", machine.name, *command)
        run("ip", "-n", machine.name, "link", "set", end, "up")
    yield both
    for machine in both:
        processes.stop(processes.of_this_machine(Path(machine.temp)), grace_s=10)
        run("ip", "netns", "del", machine.name)
        shutil.rmtree(machine.temp)


def test_a_machine_joins_over_the_network_and_both_run_one_program(machines):
    head, other = machines
    small = "--object-store-memory=100000000"
    head.ray("start", "--head", f"--node-ip-address={head.ip}", "--num-cpus=1", small)
    assert (Path(head.temp) / "ray" / "ray_current_cluster").read_text() == f"{head.ip}:6379"
    joining = ("--num-cpus=1", '--resources={"there": 1}', small, "--temp-dir", f"{other.temp}/ray")
    said = other.ray(
        "start", "--address", f"{head.ip}:6379", *joining, "--min-worker-port=21000", "--max-worker-port=21999"
    )
    assert f"Local node IP: {other.ip}" in said
    for machine in machines:  # a driver on either
        said = machine.run(sys.executable, "-c", PROGRAM.replace("HEAD", head.ip))
        assert said.splitlines()[-1] == f"{float(1 << 20)} {other.ip} {head.ip} 3 2"
    other.ray("stop", "--temp-dir", other.temp)
    assert head.ray("status").count(" 1 node_") == 1
