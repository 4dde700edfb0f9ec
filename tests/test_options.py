"""Options of tasks, actors and methods: which are taken, and with which kind of error the others are refused.

The kinds are those that Ray 2.60 raises; found by giving it the same options.
"""

import importlib.util

import pytest

from ray._core.common.messages import Strategy
from ray._core.common.options import DYNAMIC, STREAMING, TaskOptions
from ray._private.engine_options import concurrency_groups, method_options, task_options
from ray._private.options import check_actor_options, check_method_options, check_task_options
from ray._private.strategies import check_bundle
from ray.util.annotations import RayDeprecationWarning

TASK, ACTOR = "task", "actor"
BOTH = (TASK, ACTOR)


def check(on: str, given: dict, **how) -> None:
    if on == TASK:
        check_task_options(given, is_generator=how.pop("is_generator", False), **how)
    else:
        check_actor_options(given, **how)


ACCEPTED = [
    (BOTH, "num_cpus", [None, 0, 1, 0.5, True, 2.00005]),
    (BOTH, "num_gpus", [None, 0, 1.5, 2]),
    (BOTH, "memory", [None, 0, 100, 100.5]),
    (BOTH, "resources", [None, {}, {"a": 1}, {"a": 0}, {"TPU": 4}, {"memory": 5}]),
    (BOTH, "accelerator_type", [None, "A100"]),
    (BOTH, "label_selector", [None, {}, {"a": "b"}, {"a": "in(b,c)"}, {"a": "!b"}, {"x.io/a": "!in(b)"}, {"a": ""}]),
    (BOTH, "fallback_strategy", [None, [], [{"label_selector": {"zone": "in(a,b)"}}]]),
    (BOTH, "scheduling_strategy", [None, "DEFAULT", "SPREAD", "X"]),
    (BOTH, "placement_group", ["default", None]),
    (BOTH, "runtime_env", [None, {}, {"env_vars": {"a": "b"}}, {"some_plugin": 1}]),
    (BOTH, "name", [None, "", "n"]),
    (BOTH, "enable_task_events", [True, False]),
    (BOTH, "priority", [None, 0, -5, 1_000_000]),
    ((TASK,), "max_calls", [None, 0, 1]),
    ((TASK,), "max_retries", [None, 0, -1, 3]),
    ((TASK,), "num_returns", [None, 0, 1, 2]),
    ((TASK,), "retry_exceptions", [True, False, [ValueError], (KeyError,), []]),
    ((TASK,), "_generator_backpressure_num_objects", [None, -1, 5]),
    ((TASK,), "timeout", [None, 1, 0.5]),
    ((ACTOR,), "concurrency_groups", [None, {}, {"io": 2}]),
    ((ACTOR,), "max_concurrency", [None, 0, 1, 5]),
    ((ACTOR,), "max_restarts", [0, -1, 4]),
    ((ACTOR,), "max_task_retries", [None, 0, -1]),
    ((ACTOR,), "max_pending_calls", [None, 0, -1, 5]),
    ((ACTOR,), "lifetime", [None, "detached", "non_detached"]),
    ((ACTOR,), "namespace", [None, "n"]),
    ((ACTOR,), "get_if_exists", [False]),
    ((ACTOR,), "allow_out_of_order_execution", [None, True, False]),
]
REFUSED = [
    (BOTH, "num_cpus", ValueError, [-1, 0.00001]),
    (BOTH, "num_cpus", TypeError, ["1", [1]]),
    (BOTH, "num_gpus", ValueError, [-1, 0.00001]),
    (BOTH, "memory", ValueError, [-1]),
    (BOTH, "resources", TypeError, [[1], "x", {"a": "1"}, {"a": None}]),
    (BOTH, "resources", ValueError, [{"CPU": 1}, {"GPU": 1}, {"a": -1}, {"a": 0.00001}, {"TPU": 3}, {"HPU": 0.5}]),
    (BOTH, "accelerator_type", TypeError, [1]),
    (BOTH, "label_selector", TypeError, ["x", {"a": 1}]),
    (BOTH, "label_selector", ValueError, [{"a": "in(b"}, {"a b": "x"}]),
    (BOTH, "fallback_strategy", TypeError, [{}, "x"]),
    (BOTH, "fallback_strategy", ValueError, [[{}], [{"x": 1}]]),
    (BOTH, "scheduling_strategy", TypeError, [5, object()]),
    (BOTH, "placement_group", TypeError, [5]),
    (BOTH, "placement_group_bundle_index", TypeError, [None, "x"]),
    (BOTH, "placement_group_capture_child_tasks", TypeError, ["x"]),
    (BOTH, "runtime_env", TypeError, [5, "x", {"env_vars": {"a": 1}}, {"env_vars": [1]}]),
    (BOTH, "runtime_env", ValueError, [{"working_dir": "."}]),
    (BOTH, "name", TypeError, [5]),
    (BOTH, "enable_task_events", TypeError, [None, 1]),
    (BOTH, "foo", ValueError, [1]),
    (BOTH, "priority", TypeError, [1.5, "high"]),
    (BOTH, "priority", ValueError, [1_000_001, -1_000_001]),
    ((TASK,), "object_store_memory", ValueError, [5]),
    ((TASK,), "max_calls", ValueError, [-1]),
    ((TASK,), "max_calls", TypeError, ["x", 1.5]),
    ((TASK,), "max_retries", ValueError, [-2]),
    ((TASK,), "num_returns", ValueError, [-1, "streaming", "dynamic"]),
    ((TASK,), "num_returns", TypeError, [1.5, "x"]),
    ((TASK,), "retry_exceptions", TypeError, [None, "x", 5]),
    ((TASK,), "retry_exceptions", ValueError, [[5], [object]]),
    ((TASK,), "_generator_backpressure_num_objects", ValueError, [0]),
    ((TASK,), "_num_objects_per_yield", ValueError, [0, -1]),
    ((TASK,), "timeout", ValueError, [0, -1, float("inf"), float("nan")]),
    ((TASK,), "timeout", TypeError, ["1", [1]]),
    ((ACTOR,), "timeout", ValueError, [1]),
    ((TASK,), "max_restarts", ValueError, [1]),
    ((ACTOR,), "max_retries", ValueError, [1]),
    ((ACTOR,), "num_returns", ValueError, [1]),
    ((ACTOR,), "max_concurrency", ValueError, [-1]),
    ((ACTOR,), "max_restarts", ValueError, [-2]),
    ((ACTOR,), "max_pending_calls", ValueError, [-2]),
    ((ACTOR,), "lifetime", ValueError, ["x"]),
    ((ACTOR,), "lifetime", TypeError, [5]),
    ((ACTOR,), "namespace", TypeError, [5]),
    ((ACTOR,), "get_if_exists", TypeError, [None, "x"]),
    ((ACTOR,), "get_if_exists", ValueError, [True]),
    ((ACTOR,), "concurrency_groups", TypeError, ["x"]),
]


@pytest.mark.parametrize(
    ("on", "name", "value"), [(on, name, value) for ons, name, values in ACCEPTED for value in values for on in ons]
)
def test_right_options_are_accepted(on: str, name: str, value: object) -> None:
    check(on, {name: value})


@pytest.mark.parametrize(
    ("on", "name", "error", "value"),
    [(on, name, error, value) for ons, name, error, values in REFUSED for value in values for on in ons],
)
def test_wrong_options_are_refused(on: str, name: str, error: type[Exception], value: object) -> None:
    with pytest.raises(error) as caught:
        check(on, {name: value})
    assert caught.type is error


def test_some_options_belong_to_the_decorator_alone() -> None:
    for on, name in ((TASK, "max_calls"), (TASK, "_num_objects_per_yield"), (ACTOR, "concurrency_groups")):
        value = {"io": 1} if name == "concurrency_groups" else 5
        with pytest.raises(ValueError, match=name):
            check(on, {name: value}, override=True)


def test_streaming_is_for_generators() -> None:
    check_task_options({"num_returns": "streaming"}, is_generator=True)


def test_unknown_method_options_are_assertion_errors_as_in_ray() -> None:
    with pytest.raises(AssertionError, match="num_cpus"):
        check_method_options({"num_cpus": 1})
    with pytest.raises(ValueError, match="num_returns"):
        check_method_options({"num_returns": -1})


# ------------------------------------------------------------------ what they become


def task(given: dict, *, is_generator: bool = False, parent_env: str = "") -> TaskOptions:
    return task_options(given, name="f", function_name="m.f", is_generator=is_generator, parent_env=parent_env)


def test_a_plain_task_takes_one_cpu_and_is_tried_four_times(monkeypatch: pytest.MonkeyPatch) -> None:
    options = task({})
    assert options.placing.resources == {"CPU": 10_000}
    assert (options.name, options.num_returns, options.max_retries, options.max_calls) == ("f", 1, 3, 0)
    assert options.placing.strategy is None
    monkeypatch.setenv("RAY_TASK_MAX_RETRIES", "7")
    assert task({}).max_retries == 7


def test_amounts_are_fixed_point_and_zero_is_nothing() -> None:
    given = {"num_cpus": 0, "num_gpus": 0.5, "memory": 2, "resources": {"a": 0.0001}, "accelerator_type": "A100"}
    expected = {"GPU": 5000, "memory": 20_000, "a": 1, "accelerator_type:A100": 10}
    assert task(given).placing.resources == expected
    assert task(given).max_calls == 1  # a worker that used a GPU frees its memory by ending


def test_generators_stream_unless_told_otherwise() -> None:
    assert task({}, is_generator=True).num_returns == STREAMING
    assert task({"num_returns": 3}, is_generator=True).num_returns == 3
    assert task({"num_returns": "dynamic"}, is_generator=True).num_returns == DYNAMIC
    with pytest.warns(RayDeprecationWarning, match="dynamic"):
        check_task_options({"num_returns": "dynamic"}, is_generator=True)
    with pytest.warns(RayDeprecationWarning, match="object_store_memory"):
        check_actor_options({"object_store_memory": 1})


def test_a_part_of_a_byte_is_no_memory_and_gpus_are_shared_or_whole():
    assert task({"memory": 100.7}).placing.resources["memory"] == 1_000_000
    for wrong in (1.5, 2.25):
        with pytest.raises(ValueError, match=f"GPU resource quantities >1 must be whole numbers.*{wrong}"):
            task({"num_gpus": wrong})
    assert task({"num_gpus": 0.5}).placing.resources["GPU"] == 5000
    assert task({"num_gpus": 2.0}).placing.resources["GPU"] == 20_000


def test_children_inherit_the_environment_and_merge_variables() -> None:
    parent = '{"env_vars": {"A": "1", "B": "2"}, "some_plugin": 3}'
    assert task({}, parent_env=parent).placing.runtime_env == parent
    own = {"env_vars": {"B": "9"}}
    expected = '{"env_vars": {"A": "1", "B": "9"}, "some_plugin": 3}'
    assert task({"runtime_env": own}, parent_env=parent).placing.runtime_env == expected


def test_named_strategies() -> None:
    assert task({"scheduling_strategy": "SPREAD"}).placing.strategy == Strategy("SPREAD")
    assert task({"placement_group": None}).placing.strategy == Strategy()
    with pytest.raises(ValueError, match="scheduling_strategy value X"):
        task({"scheduling_strategy": "X"})
    with pytest.raises(ValueError, match="should be specified via the scheduling_strategy"):
        task({"scheduling_strategy": "SPREAD", "placement_group": None})


@pytest.mark.skipif(
    importlib.util.find_spec("ray.util") is None or importlib.util.find_spec("ray.util.scheduling_strategies") is None,
    reason="ray.util.scheduling_strategies is not there yet",
)
def test_strategy_objects() -> None:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    given = {"scheduling_strategy": NodeAffinitySchedulingStrategy("ab" * 28, soft=True)}
    check_task_options(given, is_generator=False)
    assert task(given).placing.strategy == Strategy("NODE_AFFINITY", node_id=b"\xab" * 28, soft=True)


def test_a_demand_must_fit_into_a_bundle_of_its_group() -> None:
    bundles = [{"CPU": 1.0}, {"CPU": 4.0, "GPU": 1.0}]
    check_bundle(bundles, -1, {"CPU": 40_000})
    for index, demand in ((2, {}), (-2, {}), (0, {"CPU": 20_000}), (-1, {"GPU": 20_000})):
        with pytest.raises(ValueError):
            check_bundle(bundles, index, demand)


def test_concurrency_groups_are_limits_by_name() -> None:
    assert concurrency_groups({"io": 2}) == {"io": 2}
    assert concurrency_groups([{"name": "io", "max_concurrency": 3}]) == {"io": 3}
    with pytest.raises(ValueError):
        concurrency_groups({"io": 0})
    with pytest.raises(TypeError):
        concurrency_groups({"io": "x"})


def test_method_options_say_none_where_the_actor_decides() -> None:
    options = method_options({}, is_generator=False, shape=None)
    assert (options.max_task_retries, options.retry_exceptions, options.num_returns) == (None, None, 1)
    given = {"retry_exceptions": [ValueError], "_generator_backpressure_num_objects": 2}
    options = method_options(given, is_generator=True, shape=None)
    assert (options.retry_exceptions, options.backpressure, options.num_returns) == ((ValueError,), 2, STREAMING)
