"""Dask's graphs on Ray. Source: Ray docs, "Using Dask on Ray"."""

import os

import pytest

import ray

dask = pytest.importorskip("dask")

from ray.util.dask import (  # noqa: E402 - needs dask
    RayDaskCallback,
    disable_dask_on_ray,
    enable_dask_on_ray,
    ray_dask_get,
    ray_dask_get_sync,
)

INIT = {"log_to_driver": False}


@dask.delayed
def add(x, y):
    return x + y


@dask.delayed
def where(_=None):
    return os.getpid()


def test_a_graph_is_computed_by_tasks(cluster):
    total = add(add(1, 2), add(3, dask.delayed(4)))
    assert total.compute(scheduler=ray_dask_get) == 10
    assert dask.compute(total, add(1, 1), scheduler=ray_dask_get) == (10, 2)
    assert dask.compute([add(1, 2), {"a": add(3, 4)}], scheduler=ray_dask_get) == ([3, {"a": 7}],)
    assert where().compute(scheduler=ray_dask_get) != os.getpid()
    assert where().compute(scheduler=ray_dask_get_sync) == os.getpid()


def test_graphs_of_old_form_nested_keys_and_aliases(cluster):
    graph = {"a": 1, "b": (sum, ["a", 2]), "c": "b", "d": [(max, "a", "b"), "c"]}
    assert ray_dask_get(graph, "b") == 3
    assert ray_dask_get(graph, ["c", ["a", "b"]]) == (3, (1, 3))
    assert list(ray_dask_get(graph, "d")) == [3, 3]


def test_what_a_task_raises_is_raised(cluster):
    @dask.delayed
    def fails():
        raise ValueError("of a task")

    with pytest.raises(ValueError, match="of a task"):
        add(fails(), 1).compute(scheduler=ray_dask_get)


def test_dask_computes_by_ray_while_it_is_told_to(cluster):
    with enable_dask_on_ray():
        assert where().compute() != os.getpid()
    enable_dask_on_ray()
    assert where().compute() != os.getpid()
    disable_dask_on_ray()
    assert dask.config.get("scheduler") is None


def test_results_stay_in_the_cluster_if_wanted(cluster):
    (ref,) = ray_dask_get({"a": (sum, [1, 2])}, ["a"], ray_persist=True)
    assert isinstance(ref, ray.ObjectRef)
    assert ray_dask_get({"a": ref, "b": (sum, ["a", 1])}, "b") == 4


def test_options_of_the_tasks(cluster):
    @dask.delayed
    def resources():
        return ray.get_runtime_context().get_assigned_resources()

    assert resources().compute(scheduler=ray_dask_get, ray_remote_args={"num_cpus": 2}) == {"CPU": 2.0}
    with dask.annotate(ray_remote_args={"num_cpus": 3}):
        annotated = resources()
    assert annotated.compute(scheduler=ray_dask_get, ray_remote_args={"num_cpus": 2}) == {"CPU": 3.0}


def test_callbacks_are_told(cluster):
    seen = []

    class Watch(RayDaskCallback):
        def _ray_presubmit(self, task, key, deps):
            seen.append("presubmit")
            return 100 if key == "cached" else None

        def _ray_postsubmit(self, task, key, deps, object_ref):
            seen.append((key, type(object_ref)))

        def _ray_pretask(self, key, object_refs):
            return len(object_refs)

        def _ray_posttask(self, key, result, pre_state):
            assert (key, pre_state) == ("b", 1)

        def _ray_finish(self, result):
            seen.append(result)

    graph = {"cached": (sum, [1, 2]), "b": (sum, ["cached", 1])}
    with Watch():
        assert ray_dask_get(graph, "b") == 101
    assert seen == ["presubmit", "presubmit", ("b", ray.ObjectRef), 101]
    assert ray_dask_get(graph, "b") == 4
    told = []
    with RayDaskCallback(ray_finish=told.append):
        ray_dask_get(graph, "cached")
    assert told == [3]
    with pytest.raises(TypeError, match="no hook ray_nothing"):
        RayDaskCallback(ray_nothing=print)
