"""Two network namespaces stand for two machines: no loopback between them, only addresses and ports."""

import sys
from pathlib import Path

from .machines import needs_namespaces, network

__all__ = ["network"]
pytestmark = needs_namespaces
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


def test_a_machine_joins_over_the_network_and_both_run_one_program(network):
    head, other = machines = network.machine(), network.machine()
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
