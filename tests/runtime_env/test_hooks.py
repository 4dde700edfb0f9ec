"""What else decides on a job's environment: `uv run`, a hook, what was submitted; and schemas of plug-ins' fields."""

import json
import sys
import types

import pytest

from ray._private.runtime_env import job_env, schemas, uv_run
from ray.runtime_env import RuntimeEnv


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("uv run script.py --flag", "uv run"),
        ("/usr/bin/uv run --extra gpu --with numpy script.py --with x", "/usr/bin/uv run --extra gpu --with numpy"),
        ("uv --quiet run --isolated -- python -m x", "uv --quiet run --isolated"),
        ("uv run -m my.module", "uv run"),
        ("uv run --with=numpy python x.py", "uv run --with=numpy"),
        ("uv pip install run", None),
        ("python run.py", None),
    ],
)
def test_the_command_of_uv_run_without_its_script(line, command):
    words = line.split()
    if command is None and words[1:2] == ["pip"]:
        words = ["uv", "pip", "install", "x"]
    found = uv_run.uv_command([["bash"], words])
    assert found == (command.split() if command else None)


def test_workers_run_by_the_same_uv_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ancestors = [["uv", "run", "--isolated", "x.py"]]
    assert uv_run.adapted({"env_vars": {}}, ancestors) == {
        "working_dir": str(tmp_path),
        "env_vars": {},
        "py_executable": "uv run --isolated",
    }
    assert uv_run.adapted({"working_dir": "s3://x.zip"}, ancestors)["working_dir"] == "s3://x.zip"
    assert uv_run.adapted({"py_executable": "mine"}, ancestors) == {"py_executable": "mine"}
    assert uv_run.adapted({}, [["bash"]]) == {}
    with pytest.raises(RuntimeError, match="together with 'uv run'"):
        uv_run.adapted({"pip": ["x"]}, ancestors)
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    assert uv_run.adapted({"pip": ["x"]}, ancestors) == {"pip": ["x"]}


def test_this_process_has_ancestors():
    assert uv_run.ancestors_of_this_process()


def test_a_hook_may_change_the_environment(monkeypatch):
    module = types.ModuleType("hook_of_a_test")
    module.change = lambda env: {**(env or {}), "env_vars": {"HOOKED": "1"}}
    monkeypatch.setitem(sys.modules, "hook_of_a_test", module)
    monkeypatch.setenv("RAY_RUNTIME_ENV_HOOK", "hook_of_a_test.change")
    assert job_env.job_environment(None) == {"env_vars": {"HOOKED": "1"}}


def test_what_was_submitted_is_merged_with_what_the_driver_passes(monkeypatch):
    config = {"runtime_env": {"env_vars": {"A": "1"}}, "metadata": {"job_submission_id": "x"}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(config))
    assert job_env.job_environment(None) == {"env_vars": {"A": "1"}}
    assert job_env.job_environment({"env_vars": {"B": "2"}}) == {"env_vars": {"A": "1", "B": "2"}}
    with pytest.raises(ValueError, match="Failed to merge the Job's runtime env"):
        job_env.job_environment({"env_vars": {"A": "2"}})
    monkeypatch.setenv("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")
    assert job_env.job_environment({"env_vars": {"A": "2"}}) == {"env_vars": {"A": "2"}}


def test_a_plug_ins_schema_refuses_a_wrong_value(tmp_path, monkeypatch):
    jsonschema = pytest.importorskip("jsonschema")
    schema = {"title": "mine", "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    (tmp_path / "mine.json").write_text(json.dumps(schema))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "untitled.json").write_text("{}")
    monkeypatch.setenv(schemas.VARIABLE, str(tmp_path))
    assert RuntimeEnv(mine={"n": 1}, other={"n": "x"}) == {"mine": {"n": 1}, "other": {"n": "x"}}
    with pytest.raises(jsonschema.ValidationError):
        RuntimeEnv(mine={"n": "1"})
    monkeypatch.setenv(schemas.VARIABLE, str(tmp_path / "mine.json"))
    with pytest.raises(jsonschema.ValidationError):
        RuntimeEnv(mine={})
