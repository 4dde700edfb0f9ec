"""Environments on a real cluster: from `ray.init` and `.options` to the worker's process and back."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
import stand_ins
from gone import wait_gone
from wheels import make_wheel

import ray
from ray._core.common.messages import KvKeys
from ray._core.common.packages import PART_SIZE
from ray.exceptions import RuntimeEnvSetupError


@pytest.fixture
def init(tmp_path, monkeypatch):
    directory = tmp_path / "index"
    directory.mkdir()
    make_wheel(directory, "tiny_wheel", "1.0", "WHO = 'tiny'")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    here = os.path.dirname(__file__)  # workers with a working_dir do not see the driver's directories
    monkeypatch.setenv("PYTHONPATH", f"{here}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("RUNTIME_ENV_RETRY_INTERVAL_MS", "0")

    def start(**arguments):
        return ray.init(num_cpus=2, object_store_memory=100 << 20, **arguments)

    ray.shutdown()
    yield start
    processes = psutil.Process().children(recursive=True)
    ray.shutdown()
    assert wait_gone(processes, timeout=10) == []


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "pkg").mkdir(parents=True)
    (root / "main_module.py").write_text("ANSWER = 42\n")
    (root / "pkg/__init__.py").write_text("NAME = 'pkg'\n")
    (root / "data.txt").write_text("data")
    (root / "secret.txt").write_text("not for the cluster")
    return root


@ray.remote
def look():
    import main_module
    import pkg

    return os.getcwd(), Path("data.txt").read_text(), main_module.ANSWER, pkg.NAME, os.path.exists("secret.txt")


@ray.remote
def pid():
    return os.getpid()


@ray.remote
class Looker:
    def look(self):
        import main_module

        return main_module.ANSWER, os.getcwd()


def test_a_jobs_directory_is_where_its_tasks_and_actors_run(init, project):
    context = init(runtime_env={"working_dir": str(project), "excludes": ["secret.txt"]})
    cwd, data, answer, name, has_secret = ray.get(look.remote())
    assert (data, answer, name, has_secret) == ("data", 42, "pkg", False)
    session = context.address_info["session_dir"]
    assert cwd.startswith(f"{session}/runtime_resources/working_dir_files/_ray_pkg_")
    assert ray.get(Looker.remote().look.remote()) == (42, cwd)
    uri = ray.get_runtime_context().runtime_env["working_dir"]
    assert uri == f"gcs://{os.path.basename(cwd)}.zip"
    other = look.options(runtime_env={"working_dir": uri, "env_vars": {"A": "1"}})
    assert ray.get(other.remote())[0] == cwd


def test_modules_and_packages_of_a_job(init, project, tmp_path):
    (tmp_path / "single.py").write_text("ONE = 1\n")
    wheel = make_wheel(tmp_path, "some_wheel", "2.0", "TWO = 2")

    @ray.remote
    def use():
        import pkg
        import single
        import some_wheel

        return pkg.NAME, single.ONE, some_wheel.TWO

    init(runtime_env={"py_modules": [str(project / "pkg"), str(tmp_path / "single.py"), str(wheel)]})
    assert ray.get(use.remote()) == ("pkg", 1, 2)


def test_a_pip_environment_is_built_once_and_its_workers_start_fast(init):
    @ray.remote(runtime_env={"pip": ["tiny_wheel"]})
    def use():
        import tiny_wheel

        return tiny_wheel.WHO, sys.executable, ray.get_runtime_context().runtime_env["pip"]["packages"]

    @ray.remote
    def parent():
        return ray.get(use.remote())

    init()
    who, executable, packages = ray.get(use.remote())
    assert (who, packages) == ("tiny", ["tiny_wheel"])
    assert "/runtime_resources/pip/" in executable
    start_s = time.monotonic()
    again = ray.get(use.options(runtime_env={"pip": ["tiny_wheel"], "env_vars": {"A": "1"}}).remote())
    assert again[:2] == (who, executable)
    assert time.monotonic() - start_s < 5  # well under a second where nothing else runs; building takes longer
    assert ray.get(parent.remote())[1] == executable


def test_an_environment_that_cannot_be_built_is_an_error_at_get_and_at_the_first_call(init):
    bad = {"pip": ["no-such-wheel"]}
    init()
    with pytest.raises(RuntimeEnvSetupError, match="No matching distribution found for no-such-wheel"):
        ray.get(look.options(runtime_env=bad).remote(), timeout=60)
    actor = Looker.options(runtime_env=bad).remote()
    with pytest.raises(RuntimeEnvSetupError, match="No matching distribution found for no-such-wheel"):
        ray.get(actor.look.remote(), timeout=60)


def test_a_jobs_environment_that_cannot_be_built_fails_its_tasks_not_its_start(init):
    init(runtime_env={"working_dir": "gcs://_ray_pkg_none.zip"})
    with pytest.raises(RuntimeEnvSetupError, match=r"gcs://_ray_pkg_none\.zip"):
        ray.get(look.remote(), timeout=60)


def test_an_interpreter_that_does_not_start_is_an_error_not_a_hang(init):
    init()
    with pytest.raises(RuntimeEnvSetupError, match="no_such_interpreter"):
        ray.get(look.options(runtime_env={"py_executable": "no_such_interpreter"}).remote(), timeout=60)


def test_a_setup_that_takes_too_long_is_ended(init, tmp_path, monkeypatch):
    (tmp_path / "slow_plugin.py").write_text(
        "import asyncio\n"
        "from ray._private.runtime_env.plugin import RuntimeEnvPlugin\n"
        "class Slow(RuntimeEnvPlugin):\n"
        "    name = 'slow'\n"
        "    def get_uris(self, runtime_env):\n"
        "        return ['slow://' + str(runtime_env['slow'])]\n"
        "    async def create(self, uri, runtime_env, context, logger):\n"
        "        await asyncio.sleep(runtime_env['slow'])\n"
        "    def modify_context(self, uris, runtime_env, context, logger):\n"
        "        context.env_vars['SLOW'] = uris[0]\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("RAY_RUNTIME_ENV_PLUGINS", '[{"class": "slow_plugin.Slow"}]')

    @ray.remote
    def variable():
        return os.environ["SLOW"]

    init()
    assert ray.get(variable.options(runtime_env={"slow": 0}).remote()) == "slow://0"
    env = {"slow": 1000, "config": {"setup_timeout_seconds": 1}}
    with pytest.raises(RuntimeEnvSetupError, match="within the timeout of 1 seconds"):
        ray.get(variable.options(runtime_env=env).remote(), timeout=60)


def test_an_agent_that_dies_while_it_builds_is_replaced(init, tmp_path, monkeypatch):
    (tmp_path / "gated_plugin.py").write_text(
        "import asyncio, os, pathlib\n"
        "from ray._private.runtime_env.plugin import RuntimeEnvPlugin\n"
        "class Gated(RuntimeEnvPlugin):\n"
        "    name = 'gated'\n"
        "    async def create(self, uri, runtime_env, context, logger):\n"
        "        place = pathlib.Path(runtime_env['gated'])\n"
        "        (place / f'agent-{os.getpid()}').touch()\n"
        "        while not (place / 'gate').exists():\n"
        "            await asyncio.sleep(0.02)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("RAY_RUNTIME_ENV_PLUGINS", '[{"class": "gated_plugin.Gated"}]')
    init()
    ref = pid.options(runtime_env={"gated": str(tmp_path)}).remote()
    deadline_at_s = time.monotonic() + 30
    while not (started := list(tmp_path.glob("agent-*"))):
        assert time.monotonic() < deadline_at_s
        time.sleep(0.02)
    os.kill(int(started[0].name.removeprefix("agent-")), signal.SIGKILL)
    (tmp_path / "gate").touch()
    assert ray.get(ref, timeout=60) > 0
    assert len(list(tmp_path.glob("agent-*"))) == 2


def test_packages_go_when_nothing_uses_them(init, project, monkeypatch):
    monkeypatch.setenv("RAY_RUNTIME_ENV_WORKING_DIR_CACHE_SIZE_GB", "0")
    context = init()
    files = Path(context.address_info["session_dir"]) / "runtime_resources/working_dir_files"
    from ray._private.runtime_env import packaging
    from ray._private.runtime_env.job_env import cluster_store
    from ray._private.worker import global_worker

    uri = packaging.upload_directory(cluster_store(global_worker.core_worker), project)
    actor = Looker.options(runtime_env={"working_dir": uri}).remote()
    assert ray.get(actor.look.remote())[0] == 42
    assert len(list(files.iterdir())) == 1
    ray.kill(actor)
    deadline_at_s = time.monotonic() + 20
    while list(files.iterdir()):
        assert time.monotonic() < deadline_at_s, list(files.iterdir())
        time.sleep(0.02)


def test_packages_leave_the_cluster_with_their_last_job(init, project, monkeypatch):
    from ray._private.auto_init_hook import connected_core
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_RUNTIME_ENV_TEMPORARY_REFERENCE_EXPIRATION_S", "0")
    (project / "noise").write_bytes(os.urandom(PART_SIZE))  # so that the package comes in parts
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 << 20})
    try:
        ray.init(cluster.address, runtime_env={"working_dir": str(project)})
        uri = ray.get_runtime_context().runtime_env["working_dir"]
        keeper = Looker.options(name="keeper", namespace="n", lifetime="detached").remote()
        assert ray.get(keeper.look.remote())[0] == 42
        ray.shutdown()

        ray.init(cluster.address)

        def keys():
            return set(connected_core().ask_gcs(KvKeys(namespace="", prefix=uri.encode())).keys)

        assert keys() == {uri.encode(), f"{uri}#0".encode(), f"{uri}#1".encode()}, "a detached actor needs it"
        ray.kill(ray.get_actor("keeper", namespace="n"))
        deadline_at_s = time.monotonic() + 20
        while keys():
            assert time.monotonic() < deadline_at_s
            time.sleep(0.02)
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_the_state_api_lists_environments(init):
    from ray.util.state import list_runtime_envs

    init()
    good, bad = {"env_vars": {"A": "1"}}, {"working_dir": "gcs://_ray_pkg_none.zip"}
    actor = Looker.options(runtime_env=good).remote()
    ray.get(actor.__ray_ready__.remote())
    with pytest.raises(RuntimeEnvSetupError):
        ray.get(look.options(runtime_env=bad).remote())
    rows = {str(row.runtime_env): row for row in list_runtime_envs(detail=True)}
    assert rows[str(good)].success and rows[str(good)].ref_cnt == 1
    assert not rows[str(bad)].success and "gcs://_ray_pkg_none.zip" in rows[str(bad)].error


def test_each_node_builds_what_it_needs(project):
    from ray.cluster_utils import Cluster
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 << 20})
    try:
        cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
        ray.init(cluster.address, runtime_env={"working_dir": str(project)})
        nodes = [node["NodeID"] for node in ray.nodes()]
        places = [
            ray.get(look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)).remote())[0]
            for node_id in nodes
        ]
        assert len(set(places)) == 2
        assert [os.path.basename(place) for place in places] == [os.path.basename(places[0])] * 2
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_a_users_plug_in_makes_and_removes_what_its_field_asks_for(init, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_RUNTIME_ENV_PLUGINS", '[{"class": "sample_plugin.Touch", "priority": 1}]')
    monkeypatch.setenv("RAY_RUNTIME_ENV_TOUCH_CACHE_SIZE_GB", "0")
    context = init()
    path = tmp_path / "touched"

    @ray.remote(runtime_env={"touch": str(path)})
    class Toucher:
        def look(self):
            return os.environ["TOUCHED"], Path(os.environ["TOUCHED"]).read_text()

    actor = Toucher.remote()
    assert ray.get(actor.look.remote()) == (str(path), "made")
    logs = Path(context.address_info["session_dir"]) / "logs"
    job_id = ray.get_runtime_context().get_job_id()
    assert f"Touching touch://{path}." in (logs / f"runtime_env_setup-{job_id}.log").read_text()
    ray.kill(actor)
    deadline_at_s = time.monotonic() + 20
    while path.exists():
        assert time.monotonic() < deadline_at_s, "it is unused, and the cache has no room"
        time.sleep(0.02)


# ------------------------------------------------------------------ tools that a machine may lack


def test_workers_inside_of_what_conda_podman_nsys_and_rocprof_make_of_them(init, tmp_path, monkeypatch):
    """By stand-ins for these tools; test_real_tools.py is with the real ones."""
    programs = stand_ins.install(tmp_path / "tools")
    monkeypatch.setenv("RAY_CONDA_HOME", str(tmp_path / "tools"))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOST_ONLY", "1")

    @ray.remote
    def tell(module=""):
        if module:
            __import__(module)
        names = ("container", "HOST_ONLY", "PROFILED_WITH", "A")
        return sys.prefix, {name: os.environ[name] for name in names if name in os.environ}

    session = Path(init().address_info["session_dir"])
    environments = {
        "conda": {"conda": {"dependencies": ["python", {"pip": ["tiny_wheel"]}]}},
        "image": {"image_uri": "image:1"},
        "container": {"container": {"image": "image:1", "run_options": ["--env=A=2"]}},
        "nsys": {"nsight": {"t": "cuda", "stop-on-exit": "false"}},
        "rocprof": {"rocprof_sys": {"args": {"trace": "true"}, "env": {"A": "3"}}},
    }
    refs = {
        name: tell.options(num_cpus=0, runtime_env=environment).remote("tiny_wheel" if name == "conda" else "")
        for name, environment in environments.items()
    }
    told = {name: ray.get(ref) for name, ref in refs.items()}  # all start side by side
    own, variables = told["conda"]
    assert own.startswith(f"{session}/runtime_resources/conda/") and variables == {"HOST_ONLY": "1"}
    assert told["image"][1] == {"container": "podman"}
    assert told["container"][1] == {"container": "podman", "A": "2"}
    [report] = (session / "logs/nsight").iterdir()
    assert "'-t': 'cuda'" in report.read_text() and "'--stop-on-exit': 'false'" in report.read_text()
    assert told["rocprof"][1] == {"HOST_ONLY": "1", "PROFILED_WITH": "--trace=true", "A": "3"}
    by_path = tell.options(runtime_env={"conda": own, "env_vars": {"A": "1"}}).remote("tiny_wheel")
    assert ray.get(by_path) == (own, {"HOST_ONLY": "1", "A": "1"})
