"""Actors that die, restart, and whose calls are retried (docs: "Fault tolerance", "Actor faults")."""

import os
import signal
import sys

import pytest
from helpers import is_alive, wait_until

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayTaskError, TaskCancelledError

pytestmark = pytest.mark.usefixtures("shared_ray")
CLUSTER = {"num_cpus": 8}


@ray.remote
class Fragile:
    def __init__(self, tally=None):
        self.calls = 0
        if tally is not None:
            tally.add()

    def pid(self):
        return os.getpid()

    def add(self):
        self.calls += 1
        return self.calls

    def crash(self):
        os._exit(1)

    def crash_unless(self, tally, enough):
        if tally.add() < enough:
            os._exit(1)
        return "survived"

    def fail_unless(self, tally, enough, error=ValueError):
        if tally.add() < enough:
            raise error("not yet")
        return "succeeded"

    def wait(self, gate):
        return gate.wait(60)

    def restarted(self):
        return ray.get_runtime_context().was_current_actor_reconstructed


def _died(ref, kind=ActorDiedError):
    with pytest.raises(kind) as caught:
        ray.get(ref)
    return caught.value


def _usable_again(actor):
    """Wait until a restarting actor takes calls."""

    def try_it():
        try:
            return ray.get(actor.pid.remote())
        except ActorUnavailableError:
            return None

    return wait_until(try_it)


# --- death ---


def test_a_crash_ends_the_actor_and_its_calls():
    actor = Fragile.remote()
    error = _died(actor.crash.remote())
    assert isinstance(error, RayActorError)
    assert not error.actor_init_failed
    assert error.actor_id == actor._actor_id.hex()
    assert not isinstance(error, RayTaskError)
    _died(actor.add.remote())


def test_the_error_tells_who_died():
    actor = Fragile.options(name="who_died").remote()
    pid = ray.get(actor.pid.remote())
    text = str(_died(actor.crash.remote()))
    assert "Fragile" in text
    assert actor._actor_id.hex() in text
    assert str(pid) in text
    assert "who_died" in text


def test_a_kill_from_outside_is_noticed(gate):
    actor = Fragile.remote()
    pid = ray.get(actor.pid.remote())
    pending = actor.wait.remote(gate)
    os.kill(pid, signal.SIGKILL)
    _died(pending)
    _died(actor.add.remote())


def test_results_of_before_the_death_stay():
    actor = Fragile.remote()
    ref = actor.add.remote()
    assert ray.get(ref) == 1
    _died(actor.crash.remote())
    assert ray.get(ref) == 1


def test_a_dead_actor_fails_the_tasks_that_need_its_results():
    @ray.remote
    def use(value):
        return value

    actor = Fragile.remote()
    ref = use.remote(actor.crash.remote())
    with pytest.raises(RayActorError):
        ray.get(ref)


def test_wait_counts_the_calls_of_a_dead_actor_as_ready():
    actor = Fragile.remote()
    refs = [actor.crash.remote(), actor.add.remote()]
    assert ray.wait(refs, num_returns=2, timeout=30) == (refs, [])


def test_the_error_of_a_dead_actor_survives_pickling():
    error = _died(Fragile.remote().crash.remote())
    back = ray.cloudpickle.loads(ray.cloudpickle.dumps(error))
    assert type(back) is ActorDiedError
    assert back.actor_id == error.actor_id
    assert str(back) == str(error)


def test_tasks_see_that_an_actor_is_dead():
    @ray.remote
    def use(handle):
        try:
            return ray.get(handle.add.remote())
        except ActorDiedError:
            return "dead"

    actor = Fragile.remote()
    _died(actor.crash.remote())
    assert ray.get(use.remote(actor)) == "dead"


# --- constructors ---


def test_a_constructor_that_raises_kills_the_actor():
    @ray.remote
    class Unborn:
        def __init__(self):
            raise KeyError("in the constructor")

        def hello(self):
            return "hello"

    unborn = Unborn.remote()
    error = _died(unborn.hello.remote())
    assert error.actor_init_failed
    assert "in the constructor" in str(error)
    assert "KeyError" in str(error)
    _died(unborn.hello.remote())
    _died(unborn.__ray_ready__.remote())


def test_a_constructor_that_raises_is_not_tried_again(tally):
    @ray.remote(max_restarts=5)
    class Unborn:
        def __init__(self):
            tally.add()
            raise KeyError("in the constructor")

        def hello(self):
            return "hello"

    _died(Unborn.remote().hello.remote())
    assert tally.count() == 1


def test_a_constructor_whose_argument_failed_kills_the_actor():
    @ray.remote
    def fail():
        raise ValueError("argument")

    error = _died(Fragile.remote(fail.remote()).add.remote(), RayActorError)
    assert "argument" in str(error)


def test_a_constructor_that_crashes_kills_the_actor():
    @ray.remote
    class Unborn:
        def __init__(self):
            os._exit(1)

        def hello(self):
            return "hello"

    _died(Unborn.remote().hello.remote())


def test_a_class_that_cannot_be_pickled_is_refused_at_once():
    import threading

    lock = threading.Lock()

    @ray.remote
    class Locked:
        def read(self):
            return lock

    with pytest.raises(TypeError):
        Locked.remote()


# --- restarts ---


def test_an_actor_restarts_with_its_arguments_and_without_its_state(tally):
    actor = Fragile.options(max_restarts=1).remote(tally)
    assert ray.get([actor.add.remote(), actor.add.remote()]) == [1, 2]
    pid = ray.get(actor.pid.remote())
    with pytest.raises(RayActorError):
        ray.get(actor.crash.remote())
    assert _usable_again(actor) != pid
    assert ray.get(actor.add.remote()) == 1
    assert ray.get(actor.restarted.remote()) is True
    assert tally.count() == 2


def test_an_actor_that_never_died_was_not_reconstructed():
    assert ray.get(Fragile.options(max_restarts=1).remote().restarted.remote()) is False


def test_a_call_in_flight_is_unavailable_when_the_actor_restarts():
    actor = Fragile.options(max_restarts=-1).remote()
    ray.get(actor.pid.remote())
    error = _died(actor.crash.remote(), ActorUnavailableError)
    assert isinstance(error, RayActorError)
    _usable_again(actor)


def test_a_call_that_was_cancelled_is_so_also_when_the_actor_is_lost(gate):
    actor = Fragile.options(max_restarts=-1, max_task_retries=-1).remote()
    pid = ray.get(actor.pid.remote())
    os.kill(pid, signal.SIGSTOP)
    calls = [actor.wait.remote(gate) for _ in range(3)]
    for call in calls:
        ray.cancel(call)
    os.kill(pid, signal.SIGKILL)
    for call in calls:
        _died(call, TaskCancelledError)


def test_the_restarts_are_counted():
    actor = Fragile.options(max_restarts=2).remote()
    for _ in range(2):
        ray.get(actor.pid.remote())
        _died(actor.crash.remote(), ActorUnavailableError)
        _usable_again(actor)
    _died(actor.crash.remote(), ActorDiedError)
    _died(actor.add.remote())


def test_kill_may_let_the_actor_restart():
    actor = Fragile.options(max_restarts=1).remote()
    pid = ray.get(actor.pid.remote())
    ray.kill(actor, no_restart=False)
    wait_until(lambda: not is_alive(pid))
    assert _usable_again(actor) != pid
    ray.kill(actor, no_restart=False)

    def dead():
        try:
            ray.get(actor.add.remote())
        except ActorDiedError:
            return True
        except ActorUnavailableError:
            return False

    wait_until(dead)


def test_kill_ends_an_actor_that_may_restart():
    actor = Fragile.options(max_restarts=-1).remote()
    ray.get(actor.pid.remote())
    ray.kill(actor)
    wait_until(lambda: _is_dead(actor))


def _is_dead(actor):
    try:
        ray.get(actor.add.remote())
    except ActorDiedError:
        return True
    except ActorUnavailableError:
        return False
    return False


def test_an_actor_that_exits_by_intent_does_not_restart():
    @ray.remote(max_restarts=-1)
    class Leaver:
        def leave(self):
            ray.actor.exit_actor()

        def hello(self):
            return "hello"

    leaver = Leaver.remote()
    _died(leaver.leave.remote())
    _died(leaver.hello.remote())


class Tidy:
    def __init__(self, log):
        self.log = log

    def note(self, word):
        with open(self.log, "a") as file:
            file.write(f"{word} ")

    def __ray_shutdown__(self):
        self.note("tidied")

    def __del__(self):
        self.note("deleted")

    def leave(self):
        ray.actor.exit_actor()


class AsyncTidy(Tidy):
    async def leave(self):
        ray.actor.exit_actor()


@pytest.mark.parametrize("cls", [Tidy, AsyncTidy])
@pytest.mark.parametrize("way", ["leave", "__ray_terminate__", "out of scope", "killed"])
def test_an_actor_that_ends_by_intent_tidies_up(cls, way, tmp_path):
    log = tmp_path / "log"
    actor = ray.remote(cls).remote(str(log))
    pid = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
    if way == "killed":
        ray.kill(actor)
    elif way == "out of scope":
        del actor
    else:
        _died(getattr(actor, way).remote())
    wait_until(lambda: not is_alive(pid))
    assert (log.read_text() if log.exists() else "") == ("" if way == "killed" else "tidied deleted ")


def test_sys_exit_with_status_0_is_meant():
    @ray.remote(max_restarts=-1)
    class Leaver:
        def leave(self):
            sys.exit(0)

    leaver = Leaver.remote()
    with pytest.raises(ActorDiedError, match=r"INTENDED_USER_EXIT .*exits with an exit code 0\.$"):
        ray.get(leaver.leave.remote())
    _died(leaver.leave.remote())


def test_sys_exit_with_another_status_counts_as_a_failure():
    @ray.remote(max_restarts=1)
    class Leaver:
        def leave(self):
            sys.exit(1)

        def pid(self):
            return os.getpid()

    leaver = Leaver.remote()
    pid = ray.get(leaver.pid.remote())
    with pytest.raises(RayActorError):
        ray.get(leaver.leave.remote())
    assert _usable_again(leaver) != pid


# --- calls that are retried ---


def test_a_call_is_retried_when_the_actor_restarts(tally):
    actor = Fragile.options(max_restarts=-1, max_task_retries=-1).remote()
    assert ray.get(actor.crash_unless.remote(tally, 3)) == "survived"
    assert tally.count() == 3


def test_the_retries_of_a_call_are_counted(tally):
    actor = Fragile.options(max_restarts=-1, max_task_retries=1).remote()
    with pytest.raises(RayActorError):
        ray.get(actor.crash_unless.remote(tally, 5))
    assert tally.count() == 2


def test_queued_calls_survive_a_restart(gate):
    actor = Fragile.options(max_restarts=1, max_task_retries=3).remote()
    pid = ray.get(actor.pid.remote())
    refs = [actor.wait.remote(gate), *[actor.add.remote() for _ in range(5)]]
    os.kill(pid, signal.SIGKILL)
    gate.open()
    passed, *numbers = ray.get(refs)
    assert passed == "passed"
    assert sorted(numbers) == [1, 2, 3, 4, 5]  # retries keep no order


def test_a_method_may_have_its_own_retries(tally):
    @ray.remote(max_restarts=-1)
    class Own:
        @ray.method(max_task_retries=-1)
        def retried(self, tally):
            if tally.add() < 3:
                os._exit(1)
            return "done"

        def not_retried(self):
            os._exit(1)

    own = Own.remote()
    assert ray.get(own.retried.remote(tally)) == "done"
    with pytest.raises(RayActorError):
        ray.get(own.not_retried.remote())


def test_a_call_may_have_its_own_retries(tally):
    actor = Fragile.options(max_restarts=-1).remote()
    assert ray.get(actor.crash_unless.options(max_task_retries=5).remote(tally, 3)) == "survived"


def test_user_errors_of_methods_are_retried_on_request(tally):
    actor = Fragile.options(max_task_retries=5).remote()
    assert ray.get(actor.fail_unless.options(retry_exceptions=True).remote(tally, 3)) == "succeeded"
    assert tally.count() == 3


def test_user_errors_of_methods_are_not_retried_by_default(tally):
    actor = Fragile.options(max_task_retries=5).remote()
    with pytest.raises(ValueError):
        ray.get(actor.fail_unless.remote(tally, 3))
    assert tally.count() == 1


def test_only_listed_errors_of_methods_are_retried(tally):
    actor = Fragile.options(max_task_retries=5).remote()
    with pytest.raises(ValueError):
        ray.get(actor.fail_unless.options(retry_exceptions=[KeyError]).remote(tally, 3))
    assert tally.count() == 1
    assert ray.get(actor.fail_unless.options(retry_exceptions=[ValueError]).remote(tally, 3)) == "succeeded"


def test_retries_of_user_errors_end_with_the_error(tally):
    actor = Fragile.options(max_task_retries=2).remote()
    with pytest.raises(ValueError):
        ray.get(actor.fail_unless.options(retry_exceptions=True).remote(tally, 10))
    assert tally.count() == 3


def test_user_errors_of_async_methods_are_retried(tally):
    @ray.remote(max_task_retries=3)
    class Async:
        @ray.method(retry_exceptions=[KeyError])
        async def work(self, tally):
            if tally.add() < 3:
                raise KeyError("again")
            return "done"

    assert ray.get(Async.remote().work.remote(tally)) == "done"


# --- owners ---


def test_actors_end_with_the_worker_that_made_them():
    @ray.remote
    class Parent:
        def make(self):
            self.child = Fragile.remote()
            return self.child, ray.get(self.child.pid.remote())

        def crash(self):
            os._exit(1)

    parent = Parent.remote()
    child, pid = ray.get(parent.make.remote())
    assert ray.get(child.pid.remote()) == pid
    _died(parent.crash.remote())
    wait_until(lambda: not is_alive(pid))
    _died(child.add.remote())


def test_a_detached_actor_outlives_the_worker_that_made_it():
    @ray.remote
    class Parent:
        def make(self):
            child = Fragile.options(name="outlives", lifetime="detached").remote()
            return ray.get(child.pid.remote())

        def crash(self):
            os._exit(1)

    parent = Parent.remote()
    pid = ray.get(parent.make.remote())
    _died(parent.crash.remote())
    child = ray.get_actor("outlives")
    assert ray.get(child.pid.remote()) == pid
    ray.kill(child)
