"""Actors: classes, handles, methods, options, order, life (docs: "Actors")."""

import gc
import os

import numpy as np
import pytest
from helpers import Signal, is_alive, wait_until

import ray
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError, TaskCancelledError

pytestmark = pytest.mark.usefixtures("shared_ray")
CLUSTER = {"num_cpus": 8}


@ray.remote
class Counter:
    """Counts."""

    def __init__(self, start=0, *, step=1):
        self.value = start
        self.step = step

    def add(self, by=None):
        self.value += self.step if by is None else by
        return self.value

    def read(self):
        return self.value

    def pid(self):
        return os.getpid()

    def fail(self):
        raise ValueError("of the method")

    @ray.method(num_returns=2)
    def pair(self):
        return 1, 2


@ray.remote
def call(handle, *args):
    return ray.get(handle.add.remote(*args))


# --- classes and instances ---


def test_state_stays_between_calls():
    counter = Counter.remote(10, step=2)
    assert ray.get([counter.add.remote(), counter.add.remote(5), counter.read.remote()]) == [12, 17, 17]


def test_each_actor_has_its_own_process_and_state():
    one, two = Counter.remote(), Counter.remote()
    ray.get([one.add.remote(), one.add.remote()])
    assert ray.get(two.read.remote()) == 0
    pids = ray.get([one.pid.remote(), two.pid.remote()])
    assert len({*pids, os.getpid()}) == 3


def test_an_actor_needs_no_constructor():
    @ray.remote
    class Plain:
        def hello(self):
            return "hello"

    assert ray.get(Plain.remote().hello.remote()) == "hello"


def test_the_class_may_be_wrapped_by_a_call():
    class Plain:
        def __init__(self, value):
            self.value = value

        def read(self):
            return self.value

    assert ray.get(ray.remote(Plain).remote(1).read.remote()) == 1
    assert ray.get(ray.remote(num_cpus=1)(Plain).remote(2).read.remote()) == 2
    assert Plain(3).read() == 3


def test_inherited_and_special_methods_are_remote():
    class Base:
        def base(self):
            return "base"

        def both(self):
            return "base"

    @ray.remote
    class Child(Base):
        def both(self):
            return super().both() + " and child"

        def __len__(self):
            return 7

        @classmethod
        def of_class(cls):
            return cls.__name__

        @staticmethod
        def static(a):
            return a + 1

    child = Child.remote()
    assert ray.get([child.base.remote(), child.both.remote(), child.static.remote(1)]) == ["base", "base and child", 2]
    assert ray.get(child.of_class.remote()) == "Child"
    assert ray.get(child.__len__.remote()) == 7


def test_an_actor_class_is_neither_instantiated_nor_derived_from():
    with pytest.raises(TypeError, match="cannot be instantiated directly"):
        Counter()
    with pytest.raises(TypeError):

        class Derived(Counter):
            pass


def test_the_class_inside_is_reachable():
    modified = Counter.__ray_metadata__.modified_class
    assert modified.__name__ == "Counter"
    instance = modified(5)
    assert instance.add() == 6


def test_class_attributes_and_properties_are_the_actors():
    @ray.remote
    class Shelf:
        items = [1, 2]

        def count(self):
            return len(self.items)

        def push(self, item):
            type(self).items.append(item)
            return len(self.items)

    one, two = Shelf.remote(), Shelf.remote()
    assert ray.get(one.push.remote(3)) == 3
    assert ray.get(two.count.remote()) == 2


def test_the_arguments_of_the_constructor_are_checked_by_the_caller():
    for make in (lambda: Counter.remote(1, 2), lambda: Counter.remote(bogus=1)):
        with pytest.raises(TypeError):
            make()


def test_refs_are_arguments_of_the_constructor():
    counter = Counter.remote(ray.put(40), step=ray.put(2))
    assert ray.get(counter.add.remote()) == 42


def test_large_arguments_and_results_go_through():
    @ray.remote
    class Holder:
        def __init__(self, array):
            self.array = array

        def total(self, other):
            return float(self.array.sum() + other.sum())

        def get(self):
            return self.array

    holder = Holder.remote(np.ones(1 << 20))
    assert ray.get(holder.total.remote(np.ones(1 << 20))) == 2 * (1 << 20)
    assert ray.get(holder.get.remote()).sum() == 1 << 20


def test_classes_defined_in_functions_capture_their_surroundings():
    secret = {"key": 41}

    @ray.remote
    class Keeper:
        def read(self):
            return secret["key"] + 1

    assert ray.get(Keeper.remote().read.remote()) == 42


# --- options of the class ---

BAD_OPTIONS = [
    ({"no_such_option": 1}, ValueError),
    ({"num_cpus": -1}, ValueError),
    ({"num_cpus": "1"}, TypeError),
    ({"max_restarts": -2}, ValueError),
    ({"max_restarts": "1"}, TypeError),
    ({"max_task_retries": -2}, ValueError),
    ({"max_concurrency": -1}, ValueError),
    ({"max_concurrency": "1"}, TypeError),
    ({"max_pending_calls": -2}, ValueError),
    ({"lifetime": "forever"}, ValueError),
    ({"lifetime": 5}, (ValueError, TypeError)),
    ({"name": ""}, ValueError),
    ({"name": 5}, TypeError),
    ({"namespace": ""}, ValueError),
    ({"namespace": 5}, TypeError),
    ({"get_if_exists": True}, ValueError),
    ({"max_calls": 1}, ValueError),
    ({"max_retries": 1}, ValueError),
    ({"num_returns": 1}, ValueError),
    ({"retry_exceptions": True}, ValueError),
    ({"resources": {"CPU": 1}}, ValueError),
    ({"scheduling_strategy": 5}, TypeError),
    ({"scheduling_strategy": "RANDOM"}, ValueError),
    ({"runtime_env": 5}, TypeError),
]


class Plain:
    def read(self):
        return "read"


@pytest.mark.parametrize(("options", "error"), BAD_OPTIONS, ids=[str(options) for options, _ in BAD_OPTIONS])
def test_bad_options_are_refused_by_decorator_and_options(options, error):
    with pytest.raises(error):
        ray.remote(**options)(Plain).remote()
    with pytest.raises(error):
        ray.remote(Plain).options(**options).remote()


def test_concurrency_groups_belong_to_the_decorator():
    with pytest.raises(ValueError):
        ray.remote(Plain).options(concurrency_groups={"io": 2}).remote()


def test_options_leave_the_class_as_it_was():
    named = Counter.options(name="options_leave_the_class")
    actor = named.remote()
    ray.get(actor.read.remote())
    assert ray.get(Counter.remote().read.remote()) == 0
    with pytest.raises(ValueError):
        named.remote()


def test_internal_remote_takes_arguments_and_options():
    counter = Counter._remote(args=[3], kwargs={"step": 4}, num_cpus=0)
    assert ray.get(counter.add.remote()) == 7


# --- handles ---


def test_a_method_is_called_through_remote_only():
    counter = Counter.remote()
    with pytest.raises(TypeError):
        counter.read()
    with pytest.raises(AttributeError):
        counter.no_such_method  # noqa: B018
    with pytest.raises(AttributeError):
        counter.value  # noqa: B018


def test_a_methods_arguments_are_checked_by_the_caller():
    counter = Counter.remote()
    for submit in (lambda: counter.read.remote(1), lambda: counter.add.remote(bogus=1)):
        with pytest.raises(TypeError):
            submit()


def test_a_handle_lists_its_methods_and_names_its_class():
    counter = Counter.remote()
    assert {"add", "read", "fail", "pair"} <= set(dir(counter))
    assert repr(counter) == f"Actor(Counter, {counter._actor_id.hex()})"
    assert len(counter._actor_id.binary()) == 16
    assert counter._ray_actor_id == counter._actor_id


def test_handles_are_equal_by_their_actor():
    counter = Counter.remote()
    same = ray.get(ray.put([counter]))[0]
    assert same == counter
    assert len({same, counter}) == 1
    assert counter != Counter.remote()


def test_methods_have_options():
    counter = Counter.remote()
    assert ray.get(counter.pair.remote()) == [1, 2]
    assert ray.get(counter.pair.options(num_returns=1).remote()) == (1, 2)
    assert counter.add.options(num_returns=0).remote(5) is None
    assert ray.get(counter.read.remote()) == 5
    with pytest.raises((TypeError, ValueError)):
        counter.add.options(no_such_option=1).remote()


def test_the_method_decorator_knows_its_options():
    with pytest.raises(AssertionError):
        ray.method(no_such_option=1)

    @ray.remote
    class Several:
        @ray.method(num_returns=3)
        def three(self):
            return 1, 2, 3

        @ray.method
        def bare(self):
            return "bare"

    several = Several.remote()
    assert ray.get(several.three.remote()) == [1, 2, 3]
    assert ray.get(several.bare.remote()) == "bare"


def test_a_handle_is_passed_to_tasks_and_actors():
    counter = Counter.remote()
    assert ray.get([call.remote(counter), call.remote(counter)]) in ([1, 2], [2, 1])

    @ray.remote
    class Caller:
        def __init__(self, handles):
            self.handle = handles["counter"]

        def call(self):
            return ray.get(self.handle.add.remote(10))

    assert ray.get(Caller.remote({"counter": counter}).call.remote()) == 12


def test_a_handle_is_returned_by_tasks_and_put():
    @ray.remote
    def make():
        return Counter.remote(5)

    counter = ray.get(make.remote())
    assert ray.get(counter.add.remote()) == 6
    assert ray.get(ray.get(ray.put(counter)).add.remote()) == 7


def test_a_bound_method_is_an_argument():
    @ray.remote
    def apply(method):
        return ray.get(method.remote(3))

    counter = Counter.remote()
    assert ray.get(apply.remote(counter.add)) == 3


def test_an_actor_passes_itself_on():
    @ray.remote
    class Own:
        def me(self):
            return ray.get_runtime_context().current_actor

        def number(self):
            return 8

    own = Own.remote()
    me = ray.get(own.me.remote())
    assert me == own
    assert ray.get(me.number.remote()) == 8


def test_actors_make_actors():
    @ray.remote
    class Parent:
        def __init__(self):
            self.children = [Counter.remote(n) for n in range(2)]

        def read(self):
            return ray.get([child.read.remote() for child in self.children])

    assert ray.get(Parent.remote().read.remote()) == [0, 1]


# --- order and arguments ---


def test_calls_of_one_caller_run_in_their_order():
    @ray.remote
    class Log:
        def __init__(self):
            self.seen = []

        def add(self, item):
            self.seen.append(item)

        def read(self):
            return self.seen

    log = Log.remote()
    for number in range(200):
        log.add.remote(number)
    assert ray.get(log.read.remote()) == list(range(200))


def test_a_call_waits_for_the_arguments_of_the_one_before(gate):
    @ray.remote
    def slow():
        gate.wait()
        return 100

    counter = Counter.remote()
    first, second = counter.add.remote(slow.remote()), counter.add.remote(1)
    assert ray.wait([second], timeout=0.2) == ([], [second])
    gate.open()
    assert ray.get([first, second]) == [100, 101]


def test_calls_run_one_at_a_time(gate, tally):
    @ray.remote
    class Slow:
        def enter(self):
            count = tally.add()
            if count == 1:
                gate.wait()
            return count

    slow = Slow.remote()
    refs = [slow.enter.remote() for _ in range(3)]
    wait_until(lambda: tally.count() == 1)
    assert ray.wait(refs, timeout=0.2) == ([], refs)
    assert tally.count() == 1
    gate.open()
    assert ray.get(refs) == [1, 2, 3]


def test_refs_inside_containers_stay_refs():
    @ray.remote
    class Kinds:
        def kinds(self, values, top):
            return type(values[0]).__name__, top

    assert ray.get(Kinds.remote().kinds.remote([ray.put(1)], ray.put(2))) == ("ObjectRef", 2)


def test_results_of_one_actor_are_arguments_of_another():
    one, two = Counter.remote(), Counter.remote()
    assert ray.get(two.add.remote(one.add.remote(5))) == 5


def test_many_calls_to_many_actors():
    counters = [Counter.options(num_cpus=0).remote() for _ in range(4)]
    assert sum(ray.get([counter.add.remote() for _ in range(50) for counter in counters])) == 4 * sum(range(1, 51))


def test_errors_of_methods_leave_the_actor_alive():
    counter = Counter.remote()
    with pytest.raises(ValueError) as caught:
        ray.get(counter.fail.remote())
    assert isinstance(caught.value, RayTaskError)
    assert not isinstance(caught.value, RayActorError)
    assert ray.get(counter.add.remote()) == 1


def test_a_failed_argument_fails_the_call_only():
    @ray.remote
    def fail():
        raise KeyError("argument")

    counter = Counter.remote()
    with pytest.raises(KeyError):
        ray.get(counter.add.remote(fail.remote()))
    assert ray.get(counter.add.remote()) == 1


def test_the_repr_of_the_class_is_in_the_errors():
    @ray.remote
    class Named:
        def __repr__(self):
            return "MyOwnName"

        def fail(self):
            raise ValueError("x")

    with pytest.raises(ValueError, match="MyOwnName"):
        ray.get(Named.remote().fail.remote())


# --- built-in methods ---


def test_every_actor_says_when_it_is_ready():
    counter = Counter.remote()
    assert ray.get(counter.__ray_ready__.remote()) is True


def test_every_actor_runs_a_function_on_its_instance():
    counter = Counter.remote(5)
    assert ray.get(counter.__ray_call__.remote(lambda self, by: self.value * by, 3)) == 15


def test_terminate_is_queued_behind_the_calls(tmp_path):
    mark = tmp_path / "left"

    @ray.remote
    class Leaver:
        def __init__(self):
            import atexit

            atexit.register(mark.touch)

        def work(self):
            return "worked"

    leaver = Leaver.remote()
    work = leaver.work.remote()
    leaver.__ray_terminate__.remote()
    assert ray.get(work) == "worked"
    wait_until(mark.exists)
    with pytest.raises(RayActorError):
        ray.get(leaver.work.remote())


# --- life ---


def test_an_actor_ends_when_its_last_handle_goes():
    counter = Counter.remote()
    pid = ray.get(counter.pid.remote())
    assert is_alive(pid)
    del counter
    gc.collect()
    wait_until(lambda: not is_alive(pid))


def test_pending_calls_finish_before_an_actor_without_handles_ends(gate, tally):
    @ray.remote
    class Slow:
        def work(self):
            gate.wait()
            tally.add()
            return "worked"

    slow = Slow.remote()
    refs = [slow.work.remote() for _ in range(3)]
    del slow
    gc.collect()
    gate.open()
    assert ray.get(refs) == ["worked"] * 3
    assert tally.count() == 3


def test_a_call_on_a_temporary_handle_runs():
    assert ray.get(Counter.remote().add.remote()) == 1


def test_a_handle_held_by_another_actor_keeps_it_alive():
    @ray.remote
    class Keeper:
        def keep(self, handles):
            self.handle = handles[0]

        def use(self):
            return ray.get(self.handle.add.remote())

    keeper, counter = Keeper.remote(), Counter.remote()
    ray.get(keeper.keep.remote([counter]))
    del counter
    gc.collect()
    assert ray.get([keeper.use.remote(), keeper.use.remote()]) == [1, 2]


def test_a_handle_inside_an_object_keeps_its_actor_alive():
    ref = ray.put({"counter": Counter.remote()})
    gc.collect()
    assert ray.get(ray.get(ref)["counter"].add.remote()) == 1


def test_kill_ends_an_actor_and_its_calls(gate):
    @ray.remote
    class Slow:
        def pid(self):
            return os.getpid()

        def work(self):
            gate.wait(60)

    slow = Slow.remote()
    pid = ray.get(slow.pid.remote())
    pending = [slow.work.remote(), slow.work.remote()]
    ray.kill(slow)
    for ref in pending:
        with pytest.raises(ActorDiedError):
            ray.get(ref)
    wait_until(lambda: not is_alive(pid))
    with pytest.raises(ActorDiedError):
        ray.get(slow.pid.remote())


def test_kill_is_for_actors_and_may_be_repeated():
    with pytest.raises(ValueError):
        ray.kill(ray.put(1))
    with pytest.raises(ValueError):
        ray.kill("counter")
    counter = Counter.remote()
    ray.get(counter.read.remote())
    ray.kill(counter)
    ray.kill(counter)


def test_an_actor_killed_before_it_started_is_dead():
    counter = Counter.remote()
    ray.kill(counter)
    with pytest.raises(RayActorError):
        ray.get(counter.read.remote())


def test_exit_actor_ends_it_from_inside(tmp_path):
    mark = tmp_path / "left"

    @ray.remote(max_restarts=3)
    class Leaver:
        def pid(self):
            return os.getpid()

        def leave(self):
            import atexit

            atexit.register(mark.touch)
            ray.actor.exit_actor()
            return "not reached"

    leaver = Leaver.remote()
    pid = ray.get(leaver.pid.remote())
    with pytest.raises(ActorDiedError):
        ray.get(leaver.leave.remote())
    wait_until(lambda: not is_alive(pid))
    assert mark.exists()
    with pytest.raises(ActorDiedError):
        ray.get(leaver.pid.remote())


def test_exit_actor_is_for_actors():
    with pytest.raises(TypeError):
        ray.actor.exit_actor()

    @ray.remote
    def leave():
        ray.actor.exit_actor()

    with pytest.raises(TypeError):
        ray.get(leave.remote())


def test_sys_exit_in_a_method_ends_the_actor():
    @ray.remote
    class Leaver:
        def leave(self):
            import sys

            sys.exit(0)

    leaver = Leaver.remote()
    with pytest.raises(RayActorError):
        ray.get(leaver.leave.remote())


# --- resources of actors ---


def _cpus_free():
    return ray.available_resources().get("CPU", 0)


def test_an_actor_without_options_holds_no_cpu():
    wait_until(lambda: _cpus_free() == 8)
    counters = [Counter.remote() for _ in range(9)]
    assert ray.get([counter.add.remote() for counter in counters]) == [1] * 9
    wait_until(lambda: _cpus_free() == 8)


def test_an_actor_with_cpus_holds_them_until_it_ends():
    wait_until(lambda: _cpus_free() == 8)
    counter = Counter.options(num_cpus=3).remote()
    ray.get(counter.read.remote())
    wait_until(lambda: _cpus_free() == 5)
    ray.kill(counter)
    wait_until(lambda: _cpus_free() == 8)


def test_an_actor_that_does_not_fit_waits_for_room():
    wait_until(lambda: _cpus_free() == 8)
    first = Counter.options(num_cpus=8).remote()
    ray.get(first.read.remote())
    second = Counter.options(num_cpus=8).remote()
    ref = second.add.remote()
    assert ray.wait([ref], timeout=0.3) == ([], [ref])
    ray.kill(first)
    assert ray.get(ref) == 1


# --- calls that are cancelled ---


def test_a_queued_call_is_cancelled(gate, tally):
    @ray.remote
    class Slow:
        def work(self):
            tally.add()
            gate.wait()
            return "worked"

    slow = Slow.remote()
    running, queued = slow.work.remote(), slow.work.remote()
    wait_until(lambda: tally.count() == 1)
    ray.cancel(queued)
    gate.open()
    with pytest.raises(TaskCancelledError):
        ray.get(queued)
    assert ray.get(running) == "worked"


def test_a_call_of_an_actor_is_not_cancelled_by_force():
    counter = Counter.remote()
    with pytest.raises(ValueError):
        ray.cancel(counter.add.remote(), force=True)


def test_a_running_sync_call_is_told_and_ends_by_itself(gate, tally):
    @ray.remote
    class Patient:
        def work(self):
            tally.add()
            gate.wait()
            return ray.get_runtime_context().is_canceled()

        def after(self):
            return "after"

    patient = Patient.remote()
    ref = patient.work.remote()
    wait_until(lambda: tally.count() == 1)
    ray.cancel(ref)
    gate.open()
    with pytest.raises(TaskCancelledError):
        ray.get(ref)
    assert ray.get(patient.after.remote()) == "after"


def test_a_signal_is_sent_between_tasks():
    signal = Signal.remote()

    @ray.remote
    def wait(handles):
        ray.get(handles[0].wait.remote())
        return "signalled"

    refs = [wait.remote([signal]) for _ in range(3)]
    wait_until(lambda: ray.get(signal.waiting.remote()) == 3)
    assert ray.wait(refs, timeout=0) == ([], refs)
    ray.get(signal.send.remote())
    assert ray.get(refs) == ["signalled"] * 3
