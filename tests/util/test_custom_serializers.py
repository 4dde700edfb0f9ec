"""Custom serializers. Source: Ray docs, "Serialization", Customized Serialization."""

import threading

import pytest

import ray
from ray.util import deregister_serializer, register_serializer


class Guarded:
    def __init__(self, value):
        self.value = value
        self.lock = threading.Lock()


class Derived(Guarded):
    pass


@pytest.fixture
def registered():
    register_serializer(Guarded, serializer=lambda it: it.value, deserializer=lambda value: Guarded(value))
    yield
    deregister_serializer(Guarded)


def test_a_registered_class_is_pickled_with_its_serializer(cluster, registered):
    assert ray.get(ray.put(Guarded(3))).value == 3
    assert [it.value for it in ray.get(ray.put([Guarded(1), Guarded(2)]))] == [1, 2]


def test_the_deserializer_travels_with_the_object_the_serializer_does_not(cluster, registered):
    @ray.remote
    def value_of(it):
        return it.value

    @ray.remote
    def same(it):
        return it

    @ray.remote
    def made_there():
        register_serializer(Guarded, serializer=lambda it: it.value + 1, deserializer=Guarded)
        try:
            return ray.get(ray.put(Guarded(4))).value
        finally:
            deregister_serializer(Guarded)

    assert ray.get(value_of.remote(Guarded(5))) == 5
    with pytest.raises(TypeError, match="cannot pickle"):
        ray.get(same.remote(Guarded(5)))
    assert ray.get(made_there.remote()) == 5


def test_subclasses_keep_their_own_way(cluster, registered):
    with pytest.raises(TypeError, match="Could not serialize"):
        ray.put(Derived(1))


def test_the_last_registration_counts_until_it_is_undone(cluster, registered):
    register_serializer(Guarded, serializer=lambda it: -it.value, deserializer=Guarded)
    assert ray.get(ray.put(Guarded(3))).value == -3
    deregister_serializer(Guarded)
    with pytest.raises(TypeError, match="Could not serialize"):
        ray.put(Guarded(3))
    deregister_serializer(Guarded)  # again: nothing happens


def test_serializers_are_given_by_keyword():
    with pytest.raises(TypeError):
        register_serializer(Guarded)
    with pytest.raises(TypeError):
        register_serializer(Guarded, str, str)
