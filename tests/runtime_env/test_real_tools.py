"""Environments by the real conda and podman where a machine has them, and workers inside of other programs."""

import os
import shutil
import sys
from pathlib import Path

import images
import psutil
import pytest
from gone import wait_gone

import ray
from ray._private.test_utils import wait_for_condition
from ray.util.state import get_log


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    """Podman's variables for an image of this package."""
    directory = tmp_path_factory.mktemp("podman")
    environ, problem = images.prepare(directory)
    if problem:
        pytest.skip(problem)
    yield environ
    images.run(["podman", "system", "reset", "--force"], environ)


@pytest.fixture
def init():
    yield lambda: ray.init(num_cpus=2, object_store_memory=100 << 20)
    processes = psutil.Process().children(recursive=True)
    ray.shutdown()
    alive = wait_gone(processes, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@ray.remote(num_cpus=0)
class Inside:
    def look(self):
        print("inside of something")
        return os.getpid(), ray.__file__, os.environ.get("A"), os.path.exists("/run/.containerenv")

    def sum(self, values):
        return sum(values), bytes(len(values))


def assert_alive_until_killed(actor, process):
    assert process.is_running()
    ray.kill(actor)
    assert wait_gone([process], timeout=20) == []


def test_workers_in_containers(init, podman, monkeypatch):
    for name, value in podman.items():
        monkeypatch.setenv(name, value)
    init()
    by_uri = Inside.options(runtime_env={"image_uri": images.IMAGE, "env_vars": {"A": "b c"}}).remote()
    options = {"image": images.IMAGE, "run_options": ["--env=A=2"]}
    by_options = Inside.options(runtime_env={"container": options}).remote()
    answers = [by_uri.look.remote(), by_options.look.remote()]
    for actor, answer, value in zip((by_uri, by_options), answers, ("b c", "2"), strict=True):
        pid, path, variable, is_contained = ray.get(answer, timeout=60)
        assert (path, variable, is_contained) == (f"{images.INSIDE}/ray/__init__.py", value, True)
        process = psutil.Process(pid)
        above = process.parents()
        assert os.environ["RAY_AUTH_TOKEN"] not in "".join(word for each in above for word in each.cmdline())
        large = ray.put(list(range(300_000)))
        total, zeros = ray.get(actor.sum.remote(large))
        assert total == sum(range(300_000)) and len(zeros) == 300_000  # by shared memory, both ways
        assert_alive_until_killed(actor, process)
    wait_for_condition(lambda: not images.run(["podman", "ps", "--all", "--quiet"], podman), timeout=20)


def test_an_image_that_is_nowhere(init, podman, monkeypatch):
    for name, value in podman.items():
        monkeypatch.setenv(name, value)
    init()
    actor = Inside.options(runtime_env={"container": {"image": "ray-none", "run_options": ["--pull=never"]}}).remote()
    with pytest.raises(ray.exceptions.RuntimeEnvSetupError, match="ray-none"):
        ray.get(actor.look.remote(), timeout=60)


def test_the_worker_inside_of_another_program_is_the_one_that_is_killed(init, tmp_path):
    """As `uv run`, nsys and podman are: the process that the node starts is not the worker."""
    program = tmp_path / "program"
    program.write_text(f'#!/bin/bash\n{sys.executable} "$@"\ntrap "" TERM\necho ended >> {tmp_path}/said\n')
    program.chmod(0o755)
    init()
    actor = Inside.options(runtime_env={"py_executable": str(program)}).remote()
    pid = ray.get(actor.look.remote())[0]
    process = psutil.Process(pid)
    assert process.parent().name() == "program"
    node_id = ray.get_runtime_context().get_node_id()
    assert "inside of something" in "".join(get_log(actor_id=actor._actor_id.hex(), node_id=node_id))
    assert {row["pid"] for row in ray.util.state.list_workers() if row["is_alive"]} >= {pid}
    around = process.parent()
    assert_alive_until_killed(actor, process)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(actor.look.remote())
    assert wait_gone([around], timeout=20) == []
    assert (tmp_path / "said").read_text() == "ended\n"  # it had its time


@pytest.mark.skipif(shutil.which("conda") is None, reason="this machine has no conda")
def test_a_worker_in_an_environment_of_conda(init):
    @ray.remote(runtime_env={"conda": {"dependencies": [f"python={sys.version_info[0]}.{sys.version_info[1]}"]}})
    def where():
        return sys.prefix

    init()
    assert Path(ray.get(where.remote(), timeout=100)).parent.name == "conda"


@pytest.mark.skipif(shutil.which("nsys") is None, reason="this machine has no nsys")
def test_a_worker_under_nsys(init):
    context = init()
    actor = Inside.options(runtime_env={"nsight": {"t": "none", "o": "'worker_%p'"}}).remote()
    ray.get(actor.look.remote(), timeout=60)
    ray.kill(actor)
    assert Path(context.address_info["session_dir"], "logs/nsight").is_dir()
