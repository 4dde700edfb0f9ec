"""`ray start`, `ray stop`, `ray status`, `ray health-check` on real processes. Source: cluster.md 1.1, 1.2, 1.5."""

import ast
import os
import re
import signal
import socket
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from commands import arenas_of
from gone import wait_gone
from polling import wait_until

JOB = """
import ray
ray.init({address})
@ray.remote
def add(a, b):
    return a + b
print(ray.get(add.remote(1, 2)), int(ray.cluster_resources()["CPU"]), len(ray.nodes()))
"""


HEAD_SAYS = [
    "Usage stats collection is disabled.",
    "Local node IP: HOST",
    *("--------------------", "Ray runtime started.", "--------------------"),
    "Next steps",
    *("Note: The following commands are intended for use on", "the head node or within the cluster network."),
    *("To add another node to this Ray cluster, run", "ray start --address='HOST'"),
    *("To connect to this Ray cluster:", "import ray", "ray.init()"),
    "To submit a Ray job using the Ray Jobs CLI:",
    "RAY_API_SERVER_ADDRESS='http://HOST' ray job submit --working-dir . -- python my_script.py",
    "See https://docs.ray.io/en/latest/cluster/running-applications/job-submission/index.html",
    "for more information on submitting Ray jobs to the Ray cluster.",
    *("To terminate the Ray runtime, run", "ray stop"),
    *("To view the status of the cluster, use", "ray status"),
    *("To monitor and debug Ray, view the dashboard at", "HOST"),
    "If connection to the dashboard fails, check your firewall settings and network configuration.",
]
"""Tests and scripts for Ray compare these lines."""


def test_a_head_outlives_its_command_serves_drivers_and_is_stopped(shell):
    with socket.create_server(("", 0)) as free:
        agent_port = free.getsockname()[1]
    flags = ["--port=0", "--num-cpus=2", "--log-style=pretty", f"--dashboard-agent-listen-port={agent_port}"]
    said, _ = shell.ray("start", "--head", *flags)
    with urllib.request.urlopen(f"http://127.0.0.1:{agent_port}/api/local_raylet_healthz", timeout=10) as answer:
        assert answer.read() == b"success"
    address = (shell.sessions / "ray_current_cluster").read_text()
    assert f"ray start --address='{address}'" in said
    lines = [line.strip() for line in said.splitlines()]
    told = [re.sub(r"([\d.]+:)?\b\d+\.\d+\.\d+\.\d+(:\d+)?", "HOST", line) for line in lines if line]
    assert told == HEAD_SAYS
    assert shell.python(JOB.format(address="")) == "3 2 1\n"
    assert shell.python(JOB.format(address=repr(address))) == "3 2 1\n"
    assert shell.python(JOB.format(address="'auto'")) == "3 2 1\n"
    assert shell.python(JOB.format(address=""), RAY_ADDRESS=address) == "3 2 1\n"
    assert shell.ray("health-check") == ("", "")
    assert shell.ray("health-check", "--address", address) == ("", "")

    arenas = arenas_of(shell.processes())
    assert len(arenas) == 1 and arenas[0].exists()
    said, _ = shell.ray("stop", "--temp-dir", str(shell.temp))
    assert "Stopped all" in said and "Ray processes." in said
    assert shell.processes() == []
    wait_until(lambda: not arenas[0].exists(), "the arena is unlinked")
    assert not (shell.sessions / "ray_current_cluster").exists()
    said, _ = shell.ray("stop", "--temp-dir", str(shell.temp))
    assert "Did not find any active Ray processes." in said
    _, complained = shell.ray("health-check", "--address", address, status=1)
    assert "Could not connect" in complained


def test_stop_by_force_leaves_nothing_either(shell):
    shell.start_head()
    arenas = arenas_of(shell.processes())
    shell.ray("stop", "--force", "--temp-dir", str(shell.temp))
    assert shell.processes() == []
    wait_until(lambda: not arenas[0].exists(), "the arena is unlinked")


def test_a_node_joins_and_counts(shell):
    address = shell.start_head("--labels=region=here,zone=a")
    said, _ = shell.ray(
        "start", "--address", address, "--num-cpus=3", '--resources={"special": 2}', "--labels", '{"zone": "b"}',
        "--node-name=second", "--object-store-memory=100000000", "--log-style=pretty",
    )  # fmt: skip
    assert "Local node IP: " in said and "Ray runtime started." in said and "ray stop" in said
    assert shell.python(JOB.format(address="")) == "3 5 2\n"
    code = "import ray; ray.init(); print([(n['NodeName'], n['Labels'].get('zone')) for n in ray.nodes()])"
    names = ast.literal_eval(shell.python(code))
    assert sorted(zone for _, zone in names) == ["a", "b"]
    assert ("second", "b") in names

    said, _ = shell.ray("status")
    assert "0.0/5.0 CPU" in said and "0.0/2.0 special" in said and said.count(" 1 node_") == 2
    assert "(no resource demands)" in said and "(no failures)" in said
    said, _ = shell.ray("status", "-v", "--address", address)
    assert said.count("\n Usage:\n") == 2 and "0.0/3.0 CPU" in said


def test_a_worker_node_killed_is_a_recent_failure(shell):
    address = shell.start_head()
    shell.ray("start", "--address", address, "--num-cpus=1", "--object-store-memory=100000000")

    def raylets_alone():  # a zygote has their name until it has its own
        found = [p for p in shell.processes() if p.name == "ray._core.raylet.main"]
        return found if len(found) == 2 else None

    raylets = wait_until(raylets_alone)
    arena = arenas_of([raylets[-1]])[0]
    children = psutil.Process(raylets[-1].pid).children(recursive=True)
    os.kill(raylets[-1].pid, signal.SIGKILL)
    wait_until(lambda: not arena.exists(), "the reaper unlinks the arena of a killed raylet")
    assert wait_gone(children, timeout=10) == []
    wait_until(lambda: "(no failures)" not in shell.ray("status")[0], "the GCS notices")


def test_status_tells_what_waits(shell):
    shell.start_head()
    code = """
import ray, subprocess, sys
ray.init()
@ray.remote(resources={"nowhere": 1})
def never(): ...
@ray.remote(num_cpus=2)
def busy(): __import__("time").sleep(1000)
refs = [never.remote(), busy.remote(), busy.remote()]
def demands():
    said = subprocess.run([sys.executable, "-m", "ray.scripts.scripts", "status"], capture_output=True, text=True)
    return said.stdout
text = ""
while not ("'nowhere': 1.0}: 1+" in text and "{'CPU': 2.0}: 1+" in text and "2.0/2.0 CPU" in text):
    text = demands()
print(text)
"""
    said = shell.python(code)
    assert " {'CPU': 1.0, 'nowhere': 1.0}: 1+ pending tasks/actors\n" in said


# ------------------------------------------------------------------ what cannot be


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "`--address` is a required flag unless starting a head node with `--head`."),
        (["--address=127.0.0.1:1", "--port=3"], "`--port` should only be specified when starting head node"),
        (["--address=127.0.0.1:1", "--include-dashboard=true"], "`--include-dashboard` should only be specified"),
        (["--head", "--resources={x"], "`--resources={x` is not a valid JSON string"),
        (["--head", "--resources=[1]"], "is not a valid JSON string"),
        (["--head", '--resources={"CPU": 3}'], "Use num_cpus instead of 'CPU'"),
        (["--head", '--resources={"a": 1.5}'], "whole numbers; a is 1.5"),
        (["--head", "--labels=a"], "not of the form key=value"),
        (["--head", "--labels=ray.io/x=1"], "reserved for Ray defined labels"),
        (["--head", "--object-store-memory=1000"], "1000 bytes"),
        (["--head", "--redis-address=127.0.0.1:6380"], "The Redis at 127.0.0.1:6380 cannot be used"),
        (["--head", "--address=127.0.0.1:6380"], "The Redis at 127.0.0.1:6380 cannot be used"),
        (["--head", "--autoscaling-config=x.yaml"], "`--autoscaling-config` is not available yet"),
        (["--head", "--node-ip-address=nowhere"], "'nowhere' is not an IP address"),
        (["--head", "--port=77777"], "77777 is no port"),
        (["--head", "--worker-port-list=a,b"], "neither a range of ports nor a list"),
        (["--head", '--system-config={"no_such_setting": 1}'], "no_such_setting"),
        (["--address=127.0.0.1:1"], "Could not connect to a Ray cluster at 127.0.0.1:1"),
        (["--address=auto"], "Could not find any running Ray instance"),
        (["--address=nonsense"], "Invalid address"),
    ],
)
def test_wrong_flags_are_refused_by_name(shell, arguments, text):
    _, complained = shell.ray("start", *arguments, status=1, RAY_gcs_rpc_server_connect_timeout_s="0")
    assert text in complained
    assert "Traceback" not in complained
    wait_until(lambda: shell.processes() == [], "a zygote ends just behind its raylet")


def test_a_joining_node_hears_what_to_look_at(shell):
    _, complained = shell.ray("start", "--address=127.0.0.1:1", status=1, RAY_gcs_rpc_server_connect_timeout_s="0")
    assert "On the head, `ray status` tells" in complained and "firewall" in complained


def test_a_second_head_at_the_same_port_is_refused(shell):
    address = shell.start_head()
    _, port = address.split(":")
    before = shell.processes()
    _, complained = shell.ray("start", "--head", f"--port={port}", status=1)
    assert f"is already running at {address}" in complained and "--port" in complained
    assert {p.pid for p in before} <= {p.pid for p in shell.processes()}
    assert (shell.sessions / "ray_current_cluster").read_text() == address
    assert shell.start_head() != address  # another port is fine


def test_a_port_that_another_program_has_is_told(shell):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _, complained = shell.ray("start", "--head", "--node-ip-address=127.0.0.1", f"--port={port}", status=1)
    assert f"cannot start at 127.0.0.1:{port}" in complained and "Another program" in complained
    wait_until(lambda: shell.processes() == [], "a zygote ends just behind its raylet")


def test_a_process_that_dies_at_its_start_is_quoted(shell):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = ("--head", "--port=0", "--node-ip-address=127.0.0.1", f"--node-manager-port={port}")
        _, complained = shell.ray("start", *arguments, status=1)
    assert "raylet ended with status 1 at its start. The last lines of" in complained
    assert "address already in use" in complained
    assert "raylet.err" in complained
    wait_until(lambda: shell.processes() == [], "a zygote ends just behind its raylet")
    assert not (shell.sessions / "ray_current_cluster").exists()


def test_another_version_may_not_join_or_connect(shell):
    address = shell.start_head()
    other = "import ray._version; ray._version.VERSION = '9.9.9'\n"
    code = f"{other}from ray.scripts.scripts import cli; cli(['start', '--address', {address!r}])"
    process = psutil.Popen([sys.executable, "-c", code], env=shell.environ, stderr=-1, stdout=-1)
    _, complained = process.communicate(timeout=30)
    assert process.returncode == 1
    for text in (b"Version mismatch", b"Ray: 2.60.0", b"Ray: 9.9.9"):
        assert text in complained
    code = f"{other}import ray; ray.init({address!r})"
    process = psutil.Popen([sys.executable, "-c", code], env=shell.environ, stderr=-1, stdout=-1)
    _, complained = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"RuntimeError" in complained or b"VersionMismatch" in complained
    assert b"Ray: 9.9.9" in complained


# ------------------------------------------------------------------ --block


def _blocked(shell):
    process = shell.popen("start", "--head", "--port=0", "--num-cpus=1", "--block", "--log-style=pretty")
    for line in process.stdout:
        if "treated as graceful" in line:
            return process
    raise AssertionError(process.communicate())


def test_block_ends_with_1_when_a_process_dies(shell):
    process = _blocked(shell)
    gcs = next(p for p in shell.processes() if p.name == "ray._core.gcs.server")
    os.kill(gcs.pid, signal.SIGKILL)
    _, complained = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Some Ray subprocesses exited unexpectedly:\n  gcs_server [exit code=-9]" in complained
    assert "Remaining processes will be killed." in complained
    wait_until(lambda: shell.processes() == [], "all others have ended")


def test_services_write_to_standard_error_if_they_are_told_to(shell):
    head = shell.popen("start", "--head", "--port=0", "--num-cpus=1", "--block", "--no-redirect-output")
    wait_until(lambda: (shell.sessions / "ray_current_cluster").exists(), "the head is up", 60)
    host, port = (shell.sessions / "ray_current_cluster").read_text().rsplit(":", 1)
    with socket.create_connection((host, int(port))) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n".ljust(200))
        stranger.recv(100)
    head.terminate()
    _, complained = head.communicate(timeout=60)
    assert "Connection refused" in complained, complained
    [logs] = shell.sessions.glob("session_2*/logs")
    assert (logs / "gcs_server.err").read_text() == ""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_block_ends_its_node_when_it_is_ended(shell, signum):
    process = _blocked(shell)
    arena = arenas_of(shell.processes())[0]
    process.send_signal(signum)
    process.communicate(timeout=30)
    assert process.returncode == (0 if signum != signal.SIGKILL else -signal.SIGKILL)
    wait_until(lambda: shell.processes() == [], "the node's processes have ended")
    wait_until(lambda: not arena.exists(), "the arena is unlinked")


def test_block_ends_with_0_when_its_node_is_stopped(shell):
    process = _blocked(shell)
    shell.ray("stop", "--temp-dir", str(shell.temp))
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_version_and_help(shell):
    assert shell.ray("--version")[0].startswith("ray, version 2.60.0")
    said, _ = shell.ray("start", "--help")
    assert "--num-cpus" in said and "--redis-password" not in said
    said, _ = shell.ray("--help")
    assert all(name in said for name in ("start", "stop", "status", "health-check", "get-auth-token", "microbenchmark"))


def test_the_logs_and_the_link_to_the_latest_session_are_where_people_look(shell):
    flags = ("--head", "--port=0", "--num-cpus=2", "--object-store-memory=100000000")
    said, _ = shell.ray("start", *flags, RAY_START_HOOK="builtins.print")
    assert re.search(r"^NodeParams\(.*\) True$", said, re.MULTILINE)  # what the hook is called with
    latest = shell.sessions / "session_latest"
    assert latest.is_symlink() and latest.resolve().name.startswith("session_")
    names = {path.name for path in (latest / "logs").iterdir()}
    assert {"raylet.out", "raylet.err", "gcs_server.out", "gcs_server.err"} <= names
    assert (latest / "sockets" / "raylet").is_socket()
    assert Path(latest.resolve()).stat().st_mode & 0o077 == 0


# ------------------------------------------------------------------ orders to a cluster


def test_an_idle_node_can_be_drained_and_a_busy_one_only_for_preemption(shell):
    shell.start_head()
    reason = ("--reason-message", "a test", "--reason")
    code = """
import ray, subprocess, sys
ray.init(namespace="here")
@ray.remote(num_cpus=1)
class Holder:
    def hold(self): return 1
holder = Holder.options(name="holder").remote()
ray.get(holder.hold.remote())
def order(*command):
    done = subprocess.run([sys.executable, "-m", "ray.scripts.scripts", *command], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr
drain = ("drain-node", "--reason-message", "a test", "--reason")
print(order(*drain, "DRAIN_NODE_REASON_IDLE_TERMINATION"))
print(order("kill-actor", "--name", "nobody", "--namespace", "here"))
print(order("kill-actor", "--name", "holder", "--namespace", "here", "--force", "--no-restart"))
try:
    ray.get(holder.hold.remote())
except ray.exceptions.ActorDiedError as error:
    print("kill-actor" in str(error))
print(order(*drain, "DRAIN_NODE_REASON_PREEMPTION", "--deadline-remaining-seconds", "60"))
@ray.remote
def work(): return 1
print(len(ray.wait([work.remote()], timeout=1)[0]), "done")
"""
    lines = shell.python(code).splitlines()
    assert lines[0].startswith("(1,") and "not idle" in lines[0]
    assert lines[1].startswith("(1,") and "No named actor found: nobody (namespace=here)" in lines[1]
    assert lines[2].startswith("(0,")
    assert lines[3:] == ["True", "(0, '')", "0 done"]
    _, complained = shell.ray(
        "drain-node", *reason, "DRAIN_NODE_REASON_IDLE_TERMINATION", "--node-id", "ff" * 28, status=1
    )
    assert "no living node" in complained


def test_garbage_is_looked_for_everywhere_when_that_is_ordered(shell):
    shell.start_head()
    code = """
import gc, subprocess, sys, time, weakref
import ray
ray.init()
gc.collect()
gc.disable()
class Cycle: pass
cycle = Cycle()
cycle.itself = cycle
gone = weakref.ref(cycle)
del cycle
print(gone() is not None)
print(subprocess.run([sys.executable, "-m", "ray.scripts.scripts", "global-gc"], capture_output=True, text=True))
end_s = time.monotonic() + 30
while gone() is not None and time.monotonic() < end_s:
    time.sleep(0.01)
print(gone() is None)
"""
    first, order, last = shell.python(code).splitlines()
    assert (first, last) == ("True", "True") and "returncode=0" in order, order


def test_usage_stats_are_switched_in_the_users_file(shell, tmp_path):
    shell.ray("disable-usage-stats", HOME=str(tmp_path))
    assert (tmp_path / ".ray" / "config.json").read_text() == '{"usage_stats": false}'
    shell.ray("enable-usage-stats", HOME=str(tmp_path))
    assert (tmp_path / ".ray" / "config.json").read_text() == '{"usage_stats": true}'


def test_a_command_whose_package_is_missing_says_so_and_disturbs_no_other(shell):
    code = """
import sys
sys.modules["requests"] = None  # as if it were not installed
from ray.scripts.scripts import cli
cli({arguments})
"""
    said = shell.python(code.format(arguments=["--help"]))
    assert "(Needs the package requests.)" in said and "start" in said
    process = psutil.Popen([sys.executable, "-c", code.format(arguments=["job", "list"])], stderr=-1, env=shell.environ)
    _, complained = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"`ray job` needs the package requests. Install it by: pip install" in complained
