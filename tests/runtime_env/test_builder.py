"""The builder of a node's environments: once for all, in order, in time, with the tool's words when it fails."""

import asyncio
import functools
import http.server
import io
import json
import logging
import os
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile

import pytest
from wheels import make_wheel

from ray._core.common.packages import PART_SIZE, in_parts
from ray._private.runtime_env import agent as agent_module
from ray._private.runtime_env import packaging, wrappers
from ray._private.runtime_env.agent import EnvBuilder, SetupFailed
from ray._private.runtime_env.conda import activation
from ray._private.runtime_env.context import RuntimeEnvContext
from ray._private.runtime_env.plugin import RuntimeEnvPlugin
from ray.runtime_env import RuntimeEnv

JOB = b"\x01\0\0\0"


@pytest.fixture
def kept():
    return {}


@pytest.fixture
def builder(tmp_path, kept, monkeypatch):
    monkeypatch.setattr(agent_module, "RETRY_PAUSE_S", 0.0)
    (tmp_path / "logs").mkdir()

    return EnvBuilder(tmp_path / "resources", str(tmp_path), tmp_path / "logs", fetch_from(kept))


def fetch_from(kept):
    async def fetch(key):
        return kept.get(key)

    return fetch


def build(builder, **fields):
    return json.loads(asyncio.run(builder.create(RuntimeEnv(_validate=False, **fields).serialize(), JOB)))


def package(kept, tmp_path, files):
    source = tmp_path / "source"
    for name, text in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    return packaging.upload_directory(
        packaging.Store(kept.__contains__, lambda uri, package: kept.update(in_parts(uri, package))), source
    )


# ------------------------------------------------------------------ packages


def test_a_working_dir_is_the_workers_directory_and_first_on_its_path(builder, kept, tmp_path):
    uri = package(kept, tmp_path, {"a.py": "A = 1"})
    context = build(builder, working_dir=uri, env_vars={"X": "y"})
    directory = tmp_path / "resources/working_dir_files" / uri[6:-4]
    assert (directory / "a.py").read_text() == "A = 1"
    assert context["command_prefix"] == [f"cd {directory} &&"]
    assert context["env_vars"] == {"X": "y", "PYTHONPATH": f"{directory}:${{PYTHONPATH}}"}


def test_a_large_package_is_stored_and_fetched_in_parts(builder, kept, tmp_path):
    noise = os.urandom(PART_SIZE + 5)  # which no zip makes smaller
    (tmp_path / "source").mkdir()
    (tmp_path / "source/noise").write_bytes(noise)
    uri = package(kept, tmp_path, {"a.txt": "a"})
    assert sorted(kept) == [uri, f"{uri}#0", f"{uri}#1"]
    context = build(builder, working_dir=uri)
    [directory] = [path for path in (tmp_path / "resources/working_dir_files").iterdir()]
    assert (directory / "noise").read_bytes() == noise and str(directory) in context["env_vars"]["PYTHONPATH"]
    del kept[f"{uri}#1"]
    builder.release(RuntimeEnv(_validate=False, working_dir=uri).serialize())
    other = EnvBuilder(tmp_path / "other", str(tmp_path), tmp_path / "logs", fetch_from(kept))
    with pytest.raises(SetupFailed, match="was deleted while it was being fetched"):
        build(other, working_dir=uri)


def test_a_package_that_is_not_there_is_named(builder):
    with pytest.raises(SetupFailed, match=r"Failed to download runtime_env file package gcs://none\.zip"):
        build(builder, working_dir="gcs://none.zip")


def test_execute_bits_survive_and_nothing_is_written_outside(builder, kept, tmp_path):
    script = tmp_path / "source/run.sh"
    uri = package(kept, tmp_path, {"run.sh": "#!/bin/sh"})
    script.chmod(0o755)
    uri = package(kept, tmp_path, {})
    context = build(builder, working_dir=uri)
    assert os.access(os.path.join(context["env_vars"]["PYTHONPATH"].split(":")[0], "run.sh"), os.X_OK)
    evil = io.BytesIO()
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("../../evil.txt", "x")
    kept["gcs://_ray_pkg_evil.zip"] = evil.getvalue()
    with pytest.raises(SetupFailed, match="would write outside"):
        build(builder, working_dir="gcs://_ray_pkg_evil.zip")
    assert not list(tmp_path.rglob("evil.txt"))


def archive(path, files):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as target:
            for name, text in files.items():
                target.writestr(name, text)
        return
    with tarfile.open(path, "w:xz" if path.suffix == ".xz" else "w:gz") as target:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            target.addfile(info, io.BytesIO(text.encode()))


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tgz", "x.tar.xz"])
def test_archives_of_file_uris_lose_their_single_top_directory(builder, tmp_path, name):
    archive(tmp_path / name, {"top/a.py": "A = 1", "top/sub/b.py": "B = 1"})
    context = build(builder, working_dir=f"file://{tmp_path / name}")
    directory = context["env_vars"]["PYTHONPATH"].split(":")[0]
    assert sorted(os.listdir(directory)) == ["a.py", "sub"]


def test_http_uris(builder, tmp_path):
    archive(tmp_path / "x.zip", {"a.py": "A = 1", "b.py": "B = 1"})
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            base = f"http://127.0.0.1:{server.server_port}"
            context = build(builder, py_modules=[f"{base}/x.zip"])
            with pytest.raises(SetupFailed, match="404"):
                build(builder, py_modules=[f"{base}/y.zip"])
        finally:
            server.shutdown()
    assert sorted(os.listdir(context["env_vars"]["PYTHONPATH"].split(":")[0])) == ["a.py", "b.py"]


def test_a_wheel_among_py_modules_is_installed(builder, kept, tmp_path):
    wheel = make_wheel(tmp_path, "tiny_wheel", "1.0", "WHO = 'tiny'")
    uri = packaging.upload_file(
        packaging.Store(kept.__contains__, lambda uri, package: kept.update(in_parts(uri, package))), wheel
    )
    context = build(builder, py_modules=[uri])
    code = "import tiny_wheel; print(tiny_wheel.WHO)"
    env = {**os.environ, "PYTHONPATH": context["env_vars"]["PYTHONPATH"].split(":")[0]}
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout == "tiny\n"


# ------------------------------------------------------------------ counting


@pytest.mark.parametrize("keeps_all", [False, True])
def test_unused_packages_go_when_the_cache_is_full_and_used_ones_stay(tmp_path, kept, monkeypatch, keeps_all):
    """`keeps_all`: RAY_runtime_env_skip_local_gc."""
    monkeypatch.setenv("RAY_RUNTIME_ENV_WORKING_DIR_CACHE_SIZE_GB", "0")
    (tmp_path / "logs").mkdir()

    async def fetch(uri):
        return kept[uri]

    builder = EnvBuilder(tmp_path / "resources", str(tmp_path), tmp_path / "logs", fetch, keeps_all=keeps_all)
    text = RuntimeEnv(_validate=False, working_dir=package(kept, tmp_path, {"a.py": "A = 1"})).serialize()
    directory = tmp_path / "resources/working_dir_files"
    for _ in range(2):
        asyncio.run(builder.create(text, JOB))
    builder.release(text)
    assert len(os.listdir(directory)) == 1
    builder.release(text)
    assert len(os.listdir(directory)) == keeps_all


class Recorder(RuntimeEnvPlugin):
    """Says in which order it was asked for what; can be held up, and told to fail."""

    def __init__(self, name, priority=10, uris=(), fails=0):
        self.name, self.priority, self.uris, self.fails, self.calls = name, priority, list(uris), fails, []
        self.gate = asyncio.Event()
        self.gate.set()

    def get_uris(self, runtime_env):
        return self.uris

    async def create(self, uri, runtime_env, context, logger=None):
        self.calls.append(f"create {uri}")
        await self.gate.wait()
        if self.fails:
            self.fails -= 1
            raise OSError("the network is down")
        return 1

    def modify_context(self, uris, runtime_env, context, logger=None):
        context.env_vars[self.name] = ",".join(uris)

    def delete_uri(self, uri, logger=None):
        self.calls.append(f"delete {uri}")
        return 1


def recorded(tmp_path, *plugins):
    (tmp_path / "logs").mkdir(exist_ok=True)

    async def fetch(uri):
        raise AssertionError("nothing is fetched here")

    by_name = {plugin.name: plugin for plugin in plugins}
    return EnvBuilder(tmp_path / "resources", str(tmp_path), tmp_path / "logs", fetch, plugins=by_name)


def test_one_uri_is_created_once_for_environments_that_come_together(tmp_path):
    async def scenario():
        plugin = Recorder("p", uris=["u"])
        builder = recorded(tmp_path, plugin)
        plugin.gate.clear()
        tasks = [asyncio.ensure_future(builder.create(f'{{"p": {n}}}', JOB)) for n in range(5)]
        while not plugin.calls:
            await asyncio.sleep(0)
        plugin.gate.set()
        contexts = await asyncio.gather(*tasks)
        assert plugin.calls == ["create u"] and builder.caches["p"].users("u") == 5
        assert json.loads(contexts[0])["env_vars"] == {"p": "u"}

    asyncio.run(scenario())


def test_a_network_that_comes_back_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(agent_module, "RETRY_PAUSE_S", 0.0)
    plugin = Recorder("p", uris=["u"], fails=2)
    assert build(recorded(tmp_path, plugin), p=1)["env_vars"] == {"p": "u"}
    assert plugin.calls == ["create u"] * 3
    plugin = Recorder("p", uris=["u"], fails=3)
    builder = recorded(tmp_path, plugin)
    with pytest.raises(SetupFailed, match="the network is down"):
        build(builder, p=1)
    assert builder.caches["p"].users("u") == 0


def test_the_timeout_ends_it(tmp_path):
    async def scenario():
        plugin = Recorder("p", uris=["u"])
        plugin.gate.clear()
        builder = recorded(tmp_path, plugin)
        with pytest.raises(SetupFailed, match="within the timeout of 1 seconds"):
            await builder.create('{"p": 1, "config": {"setup_timeout_seconds": 1}}', JOB)
        plugin.gate.set()
        assert await builder.create('{"p": 1}', JOB)

    asyncio.run(scenario())


# ------------------------------------------------------------------ installers


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A directory of wheels that pip and uv install from; nothing else is looked at."""
    directory = tmp_path / "index"
    directory.mkdir()
    make_wheel(directory, "tiny_wheel", "1.0", "WHO = 'tiny'")
    make_wheel(directory, "needs_ray", "1.0", "import ray", ("ray",))
    make_wheel(directory, "ray", "9.9.9", "__version__ = '9.9.9'")
    for variable in ("PIP_NO_INDEX", "UV_NO_INDEX"):
        monkeypatch.setenv(variable, "1")
    for variable in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(variable, str(directory))
    return directory


def python_says(context, code):
    process = subprocess.run([context["py_executable"], "-c", code], capture_output=True, text=True, cwd="/")
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def test_pip_installs_beside_what_the_node_has(builder, index):
    context = build(builder, pip={"packages": ["tiny_wheel==1.0", "needs_ray"], "pip_check": False})
    said = python_says(context, "import tiny_wheel, needs_ray, ray, msgspec; print(tiny_wheel.WHO, ray.__version__)")
    assert said == "tiny 2.60.0"
    assert context["env_vars"]["VIRTUAL_ENV"] in context["env_vars"]["PATH"].split(":")[0]
    import time

    start_s = time.monotonic()
    assert build(builder, pip={"packages": ["tiny_wheel==1.0", "needs_ray"], "pip_check": False}) == context
    assert time.monotonic() - start_s < 1.0  # it is there: nothing runs


def test_pip_may_not_bring_another_ray(builder, index):
    text = r"Changing the ray version is not allowed: the environment would have ray 9\.9\.9, the cluster runs 2\.60\.0"
    with pytest.raises(SetupFailed, match=text):
        build(builder, pip={"packages": ["ray==9.9.9"]})


def test_what_pip_says_of_a_failure_is_told(builder, index, tmp_path):
    with pytest.raises(SetupFailed, match="No matching distribution found for no-such-wheel"):
        build(builder, pip={"packages": ["no-such-wheel"]})
    assert not list((tmp_path / "resources/pip").iterdir())
    log = (tmp_path / "logs" / f"runtime_env_setup-{JOB.hex()}.log").read_text()
    assert "No matching distribution found for no-such-wheel" in log


def test_requirements_may_refer_to_the_working_dir(builder, kept, tmp_path, index):
    (tmp_path / "source").mkdir()
    make_wheel(tmp_path / "source", "from_dir", "1.0", "WHO = 'dir'")
    wheel = "${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/from_dir-1.0-py3-none-any.whl"
    context = build(builder, working_dir=package(kept, tmp_path, {}), pip={"packages": [wheel]})
    assert python_says(context, "import from_dir; print(from_dir.WHO)") == "dir"


def test_uv_installs_beside_what_the_node_has(builder, index):
    context = build(builder, uv={"packages": ["tiny_wheel==1.0", "needs_ray"], "uv_check": False})
    said = python_says(context, "import tiny_wheel, needs_ray, ray, msgspec; print(tiny_wheel.WHO, ray.__version__)")
    assert said == "tiny 2.60.0"


def test_what_uv_says_of_a_failure_is_told(builder, index):
    with pytest.raises(SetupFailed, match=r"(?s)no-such-wheel was not found|no-such-wheel.*unsatisfiable"):
        build(builder, uv=["no-such-wheel"])


def test_uv_is_asked_for_the_same(builder, index, tmp_path, monkeypatch):
    """What is run is told to a stand-in, which lets pip do the work."""
    fake = tmp_path / "bin/uv"
    fake.parent.mkdir()
    fake.write_text(
        f'#!{sys.executable}\nimport os, sys\nopen("{tmp_path}/uv.log", "a").write(repr(sys.argv[1:]) + "\\n")\n'
        'args = sys.argv[2:]\npython = args.pop(args.index("--python") + 1)\nargs.remove("--python")\n'
        'args = [a for a in args if a != "--no-cache"]\nos.execv(python, [python, "-m", "pip", *args])\n'
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    context = build(
        builder, uv={"packages": ["tiny_wheel"], "uv_check": True, "uv_pip_install_options": ["--no-cache"]}
    )
    assert python_says(context, "import tiny_wheel; print(tiny_wheel.WHO)") == "tiny"
    install, check = (tmp_path / "uv.log").read_text().splitlines()
    assert install.startswith("['pip', 'install', '--python'") and install.endswith("'--no-cache']")
    assert check.startswith("['pip', 'check', '--python'")


def test_conda_builds_from_a_description_and_finds_what_is_there(builder, tmp_path, monkeypatch):
    """The machine has no conda: a stand-in says what it was asked, and makes the directory."""
    conda = tmp_path / "conda/bin/conda"
    conda.parent.mkdir(parents=True)
    conda.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        'if sys.argv[1:3] == ["env", "list"]:\n    print(json.dumps({"envs": ["/opt/envs/mine"]}))\n'
        'else:\n    at = sys.argv[sys.argv.index("--prefix") + 1]\n    os.makedirs(at)\n'
        '    open(at + "/spec", "w").write(open(sys.argv[sys.argv.index("--file") + 1]).read())\n'
    )
    conda.chmod(0o755)
    monkeypatch.setenv("RAY_CONDA_HOME", str(tmp_path / "conda"))
    spec = {"dependencies": ["pip", {"pip": ["x"]}]}
    context = build(builder, conda=spec)
    target = tmp_path / "resources" / RuntimeEnv(conda=spec).conda_uri().replace("://", "/")
    assert json.loads((target / "spec").read_text()) == spec
    assert context["command_prefix"] == activation(str(conda), str(target)) == [f"conda activate {target} 1>&2 &&"]
    assert context["py_executable"] == "python"
    assert build(builder, conda="mine")["command_prefix"] == ["conda activate mine 1>&2 &&"]
    with pytest.raises(SetupFailed, match="The given conda environment 'other'"):
        build(builder, conda="other")


def test_without_conda_it_says_so(builder, monkeypatch):
    for variable in ("RAY_CONDA_HOME", "CONDA_EXE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SetupFailed, match="Could not find Conda on this node"):
        build(builder, conda={"dependencies": []})


# ------------------------------------------------------------------ wrappers


def test_containers_share_what_a_worker_needs_of_its_node():
    def command(as_root):
        return wrappers.podman_command("image:1", "/tmp/s", ["RAY_X", "A"], ["-v=/a b:/c"], as_root=as_root)

    given = "podman run --rm -v /tmp/s:/tmp/s --cgroup-manager=cgroupfs --network=host --pid=host --ipc=host {} {} {}"
    variables, rest = "--env=RAY_X --env=A", "'-v=/a b:/c' --entrypoint python image:1"
    assert command(True) == given.format("--cap-add=SYS_PTRACE", variables, rest)
    assert command(False) == given.format("--userns=keep-id", variables, rest)


def test_wrappers_change_how_the_worker_starts(builder, monkeypatch):
    assert build(builder, py_executable="uv run --isolated")["py_executable"] == "uv run --isolated"
    context = build(builder, container={"image": "i", "worker_path": "/w.py", "run_options": ["--rm"]})
    assert context["py_executable"].endswith("--entrypoint python i")
    assert context["override_worker_entrypoint"] == "/w.py"
    assert build(builder, image_uri="j")["py_executable"].endswith("--entrypoint python j")
    profiled = build(builder, _nsight={"t": "cuda", "stop-on-exit": "false"})["py_executable"]
    assert profiled.startswith("nsys profile -t cuda -o ") and "--stop-on-exit=false" in profiled
    with pytest.raises(SetupFailed, match="Unsupported nsight config"):
        build(builder, _nsight="other")
    assert "rocprof-sys-python" in build(builder, _rocprof_sys="default")["py_executable"]


# ------------------------------------------------------------------ users' plug-ins


class MyPlugin(RuntimeEnvPlugin):
    name = "mine"

    def modify_context(self, uris, runtime_env, context, logger=logging.getLogger()):  # noqa: B008
        context.env_vars["MINE"] = str(runtime_env["mine"])


def test_plug_ins_are_loaded_by_class_path_and_ordered_by_priority(tmp_path, monkeypatch):
    from ray._private.runtime_env import plugin as plugins

    config = [{"class": f"{__name__}.MyPlugin", "priority": 3}]
    monkeypatch.setenv(plugins.PLUGINS_VARIABLE, json.dumps(config))
    found = plugins.with_users_plugins([Recorder("early", 1), Recorder("late", 10)])
    assert list(found) == ["early", "mine", "late"]
    assert build(recorded(tmp_path, *found.values()), mine=5)["env_vars"] == {"MINE": "5"}


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ([{}], "needs a 'class'"),
        ([{"class": "no.such.Class"}], "cannot be imported"),
        ([{"class": "os.PathLike"}], "is no subclass"),
        ([{"class": "ray._private.runtime_env.plugin.RuntimeEnvPlugin"}], "has no name"),
        ([{"class": f"{__name__}.MyPlugin", "priority": 101}], "a number from 0 to 100"),
        ([{"class": f"{__name__}.MyPlugin"}] * 2, "two runtime env plug-ins named 'mine'"),
    ],
)
def test_wrong_plug_ins_are_named(monkeypatch, config, text):
    from ray._private.runtime_env import plugin as plugins

    monkeypatch.setenv(plugins.PLUGINS_VARIABLE, json.dumps(config))
    with pytest.raises(RuntimeError, match=text):
        plugins.with_users_plugins([])


# ------------------------------------------------------------------ starting


def test_the_command_of_a_worker():
    context = RuntimeEnvContext(["cd '/a b' &&"], {}, "/venv/bin/python")
    assert context.command(["w.py", "--x=1 2"], "PYTHON") == "cd '/a b' && exec /venv/bin/python w.py '--x=1 2'"
    context.override_worker_entrypoint = "/other.py"
    assert context.command(["w.py"], "PYTHON") == "cd '/a b' && exec /venv/bin/python /other.py"
    assert RuntimeEnvContext().command(["prog", "x"], "CPP") == "exec prog x"
    assert RuntimeEnvContext(["cd /a"], {}, "py", resources_dir="/r").command(["w"], "PYTHON") == "cd /a && exec py w"
    restored = RuntimeEnvContext.deserialize(context.serialize())
    assert restored.__dict__ == context.__dict__


def test_setup_worker_sets_variables_and_becomes_the_command(tmp_path):
    script = tmp_path / "w.py"
    script.write_text("import os, sys; print(os.getcwd(), os.environ['A'], sys.argv[1:])")
    context = RuntimeEnvContext([f"cd {tmp_path} &&"], {"A": "${B}x"}, sys.executable)
    for module in ("ray/workers", "ray/_private/workers"):
        setup = os.path.join(os.path.dirname(agent_module.__file__), "../../../..", module, "setup_worker.py")
        command = [sys.executable, setup, str(script), "--flag=1", "--language=PYTHON"]
        command.append(f"--serialized-runtime-env-context={context.serialize()}")
        process = subprocess.run(command, env={**os.environ, "B": "b"}, capture_output=True, text=True, check=True)
        assert process.stdout == f"{tmp_path} bx ['--flag=1']\n"
