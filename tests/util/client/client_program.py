"""A program for any Ray client, `client_program.py ADDRESS`: runs each step, and prints its name and result as JSON.

It is run by our client and by an original one, on our server and on an original one; what each step gives is the same.
"""

import asyncio
import json
import os
import sys
import time
import traceback

import ray


@ray.remote
def add(a, b):
    return a + b


@ray.remote
class Counter:
    def __init__(self, start=0):
        self.count = start

    def increment(self, by=1):
        self.count += by
        return self.count

    def fail(self):
        raise KeyError("no such thing")


STEPS = {}


def step(expected):
    """Registers a step and what it gives."""

    def register(function):
        STEPS[function.__name__] = (function, expected)
        return function

    return register


def kind_of_failure(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "nothing was raised"


@step([3, 7, 3])
def tasks():
    return [
        ray.get(add.remote(1, 2)),
        ray.get(add.remote(add.remote(1, 2), ray.put(4))),
        ray.get(add.options(num_cpus=0.5).remote(1, b=2)),
    ]


@step([6, 7, 8])
def actors():
    counter = Counter.remote(5)
    return ray.get([counter.increment.remote() for _ in range(3)])


@step([6, ["named"], ["fail", "increment"]])
def named_actors():
    counter = Counter.options(name="named", lifetime="detached").remote(start=1)
    ray.get(counter.increment.remote(by=2))
    found = ray.get_actor("named")
    result = ray.get(found.increment.remote(by=3))
    names = ray.util.list_named_actors()
    methods = [name for name in dir(found) if not name.startswith("_")]
    ray.kill(found)
    return [result, names, methods]


@step(["RayTaskError(KeyError)", True, True])
def errors():
    counter = Counter.remote()
    try:
        ray.get(counter.fail.remote())
    except KeyError as error:
        return [
            type(error).__name__,
            isinstance(error, ray.exceptions.RayTaskError),
            "no such thing" in str(error),
        ]


@step([[1, 2], [1, 2], [1, 2]])
def several_results():
    @ray.remote(num_returns=2)
    def two():
        return 1, 2

    @ray.remote
    class Two:
        @ray.method(num_returns=2)
        def two(self):
            return 1, 2

        def one(self):
            return 1, 2

    actor = Two.remote()
    calls = two.remote(), actor.two.remote(), actor.one.options(num_returns=2).remote()
    return [ray.get(list(refs)) for refs in calls]


@step([20_000_000, 20_000_000, 1_999_999_000_000])
def large_values():
    import numpy as np

    @ray.remote
    def size(value):
        return len(value)

    blob = b"x" * 20_000_000
    return [len(ray.get(ray.put(blob))), ray.get(size.remote(blob)), int(ray.get(ray.put(np.arange(2_000_000))).sum())]


@step([4, [2, 2], [0, 1], "GetTimeoutError"])
def waiting():
    @ray.remote
    def slow():
        time.sleep(3)

    refs = [add.remote(1, number) for number in range(4)]
    ready, _ = ray.wait(refs, num_returns=4, timeout=30)
    first, others = ray.wait(refs, num_returns=2, timeout=30)
    ref = slow.remote()
    return [
        len(ready),
        [len(first), len(others)],
        [len(part) for part in ray.wait([ref], timeout=0.2)],
        kind_of_failure(lambda: ray.get(ref, timeout=0.2)),
    ]


@step("yes")
def runtime_env():
    @ray.remote
    def look():
        return os.environ.get("OF_THE_CLIENT")

    return ray.get(look.remote())


@step([7, 2])
def asynchronous_gets():
    async def main():
        return await add.remote(3, 4)

    return [asyncio.run(main()), add.remote(1, 1).future().result(30)]


@step([["CPU", "memory"], True, True])
def the_cluster():
    names = sorted(name for name in ray.cluster_resources() if name in ("CPU", "memory"))
    return [names, "CPU" in ray.available_resources(), ray.nodes()[0]["Alive"]]


@step(["both", 8, 56, {"OF_THE_CLIENT": "yes"}])
def runtime_context():
    here = ray.get_runtime_context()
    return [here.namespace, len(here.get_job_id()), len(here.get_node_id()), dict(here.runtime_env["env_vars"])]


@step([False, "v", True, ["key-1"], 1, False])
def key_value_table():
    from ray.experimental import internal_kv as kv

    return [
        kv._internal_kv_put("key-1", b"v"),
        kv._internal_kv_get("key-1").decode(),
        kv._internal_kv_exists("key-1"),
        [key.decode() for key in kv._internal_kv_list("key-")],
        kv._internal_kv_del("key-1"),
        kv._internal_kv_exists("key-1"),
    ]


@step([True, "ActorDiedError", "WorkerCrashedError", "ActorDiedError"])
def ends():
    @ray.remote
    def slow():
        for _ in range(600):
            time.sleep(0.1)

    @ray.remote(max_retries=0)
    def die():
        os._exit(1)

    @ray.remote
    class Stillborn:
        def __init__(self):
            raise ValueError("born dead")

        def method(self):
            pass

    cancelled = slow.remote()
    ray.wait([cancelled], timeout=1)
    ray.cancel(cancelled)
    try:
        ray.get(cancelled, timeout=30)
        is_cancelled = False
    except ray.exceptions.TaskCancelledError:
        is_cancelled = True
    counter = Counter.remote()
    ray.get(counter.increment.remote())
    ray.kill(counter)
    calls = [counter.increment.remote, die.remote, Stillborn.remote().method.remote]
    return [is_cancelled, *(kind_of_failure(lambda call=call: ray.get(call(), timeout=30)) for call in calls)]


@step([2, [7, 8], [0, 1, 2], 120])
def refs_and_handles_inside():
    @ray.remote
    def outer():
        return [add.remote(1, 1)]

    @ray.remote
    def use(counter):
        return ray.get(counter.increment.remote(7))

    @ray.remote(num_returns="dynamic")
    def items():
        yield from range(3)

    @ray.remote
    def factorial(n):
        return 1 if n <= 1 else n * ray.get(factorial.remote(n - 1))

    counter = Counter.remote()
    return [
        ray.get(ray.get(outer.remote())[0]),
        [ray.get(use.remote(counter)), ray.get(counter.increment.remote())],
        [ray.get(ref) for ref in ray.get(items.remote())],
        ray.get(factorial.remote(5)),
    ]


@step([True, 6])
def placement_groups():
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = placement_group([{"CPU": 1}])
    is_there = group.wait(30)
    strategy = PlacementGroupSchedulingStrategy(group)
    result = ray.get(add.options(scheduling_strategy=strategy).remote(1, 5), timeout=30)
    remove_placement_group(group)
    return [is_there, result]


@step([1, 2, 3, "invalid literal for int() with base 10: 'no number'"])
def pools_of_processes():
    from ray.util.multiprocessing import Pool

    with Pool(2) as processes:
        try:
            processes.apply(int, ["no number"])
        except ValueError as error:
            return [*processes.map(abs, [-1, -2, 3]), str(error)]


@step([3, [1, 2, True], 5])
def library():
    from ray.dag import InputNode
    from ray.util import ActorPool
    from ray.util.queue import Queue

    pool = ActorPool([Counter.remote() for _ in range(2)])
    done = len(list(pool.map(lambda actor, value: actor.increment.remote(value), [1, 1, 1])))
    queue = Queue()
    queue.put(1)
    queue.put(2)
    taken = [queue.get(), queue.get(), queue.empty()]
    queue.shutdown()
    with InputNode() as given:
        dag = add.bind(given, 2)
    return [done, taken, ray.get(dag.execute(3))]


@step([[0, 1, 2, 3], "ab"])
def other_actors():
    @ray.remote
    class Async:
        async def echo(self, value):
            await asyncio.sleep(0.01)
            return value

    class Base:
        def a(self):
            return "a"

    @ray.remote
    class Sub(Base):
        def b(self):
            return self.a() + "b"

    actor = Async.options(max_concurrency=4).remote()
    return [ray.get([actor.echo.remote(number) for number in range(4)]), ray.get(Sub.remote().b.remote())]


@step(["TypeError", "TypeError", True])
def refusals():
    import threading

    return [
        kind_of_failure(lambda: ray.put(threading.Lock())),
        kind_of_failure(lambda: add.remote(1)),
        isinstance(ray.timeline(), list),
    ]


def main(address):
    ray.init(address, namespace="both", runtime_env={"env_vars": {"OF_THE_CLIENT": "yes"}})
    for name, (function, _) in STEPS.items():
        try:
            result = function()
        except Exception:
            result = traceback.format_exc()
        print(json.dumps([name, result]), flush=True)
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
