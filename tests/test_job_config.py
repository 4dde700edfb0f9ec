"""`ray.job_config.JobConfig`. Source: core.md 1."""

import json
import pickle
from pathlib import Path

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
        ({"code_search_path": "/a"}, TypeError, "code search path is incorrect: <class 'str'>"),
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


def test_workers_import_from_the_search_paths_and_a_job_may_keep_no_lineage(tmp_path: Path) -> None:
    for name in ("searched", "told"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"module_{name}.py").write_text(f"NAME = {name!r}")

    @ray.remote
    def names() -> list[str]:
        import module_searched  # type: ignore[import-not-found]
        import module_told  # type: ignore[import-not-found]

        return [module_searched.NAME, module_told.NAME]

    @ray.remote
    class Actor:
        def ask(self) -> tuple[list[str], str]:
            large = names.options(num_returns=1).remote()
            kept = ray.remote(lambda: b"x" * 1_000_000).remote()
            ray.wait([kept], fetch_local=False)
            return ray.get(large), repr(ray._private.worker.global_worker.core_worker.lineage)

    config = JobConfig(
        code_search_path=[str(tmp_path / "searched")],
        _py_driver_sys_path=[str(tmp_path / "told")],
        _disable_job_level_lineage_reconstruction=True,
    )
    ray.init(num_cpus=2, job_config=config)
    try:
        found, lineage_of_actor = ray.get(Actor.remote().ask.remote())
        assert found == ["searched", "told"]
        large = ray.remote(lambda: b"x" * 1_000_000).remote()
        ray.wait([large], fetch_local=False)
        own = repr(ray._private.worker.global_worker.core_worker.lineage)
        assert "tasks=0" in own and "tasks=0" in lineage_of_actor
    finally:
        ray.shutdown()
