"""Named and detached actors, namespaces (docs: "Named actors", "Using namespaces")."""

import os
import subprocess
import sys

import pytest
from helpers import is_alive, wait_until

import ray
from ray.exceptions import ActorAlreadyExistsError, ActorDiedError, RayActorError

pytestmark = pytest.mark.usefixtures("shared_ray")
CLUSTER = {"num_cpus": 4, "namespace": "home"}


@ray.remote
class Named:
    def __init__(self, value=0):
        self.value = value

    def read(self):
        return self.value

    def pid(self):
        return os.getpid()

    def name(self):
        return ray.get_runtime_context().get_actor_name()

    def namespace(self):
        return ray.get_runtime_context().namespace

    def find(self, name):
        return ray.get(ray.get_actor(name).read.remote())


def _is_gone(name, namespace=None):
    try:
        ray.get_actor(name, namespace)
    except ValueError:
        return True
    return False


def test_a_named_actor_is_found():
    actor = Named.options(name="found").remote(5)
    found = ray.get_actor("found")
    assert found == actor
    assert ray.get(found.read.remote()) == 5
    assert ray.get(found.name.remote()) == "found"


def test_an_unnamed_actor_has_the_empty_name():
    assert ray.get(Named.remote().name.remote()) == ""


def test_a_handle_by_name_knows_the_methods():
    _actor = Named.options(name="methods").remote()
    found = ray.get_actor("methods")
    assert "read" in dir(found)
    with pytest.raises(AttributeError):
        found.no_such_method  # noqa: B018
    with pytest.raises(TypeError):
        found.read.remote(1)


def test_an_unknown_name_is_a_value_error():
    with pytest.raises(ValueError):
        ray.get_actor("nobody")
    with pytest.raises(ValueError):
        ray.get_actor("")


def test_a_name_is_given_once():
    _first = Named.options(name="once").remote()
    with pytest.raises(ValueError) as caught:
        Named.options(name="once").remote()
    assert isinstance(caught.value, ActorAlreadyExistsError)
    assert "once" in str(caught.value)


def test_a_name_is_free_again_when_the_actor_is_dead():
    first = Named.options(name="again").remote(1)
    ray.get(first.read.remote())
    ray.kill(first)
    wait_until(lambda: _is_gone("again"))
    second = Named.options(name="again").remote(2)
    assert ray.get(second.read.remote()) == 2
    with pytest.raises(RayActorError):
        ray.get(first.read.remote())


def test_a_handle_by_name_does_not_keep_the_actor_alive():
    actor = Named.options(name="weak").remote()
    pid = ray.get(actor.pid.remote())
    found = ray.get_actor("weak")
    del actor
    wait_until(lambda: not is_alive(pid))
    with pytest.raises(ActorDiedError):
        ray.get(found.read.remote())


def test_get_if_exists_gives_the_one_that_is_there():
    first = Named.options(name="shared", get_if_exists=True).remote(1)
    second = Named.options(name="shared", get_if_exists=True).remote(2)
    assert first == second
    assert ray.get(second.read.remote()) == 1


def test_get_if_exists_keeps_nothing_of_what_another_would_have_been_made_of():
    first = Named.options(name="kept", get_if_exists=True, num_cpus=0).remote(1)
    argument = Named.options(num_cpus=0).remote()
    pid = ray.get(argument.pid.remote())
    second = Named.options(name="kept", get_if_exists=True, num_cpus=0).remote(argument)
    assert second == first
    del argument
    wait_until(lambda: not is_alive(pid))


def test_get_if_exists_by_many_at_once_makes_one():
    @ray.remote
    def make(n):
        actor = Named.options(name="race", get_if_exists=True, lifetime="detached", num_cpus=0).remote(n)
        return ray.get(actor.pid.remote())

    assert len(set(ray.get([make.remote(n) for n in range(4)]))) == 1
    ray.kill(ray.get_actor("race"))


def test_tasks_and_actors_find_actors_by_name():
    _actor = Named.options(name="from_tasks").remote(7)

    @ray.remote
    def find():
        return ray.get(ray.get_actor("from_tasks").read.remote())

    assert ray.get(find.remote()) == 7
    assert ray.get(Named.remote().find.remote("from_tasks")) == 7


def test_a_detached_actor_outlives_its_handles():
    actor = Named.options(name="detached", lifetime="detached").remote(3)
    pid = ray.get(actor.pid.remote())
    del actor
    assert ray.get(ray.get_actor("detached").pid.remote()) == pid
    ray.kill(ray.get_actor("detached"))
    wait_until(lambda: _is_gone("detached"))


def test_a_name_is_of_its_namespace():
    here = Named.options(name="spaces").remote(1)
    there = Named.options(name="spaces", namespace="away").remote(2)
    assert here != there
    assert ray.get(ray.get_actor("spaces").read.remote()) == 1
    assert ray.get(ray.get_actor("spaces", namespace="away").read.remote()) == 2
    with pytest.raises(ValueError):
        ray.get_actor("spaces", namespace="nowhere")


def test_the_namespace_is_told():
    assert ray.get_runtime_context().namespace == "home"
    assert ray.get(Named.remote().namespace.remote()) == "home"


@pytest.mark.parametrize("namespace", ["", 5])
def test_bad_namespaces_are_refused(namespace):
    with pytest.raises((ValueError, TypeError)):
        ray.get_actor("nobody", namespace=namespace)


def test_named_actors_are_listed():
    _first = Named.options(name="listed_one").remote()
    _second = Named.options(name="listed_two", namespace="elsewhere").remote()
    assert "listed_one" in ray.util.list_named_actors()
    assert "listed_two" not in ray.util.list_named_actors()
    everywhere = ray.util.list_named_actors(all_namespaces=True)
    assert {"name": "listed_one", "namespace": "home"} in everywhere
    assert {"name": "listed_two", "namespace": "elsewhere"} in everywhere


def test_dead_actors_are_not_listed():
    actor = Named.options(name="unlisted").remote()
    ray.get(actor.read.remote())
    assert "unlisted" in ray.util.list_named_actors()
    ray.kill(actor)
    wait_until(lambda: "unlisted" not in ray.util.list_named_actors())


# --- several drivers ---

DRIVER = """
import sys, ray
address, namespace, command, name = sys.argv[1:]
ray.init(address=address, namespace=namespace or None, log_to_driver=False, configure_logging=False)

@ray.remote(num_cpus=0)
class Named:
    def pid(self):
        import os
        return os.getpid()

if command == "find":
    try:
        print("found", ray.get(ray.get_actor(name).read.remote()))
    except ValueError:
        print("missing")
elif command == "detached":
    print(ray.get(Named.options(name=name, lifetime="detached").remote().pid.remote()))
elif command == "bound":
    actor = Named.options(name=name).remote()
    print(ray.get(actor.pid.remote()))
"""


def _drive(namespace, command, name):
    address = ray.get_runtime_context().gcs_address
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, address, namespace, command, name],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_another_driver_finds_it_in_the_same_namespace_only():
    _actor = Named.options(name="drivers").remote(11)
    ray.get(_actor.read.remote())
    assert _drive("home", "find", "drivers") == ["found", "11"]
    assert _drive("other", "find", "drivers") == ["missing"]
    assert _drive("", "find", "drivers") == ["missing"]


def test_a_detached_actor_outlives_its_driver():
    (pid,) = _drive("home", "detached", "left_behind")
    assert ray.get(ray.get_actor("left_behind").pid.remote()) == int(pid)
    ray.kill(ray.get_actor("left_behind"))
    wait_until(lambda: not is_alive(int(pid)))


def test_other_actors_end_with_their_driver():
    (pid,) = _drive("home", "bound", "not_left_behind")
    wait_until(lambda: _is_gone("not_left_behind"))
    wait_until(lambda: not is_alive(int(pid)))
