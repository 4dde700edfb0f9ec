"""What an actor knows of itself. Source: Ray docs, "Runtime Context API"."""

import os
import signal

import pytest

import ray

pytestmark = pytest.mark.usefixtures("shared_ray")


@ray.remote(max_restarts=1, max_task_retries=-1)
class Self:
    def look(self):
        context = ray.get_runtime_context()
        return context.get_actor_id(), context.get_actor_name(), context.was_current_actor_reconstructed

    def pid(self):
        return os.getpid()

    def own_pid_through_handle(self):
        return ray.get_runtime_context().current_actor.pid.remote()


def test_an_actor_knows_its_id_and_name():
    actor = Self.options(name="me").remote()
    assert ray.get(actor.look.remote()) == (actor._actor_id.hex(), "me", False)
    assert ray.get(Self.remote().look.remote())[1] == ""


def test_a_restarted_actor_knows_that_it_is():
    actor = Self.remote()
    os.kill(ray.get(actor.pid.remote()), signal.SIGKILL)
    assert ray.get(actor.look.remote())[2] is True


def test_an_actor_calls_itself_through_its_own_handle():
    actor = Self.remote()
    assert ray.get(ray.get(actor.own_pid_through_handle.remote())) == ray.get(actor.pid.remote())


def test_a_driver_is_no_actor():
    context = ray.get_runtime_context()
    assert context.get_actor_id() is None
    assert context.get_actor_name() is None
    with pytest.raises(RuntimeError):
        _ = context.current_actor
