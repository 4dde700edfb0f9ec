"""Errors, retries, several returns and large functions of tasks, on real processes."""

import logging
import sys
import threading

import pytest

import ray
from ray.exceptions import RayTaskError, UserCodeException

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
pytestmark = pytest.mark.usefixtures("cluster")


class Mine(Exception):
    pass


class MyOwn(Mine):
    pass


def failing(path, error, cause=None):
    def fail():
        with open(path, "a") as file:
            file.write("x")
        raise error from cause

    return fail


def runs(tmp_path, error, cause=None, **options):
    """How often a task ran that always raises `error`."""
    function = ray.remote(failing(tmp_path / "runs", error, cause)).options(**options)
    with pytest.raises(RayTaskError):
        ray.get(function.remote(), timeout=30)
    return len((tmp_path / "runs").read_text())


@pytest.mark.parametrize(
    ("error", "options", "count"),
    [
        (Mine(), {}, 1),
        (Mine(), {"retry_exceptions": True, "max_retries": 2}, 3),
        (MyOwn(), {"retry_exceptions": [Mine], "max_retries": 2}, 3),
        (ValueError(), {"retry_exceptions": [Mine], "max_retries": 2}, 1),
        (Mine(), {"retry_exceptions": True, "max_retries": 0}, 1),
        (KeyboardInterrupt(), {"retry_exceptions": True, "max_retries": 2}, 3),
    ],
)
def test_exceptions_are_retried_as_asked(tmp_path, error, options, count):
    assert runs(tmp_path, error, **options) == count


@pytest.mark.parametrize(("listed", "count"), [(ValueError, 3), (KeyError, 1), (UserCodeException, 1)])
def test_of_a_wrapped_exception_of_user_code_the_cause_counts(tmp_path, listed, count):
    error = UserCodeException("wrapped")
    assert runs(tmp_path, error, ValueError("inner"), retry_exceptions=[listed], max_retries=2) == count


def test_endless_retries_end_with_a_success(tmp_path):
    @ray.remote(max_retries=-1, retry_exceptions=[Mine])
    def fifth():
        with open(tmp_path / "runs", "a") as file:
            file.write("x")
        if len((tmp_path / "runs").read_text()) < 5:
            raise MyOwn
        return "done"

    assert ray.get(fifth.remote()) == "done"


def test_methods_retry_exceptions_too(tmp_path):
    @ray.remote(max_task_retries=3)
    class Actor:
        @ray.method(retry_exceptions=[Mine])
        def third(self):
            with open(tmp_path / "runs", "a") as file:
                file.write("x")
            if len((tmp_path / "runs").read_text()) < 3:
                raise MyOwn
            return "done"

    assert ray.get(Actor.remote().third.remote()) == "done"


def test_a_return_that_cannot_be_pickled_leaves_those_before_it():
    @ray.remote(num_returns=3)
    def returns():
        return 1, threading.Lock(), 3

    first, *rest = returns.remote()
    assert ray.get(first) == 1
    for ref in rest:
        with pytest.raises(TypeError, match="lock"):
            ray.get(ref)


def test_the_error_of_an_argument_tells_the_whole_way():
    @ray.remote
    def fail():
        raise Mine("at first")

    @ray.remote
    def pass_on(value):
        return value

    with pytest.raises(Mine) as caught:
        ray.get(pass_on.remote(pass_on.remote(fail.remote())))
    text = str(caught.value)
    assert text.count("At least one of the input arguments for this task could not be computed") == 2
    assert text.index("ray::pass_on()") < text.index("ray::fail()") < text.index("at first")


def test_large_functions_are_warned_of_and_huge_ones_refused(monkeypatch, caplog):
    large, huge = bytes(11_000_000), bytes(20_000_000)

    @ray.remote
    def measure():
        return len(large)

    @ray.remote
    def never():
        return len(huge)

    logger = logging.getLogger("ray")
    monkeypatch.setattr(logger, "propagate", True)
    with caplog.at_level("WARNING", logger="ray"):
        assert ray.get([measure.remote() for _ in range(3)]) == [11_000_000] * 3
    warnings = {r.created for r in caplog.records if "measure is very large (10 MiB)" in r.getMessage()}
    assert len(warnings) == 1, "one for three calls"
    monkeypatch.setenv("FUNCTION_SIZE_ERROR_THRESHOLD", "15000000")
    with pytest.raises(ValueError, match="never is too large"):
        never.remote()


def test_a_function_is_pickled_once_however_often_its_options_change():
    pickled = []

    class Captured:
        def __reduce__(self):
            pickled.append(1)
            return int, (7,)

    captured = Captured()

    @ray.remote
    def read():
        return captured

    assert ray.get(read.remote()) == 7
    once = len(pickled)
    assert ray.get([read.options(name=f"read{number}").remote() for number in range(5)]) == [7] * 5
    assert len(pickled) == once


def test_large_classes_and_ten_thousand_arguments_arrive():
    large = bytes(300_000)

    @ray.remote
    class Holder:
        def size(self, *args, **kwargs):
            return len(large), len(args), len(kwargs)

    names = {f"k{number}": number for number in range(100)}
    assert ray.get(Holder.remote().size.remote(*range(10_000), **names)) == (300_000, 10_000, 100)


def test_three_thousand_returns_and_ref_arguments():
    @ray.remote(num_returns=3000)
    def many():
        return range(3000)

    @ray.remote
    def total(*values):
        return sum(values)

    assert ray.get(total.remote(*many.remote())) == sum(range(3000))
