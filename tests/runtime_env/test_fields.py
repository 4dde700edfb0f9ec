"""The fields of a runtime environment: what is accepted, what is refused and how. Checked against Ray 2.60."""

import dataclasses
import json
import pickle

import pytest

import ray
from ray._private.runtime_env.merge import merge_child, merge_job
from ray.runtime_env import RuntimeEnv, RuntimeEnvConfig
from ray.runtime_env.runtime_env import merged


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("requests\n\npip-install-test\n")
    (tmp_path / "dir").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, {}),
        ({"env_vars": {}}, {}),
        ({"env_vars": {"a": "b"}}, {"env_vars": {"a": "b"}}),
        ({"working_dir": "dir"}, {"working_dir": "dir"}),
        ({"working_dir": "s3://a/b.zip"}, {"working_dir": "s3://a/b.zip"}),
        ({"working_dir": "https://a/b.tar.gz"}, {"working_dir": "https://a/b.tar.gz"}),
        ({"working_dir": "dir", "excludes": []}, {"working_dir": "dir"}),
        ({"working_dir": "dir", "excludes": ["x"]}, {"working_dir": "dir", "excludes": ["x"]}),
        ({"py_modules": ["dir", "s3://a/b.whl"]}, {"py_modules": ["dir", "s3://a/b.whl"]}),
        ({"uv": ["a"]}, {"uv": {"packages": ["a"], "uv_check": False}}),
        ({"uv": "requirements.txt"}, {"uv": {"packages": ["requests", "pip-install-test"], "uv_check": False}}),
        ({"uv": []}, {}),
        ({"pip": []}, {}),
        ({"py_executable": "uv run"}, {"py_executable": "uv run"}),
        ({"container": {"image": "x"}, "env_vars": {"a": "b"}}, {"container": {"image": "x"}, "env_vars": {"a": "b"}}),
        ({"image_uri": "x"}, {"image_uri": "x"}),
        ({"nsight": "default"}, {"_nsight": "default"}),
        ({"of_a_plugin": {"x": 1}}, {"of_a_plugin": {"x": 1}}),
        ({"of_a_plugin": None}, {}),
        ({"config": {}}, {"config": {"setup_timeout_seconds": 600, "eager_install": True, "log_files": []}}),
        (
            {"config": RuntimeEnvConfig(5, False, ["f"])},
            {"config": {"setup_timeout_seconds": 5, "eager_install": False, "log_files": ["f"]}},
        ),
    ],
)
def test_fields_that_are_accepted(files, given, kept):
    assert RuntimeEnv(**given) == kept


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_packages_come_as_list_file_or_dict(files, tool):
    forms = [["requests", "pip-install-test"], "requirements.txt", {"packages": "requirements.txt"}]
    for form in forms:
        checked = RuntimeEnv(**{tool: form})
        assert checked[tool]["packages"] == ["requests", "pip-install-test"]
        assert checked[tool][f"{tool}_check"] is False
    assert RuntimeEnv(pip=["a"]).get_extension("_ray_commit") == ray.__commit__


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ({"env_vars": [1]}, TypeError, "must be of type Dict[str, str], got <class 'list'>"),
        ({"env_vars": {"a": 1}}, TypeError, "but the value 1 is of type <class 'int'>"),
        ({"env_vars": {1: "a"}}, TypeError, "but the key 1 is of type <class 'int'>"),
        ({"working_dir": 1}, TypeError, "`working_dir` must be a string, got <class 'int'>."),
        ({"working_dir": "/none/such"}, ValueError, "/none/such is not a valid path."),
        ({"working_dir": "s3://a/b.txt"}, ValueError, "Only .zip, .tar.gz, .tgz, .tar.xz files are supported"),
        ({"working_dir": "foo://a/b.zip"}, ValueError, "foo://a/b.zip is not a valid URI."),
        ({"py_modules": "x"}, TypeError, "`py_modules` must be a list of strings, got <class 'str'>."),
        ({"py_modules": [1]}, TypeError, "`py_module` must be a string, got <class 'int'>."),
        ({"excludes": "a", "working_dir": "dir"}, TypeError, "runtime_env['excludes'] must be of type List[str]"),
        ({"pip": 1}, TypeError, "runtime_env['pip'] must be of type str or List[str], got <class 'int'>"),
        ({"pip": "/none.txt"}, ValueError, "/none.txt is not a valid file"),
        ({"excludes": [1], "working_dir": "dir"}, TypeError, "List[str], got <class 'list'>"),
        ({"pip": {"x": 1}}, ValueError, "can only have these fields: packages, pip_check"),
        ({"pip": {"packages": ["a"], "x": 1}}, ValueError, "but got: ['packages', 'x']"),
        ({"pip": {"packages": ["a"], "pip_install_options": [1]}}, TypeError, "got <class 'int'> for 0-th item."),
        ({"pip": {"pip_check": True}}, ValueError, "must include field 'packages'"),
        ({"pip": {"packages": ["a"], "pip_check": "1"}}, TypeError, "['pip_check'] must be of type bool"),
        ({"pip": {"packages": ["a"], "pip_version": 1}}, TypeError, "['pip_version'] must be of type str"),
        ({"pip": {"packages": ["a"], "pip_install_options": ""}}, TypeError, "must be of type list[str]"),
        ({"uv": 1}, TypeError, "runtime_env['uv'] must be of type List[str], or dict"),
        ({"uv": {"x": 1}}, ValueError, "can only have these fields: packages, uv_check"),
        ({"conda": 1}, TypeError, "must be of type str or dict, got <class 'int'>."),
        ({"conda": "/none.yml"}, ValueError, "Can't find conda YAML file /none.yml."),
        ({"conda": "/none"}, ValueError, "Can't find conda env directory /none."),
        ({"pip": ["a"], "conda": "x"}, ValueError, "cannot be specified at the same time"),
        ({"pip": ["a"], "uv": ["b"]}, ValueError, "cannot be specified at the same time"),
        ({"conda": "a", "uv": ["b"]}, ValueError, "cannot be specified at the same time"),
        ({"container": {"image": "x"}, "pip": ["a"]}, ValueError, "The 'container' field currently cannot"),
        ({"image_uri": "x", "pip": ["a"]}, ValueError, "The 'image_uri' field currently cannot"),
        ({"config": 1}, TypeError, "must be of type dict or RuntimeEnvConfig, got: <class 'int'>"),
        ({"config": {"setup_timeout_seconds": 0}}, ValueError, "greater than zero or equals to -1, got: 0"),
        ({"config": {"setup_timeout_seconds": "1"}}, TypeError, "must be of type int, got: <class 'str'>"),
        ({"config": {"eager_install": 1}}, TypeError, "eager_install must be a boolean. got <class 'int'>"),
        ({"config": {"log_files": 1}}, TypeError, "log_files must be a list of strings or None"),
    ],
)
def test_fields_that_are_refused(files, given, kind, text):
    with pytest.raises(kind) as caught:
        RuntimeEnv(**given)
    assert text in str(caught.value)


def test_it_is_a_dict_that_checks_what_is_put_in_later():
    env = RuntimeEnv()
    env["pip"] = ["a"]
    assert env == {"pip": {"packages": ["a"], "pip_check": False}}
    env.set("env_vars", {"A": "1"})
    with pytest.raises(TypeError):
        env.set("env_vars", {"A": 1})
    assert pickle.loads(pickle.dumps(env)) == env
    assert RuntimeEnv.deserialize(env.serialize()) == env
    assert RuntimeEnv.deserialize("{}") == {}


def test_dataclasses_go_in_and_come_out():
    @dataclasses.dataclass
    class Plugin:
        x: int = 1

    env = RuntimeEnv()
    env.set("mine", Plugin(3))
    assert env["mine"] == {"x": 3}
    assert env.get("mine", data_class=Plugin) == Plugin(3)


def test_accessors():
    env = RuntimeEnv(
        working_dir="s3://a/b.zip", py_modules=["s3://a/c.zip"], pip=["a"], env_vars={"x": "y"}, mine={"u": 1}
    )
    assert env.has_working_dir() and env.working_dir_uri() == env.working_dir() == "s3://a/b.zip"
    assert env.py_modules_uris() == env.py_modules() == ["s3://a/c.zip"]
    assert env.has_pip() and env.pip_uri() == "pip://d50626a06e326c76258c21d160c3c5af8ea1a1c1"
    assert not env.has_uv() and env.uv_uri() is None and env.conda_uri() is None
    assert env.plugins() == [("mine", {"u": 1})]
    assert env.env_vars() == {"x": "y"}
    assert RuntimeEnv(conda="base").conda_env_name() == "base"
    assert json.loads(RuntimeEnv(conda={"dependencies": []}).conda_config()) == {"dependencies": []}


# ------------------------------------------------------------------ merging


def test_a_childs_fields_replace_the_parents_but_variables_are_merged():
    parent = {"working_dir": "gcs://a.zip", "env_vars": {"A": "1", "B": "1"}, "pip": {"packages": ["x"]}}
    child = {"env_vars": {"B": "2", "C": "2"}, "pip": {"packages": ["y"]}}
    assert merge_child(parent, child) == {
        "working_dir": "gcs://a.zip",
        "env_vars": {"A": "1", "B": "2", "C": "2"},
        "pip": {"packages": ["y"]},
    }
    assert merge_child(parent, {"uv": {"packages": ["z"]}}).keys() == {"working_dir", "env_vars", "uv"}
    assert merge_child(parent, {"image_uri": "i"}) == {"image_uri": "i", "env_vars": parent["env_vars"]}


def test_without_an_environment_of_its_own_a_child_has_its_parents():
    assert merged("", None) == ""
    assert merged('{"env_vars": {"A": "1"}}', {}) == '{"env_vars": {"A": "1"}}'
    assert json.loads(merged('{"env_vars": {"A": "1"}}', {"env_vars": {"B": "2"}})) == {
        "env_vars": {"A": "1", "B": "2"}
    }


def test_equal_environments_have_equal_texts():
    one = merged("", {"env_vars": {"A": "1", "B": "2"}, "py_executable": "x"})
    other = merged('{"py_executable": "x"}', {"env_vars": {"B": "2", "A": "1"}})
    assert one == other


@pytest.mark.parametrize("field", ["working_dir", "py_modules"])
def test_only_a_job_uploads_directories(files, field):
    value = "dir" if field == "working_dir" else ["dir"]
    with pytest.raises(ValueError, match=r"dir is not a valid URI\. Passing directories or modules"):
        merged("", {field: value})


def test_a_job_and_its_driver_may_not_set_the_same():
    job, driver = {"working_dir": "gcs://a.zip", "env_vars": {"A": "1"}}, {"env_vars": {"B": "2"}}
    assert merge_job(job, driver, driver_wins=False) == {
        "working_dir": "gcs://a.zip",
        "env_vars": {"A": "1", "B": "2"},
    }
    for conflict in ({"working_dir": "gcs://b.zip"}, {"env_vars": {"A": "2"}}):
        with pytest.raises(ValueError, match="Failed to merge"):
            merge_job(job, conflict, driver_wins=False)
    assert merge_job(job, {"env_vars": {"A": "2"}}, driver_wins=True)["env_vars"] == {"A": "2"}
