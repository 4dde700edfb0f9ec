"""Settings are parsed or refused by name; ids nest as Ray's do; resource amounts are exact."""

import pickle

import pytest

from ray._core.common import config, ids, resources


def test_a_setting_comes_from_default_environment_and_system_config_in_that_order():
    environ = {"RAY_slab_size": "4096"}
    assert config.load(environ={}).slab_size == 8 * 1024 * 1024
    assert config.load(environ=environ).slab_size == 4096
    assert config.load({"slab_size": 8192}, environ).slab_size == 8192


def test_settings_survive_the_way_to_a_child_process():
    changed = config.load({"slab_size": 8192, "enable_token_auth": False}, {})
    assert config.load(changed.encode(), {}) == changed


def test_a_list_is_given_as_such_or_with_commas():
    assert config.load({}, {"RAY_preload_python_modules": "a,b"}).preload_python_modules == ["a", "b"]
    assert config.load({}, {"RAY_PRELOAD_MODULES": "a,b"}).preload_python_modules == ["a", "b"]
    loaded = config.load({"preload_python_modules": ["a", "b"]}, {})
    assert loaded.preload_python_modules == ["a", "b"] and config.load(loaded.encode(), {}) == loaded


@pytest.mark.parametrize("overrides", [{"no_such": 1}, {"slab_size": "many"}, {"enable_token_auth": "maybe"}])
def test_a_bad_setting_is_refused_by_name(overrides):
    with pytest.raises(ValueError, match=next(iter(overrides))):
        config.load(overrides, {})


def test_ids_nest_and_survive_pickling():
    job = ids.JobID.from_int(1)
    assert job.hex() == "01000000"
    actor = ids.ActorID.of(job)
    task = ids.TaskID(ids.TaskIDSource().task_id(actor.binary()))
    assert task.actor_id() == actor and task.job_id() == job
    assert pickle.loads(pickle.dumps(task)) == task
    assert ids.NodeID.nil().is_nil() and ids.NodeID.nil() != ids.WorkerID.nil()
    with pytest.raises(ValueError, match="needs to have length 4"):
        ids.JobID(b"12345")


def test_ten_thousand_ids_differ():
    source = ids.TaskIDSource()
    assert len({source.task_id(ids.NO_ACTOR_PREFIX + b"\1\0\0\0") for _ in range(10_000)}) == 10_000


def test_a_thousand_tenths_of_a_cpu_are_a_hundred():
    assert resources.total([resources.to_fixed({"CPU": 0.1})] * 1000) == resources.to_fixed({"CPU": 100})
    assert resources.missing({"CPU": 3}, {"CPU": 1}) == {"CPU": 2}


def test_settings_of_ray_that_mean_nothing_here_are_taken_with_a_warning(caplog):
    loaded = config.load({"raylet_heartbeat_period_milliseconds": 10, "lease_linger_ms": 3}, {})
    assert loaded.lease_linger_ms == 3
    assert "no effect in pure-ray: raylet_heartbeat_period_milliseconds" in caplog.text
    assert "raylet_heartbeat" not in loaded.encode()
    with pytest.raises(RuntimeError, match="RAY_AUTH_MODE"):
        config.load({"AUTH_MODE": "token"}, {})
