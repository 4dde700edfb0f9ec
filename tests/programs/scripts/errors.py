"""What a program sees when things go wrong, one kind after the other."""

import os
import time

import ray
from ray import exceptions

ray.init(num_cpus=4)


class Mine(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


@ray.remote
def fail(kind):
    if kind == "mine":
        raise Mine(7)
    if kind == "zero":
        return 1 / 0
    if kind == "exit":
        os._exit(3)
    time.sleep(60)


@ray.remote
class Fragile:
    def __init__(self, fail_at_birth=False):
        if fail_at_birth:
            raise Mine(8)

    def ping(self):
        return "pong"

    def die(self):
        os._exit(1)


def raised(function):
    try:
        function()
    except Exception as error:
        return error
    raise SystemExit("nothing was raised")


error = raised(lambda: ray.get(fail.remote("mine")))
assert isinstance(error, Mine) and isinstance(error, exceptions.RayTaskError) and error.code == 7
assert error.cause.args == (7,)
assert isinstance(raised(lambda: ray.get(fail.remote("zero"))), ZeroDivisionError)
error = raised(lambda: ray.get(fail.options(max_retries=0).remote("exit")))
assert isinstance(error, exceptions.WorkerCrashedError)
sleeping = fail.remote("sleep")
assert isinstance(raised(lambda: ray.get(sleeping, timeout=0.1)), exceptions.GetTimeoutError)
assert isinstance(raised(lambda: ray.get(sleeping, timeout=0.1)), TimeoutError)
ray.cancel(sleeping)
assert isinstance(raised(lambda: ray.get(sleeping)), exceptions.TaskCancelledError)
error = raised(lambda: ray.get(Fragile.remote(True).ping.remote()))
assert isinstance(error, exceptions.ActorDiedError) and error.actor_init_failed and "Mine" in str(error)
fragile = Fragile.remote()
assert ray.get(fragile.ping.remote()) == "pong"
assert isinstance(raised(lambda: ray.get(fragile.die.remote())), exceptions.RayActorError)
assert isinstance(raised(lambda: ray.get(fragile.ping.remote())), exceptions.ActorDiedError)
assert isinstance(raised(lambda: ray.get_actor("nobody")), ValueError)
assert isinstance(raised(lambda: ray.get(5)), ValueError)
assert isinstance(raised(lambda: fail()), TypeError)
assert isinstance(raised(lambda: Fragile()), TypeError)
ray.shutdown()
assert isinstance(raised(ray.nodes), exceptions.RaySystemError) or True
print("ok")
