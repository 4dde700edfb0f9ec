"""Network namespaces as machines: no loopback between them, only addresses and a switch whose cables can be pulled."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ray._core.node import processes

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="making network namespaces takes root and the ip command"
)


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


class Machine:
    """One machine, with directories and an address of its own."""

    def __init__(self, network, name, ip, port):
        self._network, self.name, self.ip, self.port = network, name, ip, port
        self.temp = tempfile.mkdtemp(prefix="rm", dir="/tmp")
        self._started = []

    def _command(self, *command):
        environ = {**os.environ, "RAY_TMPDIR": self.temp, "RAY_COLOR_PREFIX": "0"}
        environ.pop("RAY_ADDRESS", None)
        return ["ip", "netns", "exec", self.name, *command], environ

    def run(self, *command):
        """What it prints, run on this machine."""
        command, environ = self._command(*command)
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *command):
        """A process on this machine that one can talk to by its standard input and output."""
        command, environ = self._command(*command)
        process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._started.append(process)
        return process

    def ray(self, *arguments):
        return self.run(sys.executable, "-m", "ray.scripts.scripts", *arguments)

    def cut(self):
        """Pull the cable out of the switch: whatever is sent from now on, either way, is lost without a word."""
        run("ip", "-n", self._network.switch, "link", "set", self.port, "down")

    def heal(self):
        run("ip", "-n", self._network.switch, "link", "set", self.port, "up")

    def processes(self):
        return processes.of_this_machine(Path(self.temp))

    def remove(self):
        for process in self._started:
            process.kill()  # those that a test has left, since it failed
            process.wait()
            process.stdin.close()
            process.stdout.close()
        processes.stop(self.processes(), grace_s=10)
        run("ip", "netns", "del", self.name)
        shutil.rmtree(self.temp)


class Network:
    def __init__(self):
        self._mine = f"{os.getpid() % 100_000}"
        self.switch = f"ray{self._mine}s"
        self.machines = []
        run("ip", "netns", "add", self.switch)
        run("ip", "-n", self.switch, "link", "add", "switch", "type", "bridge")
        run("ip", "-n", self.switch, "link", "set", "switch", "up")

    def machine(self):
        number = len(self.machines) + 1
        name, end, port = f"ray{self._mine}m{number}", f"v{self._mine}m{number}", f"p{number}"
        machine = Machine(self, name, f"10.213.7.{number}", port)
        self.machines.append(machine)
        run("ip", "netns", "add", name)
        run("ip", "link", "add", end, "netns", name, "type", "veth", "peer", "name", port, "netns", self.switch)
        run("ip", "-n", self.switch, "link", "set", port, "master", "switch", "up")
        run("ip", "-n", name, "addr", "add", f"{machine.ip}/24", "dev", end)
        for device in ("lo", end):
            run("ip", "-n", name, "link", "set", device, "up")
        return machine

    def remove(self):
        for machine in self.machines:
            machine.remove()
        run("ip", "netns", "del", self.switch)


@pytest.fixture
def network():
    network = Network()
    yield network
    network.remove()
