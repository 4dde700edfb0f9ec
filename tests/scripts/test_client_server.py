"""`ray start --head` brings a Ray Client server, which serves, reports its health, and goes with `ray stop`."""

import json
import os
import socket

from polling import wait_until

from ray._core.common.packages import PART_SIZE

CLIENT = """
import ray
ray.init("ray://127.0.0.1:{port}")
print(ray.get(ray.remote(lambda: 6 * 7).remote()))
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_head_serves_clients_until_it_is_stopped(shell):
    port = free_port()
    shell.start_head(f"--ray-client-server-port={port}")
    assert shell.python(CLIENT.format(port=port)) == "42\n"
    shell.ray("health-check", "--component=ray_client_server")
    assert "ray.util.client.server" in {process.name for process in shell.processes()}
    shell.ray("stop")
    assert shell.processes() == []


def test_a_taken_port_is_told(shell):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        _, complained = shell.ray("start", "--head", "--port=0", f"--ray-client-server-port={port}", status=1)
    assert f"The Ray Client server cannot listen at port {port}" in complained
    assert "--ray-client-server-port" in complained
    wait_until(lambda: shell.processes() == [], "a zygote ends just behind its raylet")


def test_only_a_head_has_one(shell):
    _, complained = shell.ray("start", "--address=127.0.0.1:1", "--ray-client-server-port=1", status=1)
    assert "only be specified when starting head node" in complained


def test_a_client_sees_the_workers_output_and_its_environment(shell, tmp_path):
    port = free_port()
    shell.start_head(f"--ray-client-server-port={port}")
    (tmp_path / "carried.py").write_text("VALUE = 'from the working_dir'\n")
    (tmp_path / "noise").write_bytes(os.urandom(PART_SIZE))  # so that the package is stored in parts
    code = f"""
import json, os, sys, threading
import ray

class Out:
    def __init__(self): self.text, self.seen = "", threading.Event()
    def write(self, text):
        self.text += text
        if "printed by a worker" in self.text: self.seen.set()
    def flush(self): pass

real, sys.stdout = sys.stdout, Out()
env = {{"env_vars": {{"CARRIED": "yes"}}, "working_dir": {str(tmp_path)!r}}}
ray.init("ray://127.0.0.1:{port}", runtime_env=env)

@ray.remote
def look():
    import carried
    print("printed by a worker")
    return carried.VALUE, os.environ["CARRIED"], os.path.getsize("noise")

value = ray.get(look.remote())
assert sys.stdout.seen.wait(20)
sys.stdout = real
print(json.dumps([value, ray.get_runtime_context().runtime_env["env_vars"]]))
"""
    value, variables = json.loads(shell.python(code))
    assert value == ["from the working_dir", "yes", PART_SIZE]
    assert variables == {"CARRIED": "yes"}
