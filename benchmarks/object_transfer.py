"""How fast large objects move between nodes: one transfer, and a broadcast from one node to many.

    python benchmarks/object_transfer.py [--mib 1024] [--nodes 8] [--broadcast-mib 256] [--rounds 3]

Runs on pure-ray and on Ray: all nodes are raylets on this machine, so the bytes go through the loopback and all
nodes share its cores. "cold" memory was never touched before; the kernel must clear its pages first.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import ray
from ray.cluster_utils import Cluster

MIB = 1 << 20


@ray.remote(num_cpus=0)
class Holder:
    """Keeps the object on its node, and tells when it is there."""

    def put(self, mib: int) -> list[ray.ObjectRef]:
        return [ray.put(np.random.default_rng(0).integers(0, 255, mib * MIB, dtype=np.uint8))]

    def fetch(self, refs: list[ray.ObjectRef]) -> float:
        """Seconds until the object is on this node."""
        start_s = time.perf_counter()
        ray.wait(refs, fetch_local=True)
        return time.perf_counter() - start_s

    def check(self, refs: list[ray.ObjectRef]) -> int:
        return int(ray.get(refs[0])[:: 1 << 16].sum())


def on(number: int) -> Holder:
    return Holder.options(resources={f"node{number}": 1}).remote()


def measure(holders: list[Holder], mib: int, rounds: int) -> list[float]:
    """Wall seconds until the object that the first holder has put is on the nodes of all others, per round."""
    source, *targets = holders
    seconds = []
    for _ in range(rounds):
        refs = ray.get(source.put.remote(mib))
        start_s = time.perf_counter()
        ray.get([target.fetch.remote(refs) for target in targets])
        seconds.append(time.perf_counter() - start_s)
        assert len({ray.get(holder.check.remote(refs)) for holder in holders}) == 1, "the copies differ"
        del refs
        time.sleep(0.5)  # frees travel
    return seconds


def report(name: str, mib: int, seconds: list[float]) -> None:
    cold, warm = seconds[0], min(seconds[1:], default=seconds[0])
    rates = f"{mib * MIB / cold / 1e9:5.2f} GB/s cold, {mib * MIB / warm / 1e9:5.2f} GB/s warm"
    print(f"{name:42} {cold:6.2f} s cold, {warm:6.2f} s warm   {rates} per receiver", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=1024, help="of the single transfer")
    parser.add_argument("--broadcast-mib", type=int, default=256)
    parser.add_argument("--nodes", type=int, default=8, help="receivers of the broadcast")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(f"ray {ray.__version__} from {ray.__file__}")
    for mib, receivers in (args.mib, 1), (args.broadcast_mib, 1), (args.broadcast_mib, args.nodes):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 * MIB})
        for number in range(receivers + 1):
            memory = int(1.3 * mib) * MIB
            cluster.add_node(num_cpus=1, resources={f"node{number}": 1}, object_store_memory=memory)
        ray.init(address=cluster.address, log_to_driver=False)
        holders = [on(number) for number in range(receivers + 1)]
        report(f"{mib} MiB to {receivers} node(s)", mib, measure(holders, mib, args.rounds))
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
