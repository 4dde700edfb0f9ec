"""A tree of supervisors: actors that make actors, restart them by hand, and end together."""

import os

import ray
from ray.exceptions import RayActorError

ray.init(num_cpus=4)


@ray.remote(num_cpus=0)
class Leaf:
    def __init__(self, name):
        self.name = name

    def work(self, n):
        if n == 13:
            os._exit(1)
        return self.name, n

    def pid(self):
        return os.getpid()


@ray.remote(num_cpus=0)
class Supervisor:
    def __init__(self, names):
        self.children = {name: Leaf.remote(name) for name in names}
        self.restarts = 0

    def work(self, name, n):
        try:
            return ray.get(self.children[name].work.remote(n))
        except RayActorError:
            self.restarts += 1
            self.children[name] = Leaf.remote(name)
            return ray.get(self.children[name].work.remote(n + 1))

    def pids(self):
        return ray.get([child.pid.remote() for child in self.children.values()])

    def count(self):
        return self.restarts


supervisors = [Supervisor.remote([f"{n}a", f"{n}b"]) for n in range(2)]
assert ray.get(supervisors[0].work.remote("0a", 1)) == ("0a", 1)
assert ray.get(supervisors[1].work.remote("1b", 13)) == ("1b", 14)
assert ray.get(supervisors[1].work.remote("1b", 2)) == ("1b", 2)
assert ray.get([s.count.remote() for s in supervisors]) == [0, 1]
pids = ray.get(supervisors[0].pids.remote())
ray.kill(supervisors[0])


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


import time  # noqa: E402

deadline = time.monotonic() + 30
while any(map(is_alive, pids)):
    assert time.monotonic() < deadline
    time.sleep(0.05)
assert ray.get(supervisors[1].work.remote("1a", 3)) == ("1a", 3)
print("ok")
