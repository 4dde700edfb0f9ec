"""Our server serves clients of the original Ray 2.60, and our client speaks with its servers.

The one program `client_program` runs in each combination. Those with an original run where RAY_ORIGINAL_PYTHON names a
Python that has Ray 2.60 installed.
"""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import client_program
import pytest
from servers import free_port

ORIGINAL = os.environ.get("RAY_ORIGINAL_PYTHON", "")
pytestmark = [
    pytest.mark.skipif(not ORIGINAL, reason="RAY_ORIGINAL_PYTHON names no Python with the original Ray"),
    pytest.mark.timeout(300),
]
PROGRAM = Path(client_program.__file__)


def run_program(python: str, address: str) -> dict[str, Any]:
    """What each step of the program gave."""
    env = {**os.environ, "RAY_AUTH_MODE": "token"}
    if python == ORIGINAL:
        env.pop("PYTHONPATH", None)
    done = subprocess.run([python, str(PROGRAM), address], env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    results = dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    assert set(results) == set(client_program.STEPS), done.stderr
    return results


def check(results: dict[str, Any]) -> None:
    expected = {name: result for name, (_, result) in client_program.STEPS.items()}
    assert results == expected, {
        name: (result, expected[name]) for name, result in results.items() if result != expected[name]
    }


def test_our_client_on_our_server(start_server: Callable[..., Any]) -> None:
    check(run_program(sys.executable, start_server("proxy").address))


@pytest.mark.parametrize("mode", ["proxy", "specific-server"])
def test_an_original_client_on_our_server(start_server: Callable[..., Any], mode: str) -> None:
    check(run_program(ORIGINAL, start_server(mode).address))


@pytest.fixture
def original_server() -> Iterator[str]:
    """Address of a Ray Client server of the original, in proxy mode, of a local cluster of its own."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="rt", dir="/tmp") as directory:  # short: sockets lie below it
        yield from serve_with_original(port, Path(directory))


def serve_with_original(port: int, directory: Path) -> Iterator[str]:
    code = f"""
        import socket, subprocess, sys, time
        import ray

        ray.init(num_cpus=4, include_dashboard=False, object_store_memory=300 << 20)
        [node] = ray.nodes()
        place = (node["NodeManagerAddress"], node["RuntimeEnvAgentPort"])
        while True:  # its processes need a while
            try:
                socket.create_connection(place).close()
                break
            except OSError:
                time.sleep(0.1)
        agent = f"http://{{node['NodeManagerAddress']}}:{{node['RuntimeEnvAgentPort']}}"
        address = ray.get_runtime_context().gcs_address
        command = [sys.executable, "-m", "ray.util.client.server", "--address", address, "--host", "127.0.0.1"]
        command += ["--port", "{port}", "--mode", "proxy", "--runtime-env-agent-address", agent]
        server = subprocess.Popen([*command, "--node-id", node["NodeID"]])
        print("serves", flush=True)
        sys.stdin.read()
        server.terminate()
        server.wait()
        ray.shutdown()
    """
    env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_TMPDIR": str(directory)}
    env.pop("PYTHONPATH", None)
    with open(directory / "errors", "w") as errors:
        process = subprocess.Popen(
            [ORIGINAL, "-c", textwrap.dedent(code)],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdin is not None and process.stdout is not None
    if "serves" not in process.stdout.read(6):
        pytest.fail((directory / "errors").read_text())
    yield f"ray://127.0.0.1:{port}"
    process.stdin.close()
    assert process.wait(60) == 0, (directory / "errors").read_text()


def test_our_client_on_an_original_server(original_server: str) -> None:
    check(run_program(sys.executable, original_server))
