import pytest

from simulation.cluster import Cluster
from simulation.loop import SimLoop
from simulation.patches import real_modules_on_virtual_time


class World:
    """A cluster of two nodes of 2 CPUs for a test that tells itself what goes wrong."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.loop = SimLoop(0, self.story)
        self.cluster = Cluster(self.loop)

    def start(self) -> None:
        self.cluster.start_gcs()
        other = self.cluster.network.add_host("other")
        self.nodes = [self.cluster.start_node(host, {"CPU": 2}) for host in (self.cluster.head, other)]
        assert self.loop.run(5.0, lambda: all(node.is_ready for node in self.nodes))

    def until(self, is_done, within_s=60.0) -> None:
        assert self.loop.run(self.loop.now_s + within_s, is_done), "\n".join(self.story[-100:])

    def drive(self, program, number=0):
        """Run `program(core)` as a driver on a node; returns its process."""
        name = f"driver{self.loop._pid}"  # no two have one, and so the same ids
        return self.cluster.start_driver(name, self.nodes[number], program)

    def power_off(self, host) -> None:
        host.is_up = False
        for process in list(self.loop.processes.values()):
            if process.host is host:
                self.loop.kill(process, silently=True)


@pytest.fixture
def world():
    world = World()
    with real_modules_on_virtual_time(world.loop):
        world.start()
        yield world
        world.loop.bury()
