"""Functions as tasks: declaring, options, calling, arguments and returns (docs: "Tasks")."""

import os
import subprocess
import sys

import pytest
from helpers import wait_until

import ray

pytestmark = pytest.mark.usefixtures("shared_ray")


@ray.remote
def add(a, b=0):
    return a + b


@ray.remote
def echo(*args, **kwargs):
    return args, kwargs


class NoFunction:
    pass


def plain(a, b=0):
    return a * b


# --- declaring ---


def test_the_decorator_works_with_and_without_options():
    @ray.remote
    def bare():
        return "bare"

    @ray.remote(num_cpus=1, max_retries=0)
    def with_options():
        return "options"

    assert ray.get([bare.remote(), with_options.remote()]) == ["bare", "options"]


def test_remote_is_also_a_plain_call():
    assert ray.get(ray.remote(plain).remote(3, b=4)) == 12
    assert ray.get(ray.remote(num_cpus=1)(plain).remote(3, 5)) == 15


def test_a_lambda_is_a_task_too():
    assert ray.get(ray.remote(lambda a: a + 1).remote(1)) == 2


def test_empty_parentheses_and_positional_options_are_refused():
    with pytest.raises(AssertionError):
        ray.remote()
    with pytest.raises(AssertionError):
        ray.remote(5)
    with pytest.raises(AssertionError):
        ray.remote(plain, num_cpus=1)


def test_only_functions_and_classes_become_remote():
    with pytest.raises(TypeError):
        ray.remote(num_cpus=1)(NoFunction())


def test_a_coroutine_function_is_no_task():
    async def later():
        return 1

    with pytest.raises(ValueError, match="async"):
        ray.remote(later)


def test_a_remote_function_cannot_be_called_directly():
    with pytest.raises(TypeError, match="cannot be called directly"):
        add(1, 2)


def test_the_original_function_stays_reachable():
    assert ray.remote(plain)._function is plain


# --- options ---

BAD_OPTIONS = [
    ({"no_such_option": 1}, ValueError),
    ({"num_cpus": -1}, ValueError),
    ({"num_cpus": "1"}, TypeError),
    ({"num_cpus": 0.00001}, ValueError),
    ({"num_gpus": -1}, ValueError),
    ({"num_gpus": "1"}, TypeError),
    ({"memory": -1}, ValueError),
    ({"memory": "1"}, TypeError),
    ({"resources": {"CPU": 1}}, ValueError),
    ({"resources": {"GPU": 1}}, ValueError),
    ({"resources": [1]}, TypeError),
    ({"resources": {"custom": -1}}, ValueError),
    ({"num_returns": -1}, ValueError),
    ({"num_returns": 1.5}, TypeError),
    ({"num_returns": "text"}, (ValueError, TypeError)),
    ({"num_returns": "streaming"}, ValueError),
    ({"num_returns": "dynamic"}, ValueError),
    ({"max_retries": -2}, ValueError),
    ({"max_retries": "1"}, TypeError),
    ({"max_calls": -1}, ValueError),
    ({"retry_exceptions": [int]}, ValueError),
    ({"retry_exceptions": ["text"]}, ValueError),
    ({"retry_exceptions": 1}, TypeError),
    ({"runtime_env": 5}, TypeError),
    ({"name": 5}, TypeError),
    ({"accelerator_type": 5}, TypeError),
    ({"scheduling_strategy": 5}, TypeError),
    ({"_generator_backpressure_num_objects": 0}, ValueError),
    ({"max_restarts": 1}, ValueError),
    ({"lifetime": "detached"}, ValueError),
    ({"object_store_memory": 1}, (ValueError, NotImplementedError)),
]


@pytest.mark.parametrize(("options", "error"), BAD_OPTIONS, ids=[str(options) for options, _ in BAD_OPTIONS])
def test_bad_options_are_refused_by_decorator_and_options(options, error):
    with pytest.raises(error):
        ray.remote(**options)(plain).remote(1)
    with pytest.raises(error):
        ray.remote(plain).options(**options).remote(1)


def test_an_unknown_option_is_answered_with_the_valid_ones():
    with pytest.raises(ValueError, match="num_returns"):
        ray.remote(bogus=1)(plain)


def test_unknown_strategies_are_refused_when_submitted():
    with pytest.raises(ValueError):
        add.options(scheduling_strategy="RANDOM").remote(1)


def test_max_calls_belongs_to_the_decorator_only():
    with pytest.raises(ValueError, match="max_calls"):
        add.options(max_calls=1)


def test_a_strategy_and_a_placement_group_exclude_each_other():
    group = ray.util.placement_group([{"CPU": 1}])
    with pytest.raises(ValueError):
        add.options(placement_group=group, scheduling_strategy="SPREAD").remote(1)
    ray.util.remove_placement_group(group)


def test_options_override_some_and_keep_the_others():
    @ray.remote(num_returns=2, num_cpus=1)
    def pair():
        return 1, 2

    assert len(pair.options(num_cpus=2).remote()) == 2
    assert ray.get(pair.options(num_returns=1).remote()) == (1, 2)
    assert len(pair.remote()) == 2, "the original is untouched"


def test_none_means_the_default_of_an_option():
    assert ray.get(add.options(num_cpus=None, memory=None, resources=None, name=None, runtime_env=None).remote(1)) == 1


def test_internal_remote_takes_arguments_and_options():
    assert ray.get(add._remote(args=[1], kwargs={"b": 2}, num_cpus=0.5)) == 3


# --- calling ---


def test_arguments_arrive_as_given():
    assert ray.get(echo.remote()) == ((), {})
    assert ray.get(echo.remote(1, "b", c=None, d=[1])) == ((1, "b"), {"c": None, "d": [1]})


def test_defaults_and_keywords_bind_as_in_python():
    assert ray.get(add.remote(1)) == 1
    assert ray.get(add.remote(b=2, a=1)) == 3


def test_keyword_only_and_positional_only_parameters_work():
    @ray.remote
    def shape(a, /, *, b):
        return a, b

    assert ray.get(shape.remote(1, b=2)) == (1, 2)
    with pytest.raises(TypeError):
        shape.remote(a=1, b=2)
    with pytest.raises(TypeError):
        shape.remote(1, 2)


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"c": 1}), ((1,), {"a": 1})], ids=str)
def test_the_signature_is_checked_by_the_caller(args, kwargs):
    with pytest.raises(TypeError):
        add.remote(*args, **kwargs)


def test_mutable_arguments_are_copies():
    @ray.remote
    def append(values):
        values.append(1)
        return values

    mine = []
    assert ray.get(append.remote(mine)) == [1]
    assert mine == []


def test_an_argument_that_cannot_be_pickled_is_refused_when_submitted():
    import threading

    with pytest.raises(TypeError):
        echo.remote(threading.Lock())


# --- returns ---


def test_one_return_is_a_ref():
    assert isinstance(add.remote(1), ray.ObjectRef)


def test_several_returns_are_a_list_of_refs():
    @ray.remote(num_returns=3)
    def three():
        return 1, 2, 3

    refs = three.remote()
    assert isinstance(refs, list)
    assert len(set(refs)) == 3
    assert ray.get(refs) == [1, 2, 3]
    assert ray.get(refs[1]) == 2


def test_several_returns_may_come_from_any_iterable():
    assert ray.get(add.options(num_returns=2).remote([1], [2])) == [1, 2]
    assert ray.get(ray.remote(num_returns=2)(lambda: {"a": 1, "b": 2}).remote()) == ["a", "b"]


def test_no_return_is_none_and_the_task_still_runs(tally):
    @ray.remote(num_returns=0)
    def quiet():
        tally.add()
        return "ignored"

    assert quiet.remote() is None
    wait_until(lambda: tally.count() == 1)


@pytest.mark.parametrize("returned", [(1,), (1, 2, 3)], ids=["too few", "too many"])
def test_another_number_of_returns_is_an_error_of_every_ref(returned):
    for ref in ray.remote(num_returns=2)(lambda: returned).remote():
        with pytest.raises(ValueError):
            ray.get(ref)


def test_several_returns_of_what_is_not_iterable_are_an_error():
    for ref in ray.remote(num_returns=2)(lambda: 5).remote():
        with pytest.raises(ray.exceptions.RayTaskError):
            ray.get(ref)


def test_a_returned_ref_is_not_unwrapped():
    @ray.remote
    def outer():
        return add.remote(1, 2)

    inner = ray.get(outer.remote())
    assert isinstance(inner, ray.ObjectRef)
    assert ray.get(inner) == 3


def test_none_and_large_values_are_returned():
    assert ray.get(ray.remote(lambda: None).remote()) is None
    assert len(ray.get(ray.remote(lambda: b"x" * 5_000_000).remote())) == 5_000_000


# --- refs as arguments ---


def test_refs_as_arguments_become_values():
    assert ray.get(add.remote(add.remote(1, 2), b=ray.put(3))) == 6


def test_the_same_ref_may_be_given_twice():
    ref = ray.put([1])
    assert ray.get(add.remote(ref, ref)) == [1, 1]


def test_refs_inside_containers_stay_refs():
    @ray.remote
    def kinds(values, table):
        return type(values[0]).__name__, ray.get(values[0]), ray.get(table["key"])

    name, *values = ray.get(kinds.remote([ray.put(1)], {"key": add.remote(1, 1)}))
    assert name == "ObjectRef"
    assert values == [1, 2]


def test_a_task_waits_for_its_dependencies(gate):
    @ray.remote
    def first():
        gate.wait()
        return 1

    second = add.remote(first.remote(), 1)
    assert ray.wait([second], timeout=0.2) == ([], [second])
    gate.open()
    assert ray.get(second) == 2


def test_a_long_chain_of_dependencies_resolves():
    ref = ray.put(0)
    for _ in range(200):
        ref = add.remote(ref, 1)
    assert ray.get(ref) == 200


def test_large_arguments_travel_by_value_and_by_ref():
    data = b"x" * 3_000_000
    length = ray.remote(lambda value: len(value))
    assert ray.get([length.remote(data), length.remote(ray.put(data))]) == [3_000_000] * 2


# --- tasks within tasks, closures ---


def test_tasks_call_tasks():
    @ray.remote
    def total(values):
        return sum(ray.get([add.remote(value, 1) for value in values]))

    assert ray.get(total.remote([1, 2, 3])) == 9


def test_recursion_deeper_than_the_cpus_does_not_deadlock():
    @ray.remote
    def fib(n):
        return n if n < 2 else sum(ray.get([fib.remote(n - 1), fib.remote(n - 2)]))

    assert ray.get(fib.remote(5)) == 5


def test_closures_are_captured():
    offset = {"by": 10}

    @ray.remote
    def shifted(value):
        return value + offset["by"]

    assert ray.get(shifted.remote(1)) == 11


def test_functions_and_classes_defined_locally_travel_by_value():
    class Point:
        def __init__(self, x):
            self.x = x

        def moved(self):
            return Point(self.x + 1)

    @ray.remote
    def move(point, by):
        return by(point.moved())

    moved = ray.get(move.remote(Point(1), lambda point: Point(point.x * 10)))
    assert isinstance(moved, Point)
    assert moved.x == 20


def test_a_remote_function_is_an_argument_too():
    @ray.remote
    def apply(function, value):
        return ray.get(function.remote(value, 1))

    assert ray.get(apply.remote(add, 4)) == 5


def test_many_tasks_keep_their_order():
    assert ray.get([add.remote(number) for number in range(1000)]) == list(range(1000))


def test_tasks_run_in_other_processes_and_in_parallel(gate, tally):
    @ray.remote
    def meet():
        tally.add()
        gate.wait()
        return os.getpid()

    refs = [meet.remote() for _ in range(4)]
    wait_until(lambda: tally.count() == 4)
    gate.open()
    pids = set(ray.get(refs))
    assert len(pids) == 4
    assert os.getpid() not in pids


def test_a_task_that_waits_lends_its_cpu(gate):
    @ray.remote(num_cpus=4)
    def child():
        return "child"

    @ray.remote(num_cpus=4)
    def parent():
        return ray.get(child.remote())

    assert ray.get(parent.remote()) == "child"


def test_children_outlive_their_parent_task(gate):
    @ray.remote
    def child():
        return gate.wait()

    @ray.remote
    def parent():
        return [child.remote()]

    (ref,) = ray.get(parent.remote())
    gate.open()
    assert ray.get(ref) == "passed"


def test_max_calls_ends_the_worker_after_so_many_runs():
    @ray.remote(max_calls=1)
    def pid():
        return os.getpid()

    assert len({ray.get(pid.remote()) for _ in range(3)}) == 3


MAIN = """
import sys, ray
ray.init(num_cpus=1, log_to_driver=False)
OFFSET = 5

class Point:
    def __init__(self, x):
        self.x = x
    def __eq__(self, other):
        return type(self) is type(other) and self.x == other.x

class Trouble(Exception):
    pass

@ray.remote
def move(point):
    return Point(point.x + OFFSET)

@ray.remote
def fail():
    raise Trouble("of main")

@ray.remote
class Keeper:
    def keep(self, point):
        self.point = point
        return self.point

assert ray.get(move.remote(Point(1))) == Point(6)
assert ray.get(Keeper.remote().keep.remote(Point(2))) == Point(2)
try:
    ray.get(fail.remote())
except Trouble as error:
    print("done", type(error).__name__)
"""


def test_names_of_main_travel_by_value(fresh_ray, tmp_path):
    script = tmp_path / "main.py"
    script.write_text(MAIN)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "done RayTaskError(Trouble)"


def test_modules_beside_the_script_can_be_imported_by_tasks(fresh_ray, tmp_path):
    (tmp_path / "beside_the_script.py").write_text("def answer():\n    return 42\n")
    script = tmp_path / "main.py"
    script.write_text(
        "import ray, beside_the_script\n"
        "ray.init(num_cpus=1, log_to_driver=False)\n"
        "@ray.remote\ndef ask():\n    return beside_the_script.answer()\n"
        "print(ray.get(ask.remote()))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=50, check=False, cwd="/"
    )
    assert done.stdout.split() == ["42"], done.stderr
