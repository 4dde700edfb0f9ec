"""Who keeps an object alive: borrowing through tasks and actors (docs: "Objects", "Nested references")."""

import gc
import os
import threading

import numpy as np
import pytest
from helpers import wait_until

import ray
from ray._private.auto_init_hook import connected_core
from ray.exceptions import ObjectLostError, RayActorError, RayError

pytestmark = pytest.mark.usefixtures("shared_ray")
CLUSTER = {"num_cpus": 4, "object_store_memory": 200 << 20}
MIB = 1 << 20


@ray.remote
def read(refs):
    return ray.get(refs[0])[0]


@ray.remote
def make(number, size=MIB):
    return np.full(size, number, np.uint8)


@ray.remote
class Keeper:
    def __init__(self, refs=()):
        self.refs = list(refs)

    def keep(self, refs):
        self.refs += refs

    def read(self):
        return [int(ray.get(ref)[0]) for ref in self.refs]

    def give(self):
        return self.refs

    def drop(self):
        self.refs = []


def _room_for(size):
    """Whether an object of this size fits into the store: shows what is still held."""
    try:
        ref = ray.put(np.zeros(size, np.uint8))
    except RayError:
        return False
    del ref
    return True


def test_a_task_may_keep_a_ref_that_the_driver_drops(gate):
    @ray.remote
    def late(refs):
        gate.wait()
        return ray.get(refs[0])[0]

    ref = ray.put(np.full(MIB, 5, np.uint8))
    result = late.remote([ref])
    del ref
    gc.collect()
    gate.open()
    assert ray.get(result) == 5


def test_a_result_may_be_borrowed_before_it_exists(gate):
    @ray.remote
    def slow():
        gate.wait()
        return np.full(MIB, 6, np.uint8)

    keeper = Keeper.remote()
    ref = slow.remote()
    ray.get(keeper.keep.remote([ref]))
    del ref
    gc.collect()
    gate.open()
    assert ray.get(keeper.read.remote()) == [6]


def test_an_argument_that_is_pending_is_kept():
    ref = read.remote([make.remote(7)])
    gc.collect()
    assert ray.get(ref) == 7


def test_a_constructors_refs_are_kept():
    keeper = Keeper.remote([ray.put(np.full(MIB, 8, np.uint8))])
    gc.collect()
    assert ray.get(keeper.read.remote()) == [8]


def test_refs_go_from_actor_to_actor():
    one, two = Keeper.remote(), Keeper.remote()
    ray.get(one.keep.remote([ray.put(np.full(MIB, 9, np.uint8))]))
    ray.get(two.keep.remote(ray.get(one.give.remote())))
    ray.get(one.drop.remote())
    ray.kill(one)
    gc.collect()
    assert ray.get(two.read.remote()) == [9]


def test_refs_inside_refs_inside_refs():
    inner = ray.put(np.full(MIB, 10, np.uint8))
    outer = ray.put([ray.put([inner])])
    del inner
    gc.collect()

    @ray.remote
    def dig(refs):
        return ray.get(ray.get(ray.get(refs[0])[0])[0])[0]

    assert ray.get(dig.remote([outer])) == 10


def test_a_task_returns_the_ref_it_was_given():
    @ray.remote
    def back(refs):
        return refs

    ref = ray.put(np.full(MIB, 11, np.uint8))
    (same,) = ray.get(back.remote([ref]))
    assert same == ref
    del ref
    gc.collect()
    assert ray.get(same)[0] == 11


def test_a_ref_made_by_a_task_outlives_the_task():
    @ray.remote
    def put(number):
        return [ray.put(np.full(MIB, number, np.uint8))]

    (ref,) = ray.get(put.remote(12))
    assert ray.get(ref)[0] == 12
    assert ray.get(read.remote([ref])) == 12


def test_a_chain_of_owners_keeps_the_value():
    @ray.remote
    def nest(depth):
        return [make.remote(13)] if depth == 0 else ray.get(nest.remote(depth - 1))

    (ref,) = ray.get(nest.remote(3))
    assert ray.get(ref)[0] == 13


def test_dropped_objects_leave_room_for_others():
    for number in range(6):
        ref = ray.put(np.full(100 * MIB, number, np.uint8))
        assert ray.get(ref)[0] == number
        del ref


def test_dropped_results_leave_room_for_others():
    for number in range(6):
        assert ray.get(make.remote(number, 80 * MIB))[0] == number


def test_dropped_arguments_leave_room_for_others():
    size = ray.remote(lambda array: len(array))
    for _ in range(6):
        assert ray.get(size.remote(np.zeros(80 * MIB, np.uint8))) == 80 * MIB


def test_room_comes_back_when_a_borrower_dies():
    keeper = Keeper.remote()
    ray.get(keeper.keep.remote([ray.put(np.zeros(120 * MIB, np.uint8))]))
    gc.collect()
    ray.kill(keeper)
    wait_until(lambda: _room_for(150 * MIB))


def test_room_comes_back_when_a_borrower_drops():
    keeper = Keeper.remote()
    ray.get(keeper.keep.remote([ray.put(np.zeros(120 * MIB, np.uint8))]))
    gc.collect()
    ray.get(keeper.drop.remote())
    wait_until(lambda: _room_for(150 * MIB))


def test_room_comes_back_after_a_failed_task():
    @ray.remote
    def fail(array):
        raise ValueError("x")

    for _ in range(5):
        with pytest.raises(ValueError):
            ray.get(fail.remote(np.zeros(80 * MIB, np.uint8)))


def test_a_ref_caught_in_a_cycle_is_freed_by_the_collector():
    class Node:
        pass

    for _ in range(4):
        node = Node()
        node.me = node
        node.ref = ray.put(np.zeros(100 * MIB, np.uint8))
        del node
        gc.collect()


def test_a_value_lives_as_long_as_a_view_of_it():
    array = ray.get(ray.put(np.full(50 * MIB, 14, np.uint8)))[10:20]
    gc.collect()
    for _ in range(6):
        ray.put(np.zeros(50 * MIB, np.uint8))
    assert (array == 14).all()


def test_arguments_are_views_for_as_long_as_the_actor_keeps_them():
    @ray.remote
    class Holder:
        def __init__(self, array):
            self.array = array

        def total(self):
            return int(self.array[::MIB].sum())

    holder = Holder.remote(ray.put(np.full(40 * MIB, 1, np.uint8)))
    assert ray.get(holder.total.remote()) == 40
    gc.collect()
    for _ in range(6):
        ray.get(ray.put(np.zeros(60 * MIB, np.uint8)))
    assert ray.get(holder.total.remote()) == 40


def test_an_object_of_a_dead_owner_is_lost():
    @ray.remote
    class Owner:
        def make(self):
            return [ray.put(np.zeros(MIB, np.uint8))]

        def crash(self):
            os._exit(1)

    owner = Owner.remote()
    (ref,) = ray.get(owner.make.remote())
    assert ray.get(ref).shape == (MIB,)
    with pytest.raises(RayError):
        ray.get(owner.crash.remote())

    @ray.remote
    def use(refs):
        return ray.get(refs[0], timeout=10).shape

    def lost():
        try:
            ray.get(use.remote([ref]))
        except ObjectLostError:
            return True
        return False

    wait_until(lost)


def test_locations_of_objects_are_told():
    ref = ray.put(np.zeros(MIB, np.uint8))
    found = ray.experimental.get_object_locations([ref])[ref]
    assert found["node_ids"] == [ray.get_runtime_context().get_node_id()]
    assert found["object_size"] >= MIB


def test_values_in_use_beyond_the_store_are_all_there():
    values = [ray.get(ray.put(np.full(60 * MIB, number, np.uint8))) for number in range(5)]
    assert [value[-1] for value in values] == list(range(5))


def test_a_value_beyond_the_store_comes_from_a_task():
    assert ray.get(make.remote(3, 250 * MIB))[-1] == 3


@ray.remote(num_cpus=0)
class Forgetful:
    def keep_until_open(self, refs, gate):
        threading.Thread(target=lambda: (gate.wait(), refs.clear())).start()


def in_store():
    name = "object_store_memory"
    return ray.cluster_resources()[name] - ray.available_resources()[name]


def test_what_an_actor_drops_while_it_does_nothing_is_given_back(gate):
    actor, ref = Forgetful.remote(), ray.put(np.zeros(MIB, np.uint8))
    ray.get(actor.keep_until_open.remote([ref], gate))
    del ref
    held = in_store()
    assert held >= MIB
    gate.open()
    wait_until(lambda: in_store() <= held - MIB)


@ray.remote
def make_and_put():
    return os.getpid(), ray.put("kept")


@ray.remote
class Guest:
    def pid(self):
        return os.getpid()


def test_no_actor_is_put_into_a_process_that_owns_what_others_hold():
    """The process ends with its actor; tasks before it may have left objects there."""
    pid, ref = ray.get(make_and_put.remote())
    wait_until(lambda: ray.available_resources()["CPU"] == 4)  # its lease has gone back
    guests = [Guest.remote() for _ in range(2)]
    assert pid not in ray.get([guest.pid.remote() for guest in guests])
    for guest in guests:
        ray.kill(guest)
    assert ray.get(ref) == "kept"


def test_an_actor_that_is_killed_at_once_takes_no_objects_along():
    _, ref = ray.get(make_and_put.remote())
    wait_until(lambda: ray.available_resources()["CPU"] == 4)
    guest = Guest.remote()
    ray.kill(guest)
    with pytest.raises(RayActorError):
        ray.get(guest.pid.remote())
    assert ray.get(ref) == "kept"


@ray.remote
def put_many(count):
    """Refs of this worker, two of them the same."""
    refs = [ray.put(number) for number in range(count)]
    return [*refs, refs[0]]


@ray.remote
def read_many(holder):
    return ray.get(ray.get(holder[0]))


@pytest.mark.parametrize("made_by", ["driver", "task"])
def test_many_refs_inside_a_value_count_each(made_by):
    """They are made at once (`Values._refs_inside`), and so many only then; who gets the value again gets the same."""
    objects = connected_core().objects
    before = set(objects)
    if made_by == "driver":
        refs = [ray.put(number) for number in range(100)]
        holder = ray.put([*refs, refs[0]])
        del refs
    else:
        holder = put_many.remote(100)
    expected = [*range(100), 0]
    first, second = ray.get(holder), ray.get(holder)
    assert ray.get(first) == ray.get(read_many.remote([holder])) == expected
    assert all(one is other for one, other in zip(first, second, strict=True))
    assert {objects[ref.binary()].local for ref in first} == {1}
    del first
    kept = second[5]
    del holder
    assert ray.get(second) == expected
    del second
    wait_until(lambda: set(objects) - before == {kept.binary()})
    assert ray.get(kept) == 5


def test_refs_in_a_value_that_cannot_be_unpickled_are_dropped():
    objects = connected_core().objects
    before = set(objects)
    holder = ray.put(([ray.put(number) for number in range(100)], Unwilling()))
    with pytest.raises(ZeroDivisionError):
        ray.get(holder)
    del holder
    wait_until(lambda: set(objects) <= before)


class Unwilling:
    def __reduce__(self):
        return divmod, (1, 0)
