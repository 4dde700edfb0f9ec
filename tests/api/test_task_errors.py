"""What callers see when tasks fail, and when tasks are run again (docs: "Fault tolerance", "Task faults")."""

import os
import pickle
import signal
import sys

import pytest
from helpers import is_alive, wait_until

import ray
from ray.exceptions import RayError, RayTaskError, TaskCancelledError, WorkerCrashedError

pytestmark = pytest.mark.usefixtures("shared_ray")


class Trouble(Exception):
    """An error with a field, as users define them."""

    def __init__(self, message, code=0):
        super().__init__(message)
        self.code = code


class NotPicklable(Exception):
    def __reduce__(self):
        raise TypeError("this error stays at home")


class NotUnpicklable(Exception):
    def __init__(self, one, two):
        super().__init__("only one argument is kept")


@ray.remote
def fail(error):
    raise error


@ray.remote
def add(a, b=0):
    return a + b


def _error_of(ref):
    with pytest.raises(RayError) as caught:
        ray.get(ref)
    return caught.value


# --- the error that callers catch ---


def test_an_error_is_of_the_users_class_and_of_rays():
    error = _error_of(fail.remote(KeyError("no such thing")))
    assert isinstance(error, RayTaskError)
    assert isinstance(error, KeyError)
    assert type(error).__name__ == "RayTaskError(KeyError)"
    assert isinstance(error.cause, KeyError)
    assert type(error.cause) is KeyError
    assert error.cause.args == ("no such thing",)


def test_the_dual_error_has_the_cause_as_its_argument():
    error = _error_of(fail.remote(ValueError("text", 2)))
    assert error.args == (error.cause,)
    assert error.cause.args == ("text", 2)


def test_unknown_attributes_of_the_error_are_the_causes():
    error = _error_of(fail.remote(Trouble("text", code=7)))
    assert isinstance(error, Trouble)
    assert error.code == 7
    with pytest.raises(AttributeError):
        error.no_such_attribute  # noqa: B018


def test_the_text_is_the_remote_traceback_with_a_header():
    error = _error_of(fail.remote(ValueError("very wrong")))
    text = str(error)
    assert "ray::fail()" in text
    assert "pid=" in text and "ip=" in text
    assert "raise error" in text
    assert "ValueError: very wrong" in text


def test_an_error_of_rays_own_class_says_where_it_happened():
    # Of the dual class the reference delegates these fields to the cause, which has none of them.
    error = _error_of(fail.remote(RayError("x")))
    assert type(error) is RayTaskError
    assert error.function_name.endswith("fail")
    assert "RayError: x" in error.traceback_str
    assert error.pid != os.getpid()
    assert error.ip


def test_an_error_of_a_method_names_actor_and_method():
    @ray.remote
    class Failing:
        def fail(self):
            raise ValueError("inside")

    actor = Failing.remote()
    error = _error_of(actor.fail.remote())
    assert isinstance(error, ValueError)
    assert "Failing.fail()" in str(error)
    assert f"actor_id={actor._actor_id.hex()}" in str(error)


def test_chained_errors_show_both():
    @ray.remote
    def chained():
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    text = str(_error_of(chained.remote()))
    assert "first" in text and "second" in text


def test_a_ray_error_raised_by_the_user_is_itself_the_class():
    error = _error_of(fail.remote(RayError("mine")))
    assert isinstance(error, RayTaskError)
    assert isinstance(error.cause, RayError)


def test_base_exceptions_are_reported_too():
    error = _error_of(fail.options(max_retries=0).remote(KeyboardInterrupt()))
    assert isinstance(error, TaskCancelledError)
    assert isinstance(_error_of(fail.options(max_retries=0).remote(BaseException("base"))), RayTaskError)


def test_an_error_group_keeps_its_members():
    group = ExceptionGroup("several", [ValueError("a"), KeyError("b")])
    with pytest.raises(ExceptionGroup) as caught:
        ray.get(fail.remote(group))
    assert isinstance(caught.value, RayTaskError)
    assert [type(member) for member in caught.value.exceptions] == [ValueError, KeyError]


def test_an_error_can_be_read_more_than_once():
    ref = fail.remote(ValueError("again"))
    for _ in range(2):
        with pytest.raises(ValueError, match="again"):
            ray.get(ref)


def test_the_dual_error_survives_cloudpickle():
    error = _error_of(fail.remote(KeyError("text")))
    back = ray.cloudpickle.loads(ray.cloudpickle.dumps(error))
    assert isinstance(back, RayTaskError)
    assert isinstance(back, KeyError)
    assert back.cause.args == ("text",)
    assert str(back) == str(error)


def test_the_plain_error_survives_pickling_with_its_fields():
    error = RayTaskError("f", "the traceback", ValueError("x"), proctitle="ray::f", pid=1, ip="1.2.3.4")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is RayTaskError
    assert (back.function_name, back.traceback_str, back.pid, back.ip) == ("f", "the traceback", 1, "1.2.3.4")
    assert back.cause.args == ("x",)


def test_putting_a_task_error_raises_it_again_for_who_reads_it():
    error = _error_of(fail.remote(KeyError("text")))
    with pytest.raises(KeyError):
        ray.get(ray.put(error))


def test_an_error_is_a_value_when_it_is_not_rays():
    back = ray.get(ray.put(ValueError("a value")))
    assert isinstance(back, ValueError)
    assert back.args == ("a value",)


def test_as_instanceof_cause_makes_the_dual_class():
    plain = RayTaskError("f", "the traceback", ValueError("x"), proctitle="ray::f", pid=1, ip="1.2.3.4")
    dual = plain.as_instanceof_cause()
    assert isinstance(dual, ValueError) and isinstance(dual, RayTaskError)
    assert type(dual).__name__ == "RayTaskError(ValueError)"
    assert dual.cause is plain.cause


def test_as_instanceof_cause_of_a_cause_above_it_is_itself():
    plain = RayTaskError("f", "the traceback", RayError("x"))
    assert plain.as_instanceof_cause() is plain
    plain = RayTaskError("f", "the traceback", Exception("x"))
    assert isinstance(plain.as_instanceof_cause(), RayTaskError)


def test_a_cause_that_cannot_be_subclassed_stays_plain():
    class Final(Exception):
        def __init_subclass__(cls, **kwargs):
            raise TypeError("no children")

    error = RayTaskError("f", "the traceback", Final("x")).as_instanceof_cause()
    assert type(error) is RayTaskError


# --- errors that do not travel ---


def test_an_error_that_cannot_be_pickled_arrives_as_text():
    error = _error_of(fail_locally.remote())
    assert isinstance(error, RayTaskError)
    assert "cannot travel" in str(error)


@ray.remote
def fail_locally():
    raise NotPicklable("cannot travel")


def test_an_error_that_cannot_be_unpickled_arrives_as_text():
    @ray.remote
    def fail_two():
        raise NotUnpicklable(1, 2)

    error = _error_of(fail_two.remote())
    assert isinstance(error, ray.exceptions.UnserializableException)
    assert "NotUnpicklable" in str(error)


def test_a_result_that_cannot_be_pickled_is_a_type_error():
    @ray.remote
    def lock():
        import threading

        return threading.Lock()

    error = _error_of(lock.remote())
    assert isinstance(error, RayTaskError)
    assert isinstance(error, TypeError)


# --- dependencies that fail ---


def test_a_failed_argument_fails_the_task_without_running_it(tally):
    @ray.remote
    def count(_):
        tally.add()

    error = _error_of(count.remote(fail.remote(KeyError("first"))))
    assert isinstance(error, KeyError)
    assert isinstance(error, RayTaskError)
    assert "input arguments" in str(error)
    assert "first" in str(error)
    assert tally.count() == 0


def test_a_failure_goes_through_a_chain():
    error = _error_of(add.remote(add.remote(fail.remote(ZeroDivisionError("deep")), 1), 1))
    assert isinstance(error, ZeroDivisionError)


def test_a_failed_ref_inside_a_container_only_fails_who_reads_it():
    @ray.remote
    def count(refs):
        return len(refs)

    assert ray.get(count.remote([fail.remote(ValueError("unread"))])) == 1


def test_every_return_of_a_failed_task_holds_the_error():
    for ref in fail.options(num_returns=3).remote(ValueError("x")):
        with pytest.raises(ValueError):
            ray.get(ref)


def test_the_first_error_of_a_list_is_raised_without_waiting_for_the_others(gate):
    @ray.remote
    def slow():
        return gate.wait()

    pending = slow.remote()
    with pytest.raises(ValueError):
        ray.get([fail.remote(ValueError("x")), pending], timeout=20)
    gate.open()
    assert ray.get(pending) == "passed"


def test_nested_tasks_pass_the_error_on():
    @ray.remote
    def outer():
        return ray.get(fail.remote(KeyError("inner")))

    error = _error_of(outer.remote())
    assert isinstance(error, KeyError)
    assert "inner" in str(error)


# --- user errors and retries ---


def test_user_errors_are_not_retried_by_default(tally):
    @ray.remote(max_retries=3)
    def count():
        tally.add()
        raise ValueError("once")

    with pytest.raises(ValueError):
        ray.get(count.remote())
    assert tally.count() == 1


def test_user_errors_are_retried_on_request(tally):
    @ray.remote(max_retries=3, retry_exceptions=True)
    def third_time():
        if tally.add() < 3:
            raise ValueError("not yet")
        return "done"

    assert ray.get(third_time.remote()) == "done"
    assert tally.count() == 3


def test_retries_end_with_the_users_error(tally):
    @ray.remote(max_retries=2, retry_exceptions=True)
    def never():
        tally.add()
        raise Trouble("never", code=3)

    with pytest.raises(Trouble):
        ray.get(never.remote())
    assert tally.count() == 3


def test_only_listed_errors_are_retried(tally):
    @ray.remote(max_retries=5, retry_exceptions=[KeyError])
    def listed_then_not():
        if tally.add() == 1:
            raise KeyError("retried")
        raise ValueError("not retried")

    with pytest.raises(ValueError):
        ray.get(listed_then_not.remote())
    assert tally.count() == 2


def test_subclasses_of_listed_errors_are_retried(tally):
    @ray.remote(max_retries=1, retry_exceptions=(LookupError,))
    def count():
        if tally.add() == 1:
            raise KeyError("retried")
        return "done"

    assert ray.get(count.remote()) == "done"


# --- workers that die ---


def test_a_crash_is_retried_three_times_by_default(tally):
    @ray.remote
    def crash():
        tally.add()
        os._exit(1)

    with pytest.raises(WorkerCrashedError):
        ray.get(crash.remote())
    assert tally.count() == 4


def test_a_crash_is_not_retried_without_retries(tally):
    @ray.remote(max_retries=0)
    def crash():
        tally.add()
        os._exit(1)

    with pytest.raises(WorkerCrashedError):
        ray.get(crash.remote())
    assert tally.count() == 1


def test_a_task_survives_a_crash_by_its_retry(tally):
    @ray.remote(max_retries=1)
    def crash_once():
        if tally.add() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    assert ray.get(crash_once.remote()) == "done"


def test_infinite_retries_go_on(tally):
    @ray.remote(max_retries=-1)
    def crash_often():
        if tally.add() < 6:
            os._exit(1)
        return "done"

    assert ray.get(crash_often.remote()) == "done"


@pytest.mark.parametrize("status", [0, 1])
def test_sys_exit_ends_the_worker(status):
    @ray.remote(max_retries=0)
    def leave():
        sys.exit(status)

    with pytest.raises(WorkerCrashedError):
        ray.get(leave.remote())


def test_a_crash_fails_every_return_and_every_dependent():
    @ray.remote(max_retries=0, num_returns=2)
    def crash():
        os._exit(1)

    first, second = crash.remote()
    dependent = add.remote(first, 1)
    for ref in (first, second, dependent):
        with pytest.raises(RayError):
            ray.get(ref)
    with pytest.raises(WorkerCrashedError):
        ray.get(second)


def test_other_tasks_do_not_notice_a_crash():
    @ray.remote(max_retries=0)
    def crash():
        os._exit(1)

    crashed = crash.remote()
    assert ray.get([add.remote(number) for number in range(50)]) == list(range(50))
    with pytest.raises(WorkerCrashedError):
        ray.get(crashed)


def test_results_owned_by_a_dead_worker_are_lost(gate):
    @ray.remote(max_retries=0)
    def never():
        gate.wait(60)

    @ray.remote(max_retries=0)
    def own_and_die(box):
        ray.get(box.keep.remote([never.remote()]))
        os._exit(1)

    @ray.remote
    class Box:
        def keep(self, refs):
            self.refs = refs

        def read(self):
            return ray.get(self.refs[0])

    box = Box.remote()
    with pytest.raises(WorkerCrashedError):
        ray.get(own_and_die.remote(box))
    with pytest.raises(ray.exceptions.OwnerDiedError):
        ray.get(box.read.remote())


def test_children_of_a_dead_worker_are_killed(gate, tally, tmp_path):
    pid_file = tmp_path / "pid"

    @ray.remote(max_retries=0)
    def child():
        pid_file.write_text(str(os.getpid()))
        tally.add()
        gate.wait(60)

    @ray.remote(max_retries=0)
    def parent():
        child.remote()
        wait_until(lambda: tally.count() == 1)
        os._exit(1)

    with pytest.raises(WorkerCrashedError):
        ray.get(parent.remote())
    pid = int(pid_file.read_text())
    wait_until(lambda: not is_alive(pid))
