"""`ray.job_config.JobConfig`. Source: core.md 1."""

import json
import pickle

import pytest

import ray
from ray.job_config import JobConfig


def test_it_is_told_and_tells() -> None:
    config = JobConfig(metadata={"owner": "me"}, ray_namespace="ours", runtime_env={"env_vars": {"A": "1"}})
    config.set_metadata("for", "tests")
    config.set_default_actor_lifetime("detached")
    again = pickle.loads(pickle.dumps(config))
    assert vars(again) == vars(config)
    assert json.loads(config.get_serialized())["metadata"] == {"owner": "me", "for": "tests"}
    told = {"metadata": {"a": "b"}, "ray_namespace": "n", "client_job": True, "default_actor_lifetime": "detached"}
    from_json = JobConfig.from_json({**told, "something_else": 1})
    assert (from_json.metadata, from_json.ray_namespace, from_json._client_job) == ({"a": "b"}, "n", True)
    assert from_json.default_actor_lifetime == "detached"


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"metadata": {"a": 1}}, TypeError, "'a': 1"),
        ({"default_actor_lifetime": "long"}, ValueError, "`detached`, `non_detached`, not 'long'"),
        ({"runtime_env": {"env_vars": {"a": 1}}}, TypeError, "env_vars"),
    ],
)
def test_wrong_values_are_refused_by_name(wrong: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        JobConfig(**wrong)


def test_the_default_lifetime_holds_for_all_processes_of_the_job() -> None:
    @ray.remote(num_cpus=0)
    class Actor:
        def make(self) -> None:
            Actor.options(name="of an actor").remote()

        def there(self) -> bool:
            return True

    @ray.remote(num_cpus=0)
    def make() -> None:
        maker = Actor.options(name="of a task").remote()
        ray.get(maker.make.remote())

    ray.init(num_cpus=1, job_config=JobConfig(default_actor_lifetime="detached", ray_namespace="lifetimes"))
    try:
        ray.get(make.remote())
        for name in ("of a task", "of an actor"):  # their handles are gone, and the task is over
            assert ray.get(ray.get_actor(name, namespace="lifetimes").there.remote())
        assert {a.is_detached for a in ray.util.state.list_actors(detail=True)} == {True}
        plain = Actor.options(lifetime="non_detached", name="plain").remote()
        assert ray.get(plain.there.remote())
        assert {a.name: a.is_detached for a in ray.util.state.list_actors(detail=True)}["plain"] is False
    finally:
        ray.shutdown()
