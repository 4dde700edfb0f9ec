"""Words in errors that programs and tests written for Ray look for; each was compared with Ray 2.60."""

import os
import re
import time

import pytest

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, PendingCallsLimitExceeded
from ray.util.state import get_actor

pytestmark = pytest.mark.usefixtures("shared_ray")


@ray.remote
def nothing():
    pass


@ray.remote(num_cpus=0)
class Mortal:
    def __init__(self, fails=False):
        if fails:
            raise RuntimeError("at birth")

    def ready(self):
        pass

    def leave(self):
        ray.actor.exit_actor()

    def crash(self):
        os._exit(7)

    def wait(self):
        time.sleep(60)


def inherit():
    class Sub(Mortal):
        pass


def refused(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was raised"


WORDS = [
    (lambda: ray.put(ray.put(1)), "TypeError: Calling 'put' on an ray.ObjectRef is not allowed"),
    (lambda: ray.get(1), "ValueError: Invalid type of object refs, <class 'int'>, is given"),
    (lambda: ray.get([1]), "TypeError: Attempting to call `get` on the value 1"),
    (
        lambda: ray.wait(ray.put(1)),
        "TypeError: wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got a",
    ),
    (lambda: ray.wait([1]), "TypeError: wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got list"),
    (lambda: ray.wait([ray.put(1)], num_returns=0), "ValueError: Invalid number of objects to return 0."),
    (lambda: ray.wait([ray.put(1)], num_returns=2), "ValueError: num_returns cannot be greater than the number of"),
    (lambda: ray.wait([ray.put(1)], timeout=-1), "ValueError: The 'timeout' argument must be nonnegative"),
    (lambda: ray.kill(1), "ValueError: ray.kill() only supported for actors"),
    (lambda: ray.cancel(1), "TypeError: ray.cancel() only supported for object refs"),
    (lambda: ray.get_actor("nobody"), "ValueError: Failed to look up actor with name 'nobody'"),
    (lambda: ray.get_actor("x", namespace=3), "TypeError: namespace must be None or a string"),
    (lambda: ray.ObjectRef(b"1"), "ValueError: ID string needs to have length 28, got 1"),
    (nothing, "TypeError: Remote functions cannot be called directly. Instead of running 'test_error_words.nothing()'"),
    (lambda: nothing.options(num_cpus=-1), "ValueError: The quantity of resource num_cpus cannot be negative"),
    (
        lambda: nothing.options(num_cpus="1"),
        "TypeError: The type of keyword 'num_cpus' must be (<class 'float'>, <class",
    ),
    (lambda: nothing.options(max_retries=-2), "ValueError: The keyword 'max_retries' only accepts None, 0, -1 or a"),
    (lambda: nothing.options(resources={"CPU": 1}), "ValueError: Use the 'num_cpus' and 'num_gpus' keyword instead of"),
    (lambda: nothing.options(label_selector={"-a": "b"}), "ValueError: Invalid label key name `-a`."),
    (lambda: nothing.options(scheduling_strategy="X").remote(), "ValueError: Invalid scheduling_strategy value X."),
    (lambda: nothing.options(placement_group_bundle_index=1).remote(), "ValueError: If placement group is not set"),
    (lambda: Mortal.options(name="").remote(), "ValueError: Actor name cannot be an empty string."),
    (lambda: Mortal.options(lifetime="x"), "ValueError: actor `lifetime` argument must be one of 'detached'"),
    (inherit, "ActorClassInheritanceException: Attempted to define subclass 'Sub' of actor"),
    (lambda: ray.actor.exit_actor(), "TypeError: exit_actor API is called on a non-actor worker"),
    (lambda: ray.util.get_placement_group(3), "TypeError: "),
]


@pytest.mark.parametrize(("call", "words"), WORDS, ids=[words[:40] for _, words in WORDS])
def test_what_is_refused_is_refused_in_these_words(call, words):
    assert words in refused(call)


def test_a_dead_actor_tells_how_it_died():
    for method, words in (
        ("leave", "Worker exit type: INTENDED_USER_EXIT .*exit_actor\\(\\) is called"),
        (
            "crash",
            "its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly",
        ),
    ):
        with pytest.raises(ActorDiedError, match=words):
            ray.get(getattr(Mortal.remote(), method).remote())
    killed = Mortal.remote()
    ray.get(killed.ready.remote())
    ray.kill(killed)
    with pytest.raises(ActorDiedError, match=r"The actor is dead because it was killed by `ray.kill`") as died:
        ray.get(killed.ready.remote())
    context = get_actor(killed._actor_id.hex()).death_cause["actor_died_error_context"]
    assert context["error_message"] == "The actor is dead because it was killed by `ray.kill`."
    assert context["reason"] == "RAY_KILL" and context["node_ip_address"] == died.value.ip != ""
    with pytest.raises(ActorDiedError, match="The actor died because of an error raised in its creation task"):
        ray.get(Mortal.remote(fails=True).ready.remote())


def test_a_class_inside_a_function_is_told_by_its_qualified_name():
    @ray.remote(num_cpus=0)
    class Local:
        def fail(self):
            raise ValueError

    name = "test_a_class_inside_a_function_is_told_by_its_qualified_name.<locals>.Local"
    handle = Local.remote()
    assert repr(handle) == f"Actor({name}, {handle._actor_id.hex()})"
    with pytest.raises(ValueError, match=r"ray::Local.fail\(\)"):
        ray.get(handle.fail.remote())
    assert get_actor(handle._actor_id.hex()).class_name == name


def test_names_and_limits_that_are_reached():
    first = Mortal.options(name="taken", max_pending_calls=1).remote()
    with pytest.raises(ValueError, match=re.escape("The name taken (namespace=")):
        Mortal.options(name="taken").remote()
    ref = first.wait.remote()
    with pytest.raises(PendingCallsLimitExceeded, match="more than 1 tasks are queued on the actor"):
        first.ready.remote()
    with pytest.raises(GetTimeoutError, match=r"Get timed out: some object\(s\) not ready"):
        ray.get(ref, timeout=0)
    ray.kill(first)
