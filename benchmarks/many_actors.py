"""500 actors that hold nothing (num_cpus=0): created, called once each, and killed. Wall time, and processor time.

    python benchmarks/many_actors.py [COUNT]

Processor time counts where others use the machine too; what ended workers took is told by the zygote that reaped them.
"""

from __future__ import annotations

import collections
import os
import sys
import time

import psutil

import ray


@ray.remote(num_cpus=0)
class Nothing:
    def pid(self) -> int:
        return os.getpid()


def processor_time() -> collections.Counter[str]:
    """Seconds by kind of process, over this process and all it has started."""
    times: collections.Counter[str] = collections.Counter()
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        try:
            words, used = " ".join(process.cmdline()), process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        kinds = {"gcs.server": "gcs_server", "raylet.main": "raylet", "zygote": "zygote", "ray::": "workers"}
        kind = next((kind for word, kind in kinds.items() if word in words), "others")
        times["driver" if process == own else kind] += used.user + used.system
        if kind == "zygote":
            times["workers"] += used.children_user + used.children_system
    return times


def main(count: int) -> None:
    ray.init(num_cpus=2, log_to_driver=False)
    ray.get(Nothing.remote().pid.remote())
    before, began_s = processor_time(), time.perf_counter()
    actors = [Nothing.remote() for _ in range(count)]
    pids = ray.get([actor.pid.remote() for actor in actors])
    called_s = time.perf_counter() - began_s
    for actor in actors:
        ray.kill(actor)
    psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)])
    ended_s = time.perf_counter() - began_s
    used = processor_time() - before
    print(f"{count} actors: called after {called_s:.1f} s, gone after {ended_s:.1f} s; load {os.getloadavg()[0]:.1f}")
    parts = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in used.most_common())
    print(f"processor time {used.total():.1f} s: {parts}")
    ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
