"""`inspect_serializability`, and the errors that tell what cannot be sent.

Source: Ray docs, "Serialization", Troubleshooting.
"""

import io
import threading

import pytest

import ray
from ray.util import inspect_serializability

LOCK = threading.Lock()


class Holder:
    def __init__(self):
        self.number = 1
        self.lock = LOCK


def inspect(value, **options):
    out = io.StringIO()
    ok, failures = inspect_serializability(value, print_file=out, **options)
    return ok, failures, out.getvalue()


def paths(failures):
    return {" -> ".join(failure.path) for failure in failures}


def test_what_can_be_pickled_is_said_to_be():
    for value in (5, "text", [1, {"a": 2}], test_what_can_be_pickled_is_said_to_be, Holder):
        ok, failures, text = inspect(value)
        assert (ok, failures) == (True, set())
        assert f"Checking Serializability of {value}" in text


def test_an_object_that_cannot_be_pickled_is_reported_itself():
    ok, failures, text = inspect(LOCK)
    (failure,) = failures
    assert not ok
    assert failure.obj is LOCK
    assert failure.parent is None
    assert "FAIL serialization" in text
    assert "cannot pickle '_thread.lock' object" in text
    assert "was found to be non-serializable" in text


def test_a_variable_that_a_function_closes_over_is_found():
    held = threading.Lock()

    def closing_over():
        return held

    ok, failures, text = inspect(closing_over)
    assert not ok
    assert paths(failures) == {"held"}
    assert {failure.obj for failure in failures} == {held}
    assert {failure.parent for failure in failures} == {closing_over}
    assert "Inspecting closure of" in text
    assert "Detected 1 nonlocal variables" in text


def test_an_attribute_is_found_and_the_path_begins_with_the_given_name():
    holder = Holder()

    def closing_over():
        return holder

    assert paths(inspect(holder)[1]) == {"lock"}
    assert paths(inspect(closing_over, name="mine")[1]) == {"mine -> holder -> lock"}


def test_a_method_of_a_class_is_looked_into():
    held = threading.Lock()

    class Local:
        def good(self):
            return 1

        def bad(self):
            return held

    assert paths(inspect(Local)[1]) == {"bad -> held"}


def test_depth_limits_how_far_down_the_search_goes():
    holder = Holder()
    assert paths(inspect(holder, depth=0, name="top")[1]) == {"top"}

    def closing_over():
        return holder

    assert paths(inspect(closing_over, depth=1)[1]) == {"holder"}


# ------------------------------------------------------------------ what cannot be sent


@ray.remote
def identity(value):
    return value


@ray.remote
class Actor:
    def __init__(self, value=None):
        self.value = value

    def take(self, value):
        return value


def test_an_argument_that_cannot_be_pickled_is_named(cluster):
    with pytest.raises(TypeError) as caught:
        identity.remote(Holder())
    text = str(caught.value)
    assert text.startswith("Could not serialize the argument <test_check_serialize.Holder object at")
    assert "for a task or actor test_check_serialize.identity:\n===" in text
    assert "path=lock" in text
    assert text.rstrip().endswith("===")
    with pytest.raises(TypeError, match=r"Could not serialize the argument .*identity"):
        identity.remote(value=[LOCK])
    assert ray.get(identity.remote(5)) == 5


def test_a_function_that_cannot_be_pickled_is_named(cluster):
    held = threading.Lock()

    @ray.remote
    def closing_over():
        return held

    with pytest.raises(TypeError, match=r"Could not serialize the function test_check_serialize\..*closing_over:"):
        closing_over.remote()


def test_a_value_put_that_cannot_be_pickled_is_named(cluster):
    with pytest.raises(TypeError, match=r"Could not serialize the put value <unlocked _thread\.lock"):
        ray.put(LOCK)


def test_an_error_that_the_users_own_code_raises_stays_what_it_is(cluster):
    class Stubborn:
        def __reduce__(self):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        identity.remote(Stubborn())
    with pytest.raises(RuntimeError, match="no"):
        ray.put(Stubborn())


def test_a_result_that_cannot_be_pickled_is_a_type_error_of_the_task(cluster):
    @ray.remote
    def unsendable():
        return threading.Lock()

    with pytest.raises(TypeError, match="cannot pickle"):
        ray.get(unsendable.remote())


def test_arguments_and_classes_of_actors_are_named_too(cluster):
    with pytest.raises(TypeError, match=r"Could not serialize the argument .*test_check_serialize\.Actor\.__init__:"):
        Actor.remote(LOCK)
    held = threading.Lock()

    @ray.remote
    class ClosingOver:
        def method(self):
            return held

    with pytest.raises(TypeError, match=r"Could not serialize the actor class .*ClosingOver\.__init__:"):
        ClosingOver.remote()
    actor = Actor.remote()
    with pytest.raises(TypeError, match=r"Could not serialize the argument .*Actor\.take:"):
        actor.take.remote(LOCK)
    ray.kill(actor)
