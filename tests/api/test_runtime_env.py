"""Runtime environments. Source: Ray docs, "Environment dependencies"."""

import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

import ray
from ray.runtime_env import RuntimeEnv, RuntimeEnvConfig


@ray.remote
def variables(*names: str) -> list[str | None]:
    return [os.environ.get(name) for name in names]


@ray.remote
class Holder:
    def variables(self, *names: str) -> list[str | None]:
        return [os.environ.get(name) for name in names]

    def of_a_child(self, *names: str) -> list[str | None]:
        return ray.get(variables.remote(*names))


@ray.remote
def of_a_child(*names: str) -> list[str | None]:
    return ray.get(variables.remote(*names))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "a_package").mkdir(parents=True)
    (root / "a_package" / "__init__.py").write_text("NAME = 'package'\n")
    (root / "a_module.py").write_text("NAME = 'module'\n")
    (root / "data.txt").write_text("data")
    (root / "big.bin").write_text("not needed")
    return root


def test_variables_of_job_task_and_actor_are_merged(fresh_ray: Any) -> None:
    fresh_ray(runtime_env={"env_vars": {"A": "job", "B": "job"}})
    assert ray.get(variables.remote("A", "B", "C")) == ["job", "job", None]
    own = {"env_vars": {"B": "own", "C": "${A}!"}}
    assert ray.get(variables.options(runtime_env=own).remote("A", "B", "C")) == ["job", "own", "job!"]
    actor = Holder.options(runtime_env=own).remote()
    assert ray.get(actor.variables.remote("A", "B", "C")) == ["job", "own", "job!"]


def test_children_inherit(fresh_ray: Any) -> None:
    fresh_ray()
    own = {"env_vars": {"A": "parent"}}
    assert ray.get(of_a_child.options(runtime_env=own).remote("A")) == ["parent"]
    actor = Holder.options(runtime_env=own).remote()
    assert ray.get(actor.of_a_child.remote("A")) == ["parent"]


def test_options_replace_what_the_decorator_said(fresh_ray: Any) -> None:
    fresh_ray()

    @ray.remote(runtime_env={"env_vars": {"A": "decorator", "B": "decorator"}})
    def look() -> tuple[str | None, str | None]:
        return os.environ.get("A"), os.environ.get("B")

    assert ray.get(look.remote()) == ("decorator", "decorator")
    assert ray.get(look.options(runtime_env={"env_vars": {"B": "options"}}).remote()) == (None, "options")


def test_a_runtime_env_object_does_as_well(fresh_ray: Any) -> None:
    fresh_ray(runtime_env=RuntimeEnv(env_vars={"A": "1"}))
    env = RuntimeEnv(env_vars={"B": "2"}, config=RuntimeEnvConfig(setup_timeout_seconds=30))
    assert ray.get(variables.options(runtime_env=env).remote("A", "B")) == ["1", "2"]


def test_the_working_dir_is_where_workers_run(fresh_ray: Any, project: Path) -> None:
    fresh_ray(runtime_env={"working_dir": str(project), "excludes": ["*.bin"]})

    @ray.remote
    def look() -> tuple[str, str, bool, str]:
        import a_module  # type: ignore[import-not-found]
        import a_package  # type: ignore[import-not-found]

        names = f"{a_module.NAME} {a_package.NAME}"
        return names, Path("data.txt").read_text(), os.path.exists("big.bin"), os.getcwd()

    names, data, has_big, cwd = ray.get(look.remote())
    assert (names, data, has_big) == ("module package", "data", False)
    assert Path(cwd) != project
    uri = ray.get_runtime_context().runtime_env["working_dir"]
    assert uri.startswith("gcs://_ray_pkg_") and uri.endswith(".zip")
    assert ray.get(look.options(runtime_env={"working_dir": uri}).remote())[3] == cwd


def test_ignore_files_are_heeded(fresh_ray: Any, project: Path) -> None:
    (project / ".gitignore").write_text("big.bin\n")
    fresh_ray(runtime_env={"working_dir": str(project)})

    @ray.remote
    def files() -> list[str]:
        return sorted(os.listdir("."))

    assert [name for name in ray.get(files.remote()) if name.endswith(("bin", "txt"))] == ["data.txt"]


def test_an_archive_is_a_working_dir_too(fresh_ray: Any, project: Path, tmp_path: Path) -> None:
    import shutil

    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", project)
    fresh_ray(runtime_env={"working_dir": archive})

    @ray.remote
    def look() -> str:
        return Path("data.txt").read_text()

    assert ray.get(look.remote()) == "data"


def test_modules_are_importable(fresh_ray: Any, project: Path) -> None:
    fresh_ray(runtime_env={"py_modules": [str(project / "a_package")]})

    @ray.remote
    def name() -> str:
        import a_package

        return str(a_package.NAME)

    assert ray.get(name.remote()) == "package"


def test_only_the_job_uploads_directories(fresh_ray: Any, project: Path) -> None:
    fresh_ray()
    for env in ({"working_dir": str(project)}, {"py_modules": [str(project)]}):
        with pytest.raises(ValueError, match="only supported at the job level"):
            ray.get(variables.options(runtime_env=env).remote("A"))


@pytest.mark.parametrize(
    ("env", "error"),
    [
        ({"env_vars": {"A": 1}}, TypeError),
        ({"env_vars": ["A"]}, TypeError),
        ({"pip": {"no_such_key": 1}}, ValueError),
        ({"pip": ["a"], "conda": "b"}, ValueError),
        ({"pip": ["a"], "uv": ["b"]}, ValueError),
        ({"config": {"setup_timeout_seconds": 0}}, ValueError),
        ({"config": {"setup_timeout_seconds": "1"}}, TypeError),
        ({"working_dir": "foo://a.zip"}, ValueError),
        ({"working_dir": "s3://a.txt"}, ValueError),
        ({"py_modules": "a"}, TypeError),
    ],
)
def test_what_cannot_be_is_refused(env: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        RuntimeEnv(**env)


def test_a_missing_directory_is_refused_at_init(fresh_ray: Any) -> None:
    with pytest.raises(ValueError, match="must be an existing directory or a supported archive"):
        fresh_ray(runtime_env={"working_dir": "/no/such/directory"})


def test_a_setup_that_fails_is_told_at_get_and_at_an_actors_calls(fresh_ray: Any) -> None:
    fresh_ray()
    bad = {"working_dir": "gcs://_ray_pkg_no_such_package.zip"}
    with pytest.raises(ray.exceptions.RuntimeEnvSetupError, match="Failed to set up runtime environment"):
        ray.get(variables.options(runtime_env=bad).remote("A"), timeout=60)
    actor = Holder.options(runtime_env=bad).remote()
    with pytest.raises(ray.exceptions.RuntimeEnvSetupError, match="Failed to set up runtime environment"):
        ray.get(actor.variables.remote("A"), timeout=60)


def test_a_hook_runs_before_the_first_task(fresh_ray: Any) -> None:
    def hook() -> None:
        os.environ["HOOKED"] = "yes"

    fresh_ray(runtime_env={"worker_process_setup_hook": hook})
    assert ray.get(variables.remote("HOOKED")) == ["yes"]


def test_another_interpreter_by_command(fresh_ray: Any, tmp_path: Path) -> None:
    wrapper = tmp_path / "python_with_a_mark"
    wrapper.write_text(f'#!/bin/sh\nMARK=wrapped exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    fresh_ray()
    assert ray.get(variables.options(runtime_env={"py_executable": str(wrapper)}).remote("MARK")) == ["wrapped"]


def test_the_environment_is_told_to_tasks(fresh_ray: Any) -> None:
    fresh_ray(runtime_env={"env_vars": {"A": "1"}})

    @ray.remote
    def told() -> dict[str, Any]:
        return dict(ray.get_runtime_context().runtime_env)

    assert ray.get(told.remote()) == {"env_vars": {"A": "1"}}
    job_id, raylet_pid = ray.get(variables.remote("RAY_JOB_ID", "RAY_RAYLET_PID"))
    assert job_id == ray.get_runtime_context().get_job_id()
    assert "raylet" in " ".join(psutil.Process(int(raylet_pid)).cmdline())
    expected = {"env_vars": {"A": "1", "B": "2"}}
    assert ray.get(told.options(runtime_env={"env_vars": {"B": "2"}}).remote()) == expected
