"""`list_named_actors`. Source: Ray docs, "Named Actors"."""

import pytest

import ray
from ray.util import list_named_actors

INIT = {"namespace": "mine"}


@ray.remote(num_cpus=0)
class Actor:
    def ping(self):
        return "pong"


@pytest.fixture
def actors(cluster):
    made = [
        Actor.options(name="a").remote(),
        Actor.options(name="b", namespace="other").remote(),
        Actor.remote(),
    ]
    ray.get([actor.ping.remote() for actor in made])
    yield made
    for actor in made:
        ray.kill(actor)


def test_living_named_actors_of_the_namespace_or_of_all(actors):
    assert list_named_actors() == ["a"]
    everywhere = list_named_actors(all_namespaces=True)
    assert sorted(everywhere, key=lambda row: row["name"]) == [
        {"name": "a", "namespace": "mine"},
        {"name": "b", "namespace": "other"},
    ]


def test_it_works_in_a_task_too(actors):
    @ray.remote
    def names():
        return list_named_actors()

    assert ray.get(names.remote()) == ["a"]


def test_a_dead_actor_is_not_listed(actors):
    ray.kill(actors[0])
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(actors[0].ping.remote())
    assert list_named_actors() == []
