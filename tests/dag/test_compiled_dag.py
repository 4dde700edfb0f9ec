"""Compiled graphs. Source: Ray docs, "Ray Compiled Graph"."""

import asyncio
import os
import time

import pytest

import ray
from ray.dag import InputNode, MultiOutputNode
from ray.exceptions import RayCgraphCapacityExceeded, RayChannelError, RayChannelTimeoutError


@ray.remote(num_cpus=0)
class Worker:
    def __init__(self):
        self.sum = 0

    def add(self, n):
        self.sum += n
        return self.sum

    def same(self, value):
        return value

    def both(self, a, b):
        return (a, b)

    def fail(self, value):
        raise ValueError(f"no {value}")

    def wait_for(self, path):
        while not os.path.exists(path):
            time.sleep(0.01)
        return "passed"

    @ray.method(num_returns=2)
    def pair(self, value):
        return value, value + 1


@ray.remote
def function(value):
    return value


@pytest.fixture
def workers():
    made = [Worker.remote(), Worker.remote()]
    yield made
    for worker in made:
        ray.kill(worker)


@pytest.fixture
def pipeline(workers):
    first, second = workers
    with InputNode() as x:
        dag = second.same.bind(first.add.bind(x))
    compiled = dag.experimental_compile()
    yield compiled
    compiled.teardown()


def test_results_go_from_actor_to_actor(pipeline):
    assert ray.get(pipeline.execute(1)) == 1
    assert pipeline.execute(2).get() == 3
    assert ray.get([pipeline.execute(i) for i in range(3)]) == [3, 4, 6]


def test_results_may_be_fetched_in_any_order_but_once(pipeline):
    refs = [pipeline.execute(i) for i in range(3)]
    assert [ray.get(refs[2]), ray.get(refs[0]), ray.get(refs[1])] == [3, 0, 1]
    with pytest.raises(ValueError, match="only be called once"):
        ray.get(refs[0])
    with pytest.raises(ValueError, match="only be called once"):
        refs[1].get()


def test_arguments_are_checked(pipeline):
    for wrong in (lambda: pipeline.execute(), lambda: pipeline.execute(1, 2)):
        with pytest.raises(ValueError, match="1 positional args"):
            wrong()


def test_results_do_not_mix_with_refs(pipeline):
    with pytest.raises(TypeError):
        ray.wait([pipeline.execute(1)])
    with pytest.raises(ValueError, match="CompiledDAGRef"):
        ray.get([pipeline.execute(1), ray.put(1)])


def test_the_number_of_results_not_fetched_is_limited(workers):
    with InputNode() as x:
        dag = workers[0].same.bind(x)
    compiled = dag.experimental_compile(_max_inflight_executions=2)
    refs = [compiled.execute(1), compiled.execute(2)]
    with pytest.raises(RayCgraphCapacityExceeded, match="2 in-flight"):
        compiled.execute(3)
    assert ray.get(refs[0]) == 1
    refs.append(compiled.execute(3))
    assert ray.get(refs[1:]) == [2, 3]
    compiled.teardown()


def test_an_error_is_raised_and_the_graph_goes_on(workers):
    first, second = workers
    with InputNode() as x:
        dag = MultiOutputNode([first.add.bind(x), second.same.bind(second.fail.bind(x))])
    compiled = dag.experimental_compile()
    for ref in compiled.execute(1):  # an execution fails as a whole
        with pytest.raises(ValueError, match="no 1"):
            ray.get(ref)
    with pytest.raises(ValueError, match="no 2"):
        ray.get(compiled.execute(2))
    compiled.teardown()


def test_parts_of_the_input_and_of_a_result(workers):
    first, second = workers
    with InputNode() as x:
        dag = first.both.bind(x[0], x.name)
    compiled = dag.experimental_compile()
    assert ray.get(compiled.execute(1, name=2)) == (1, 2)
    with pytest.raises(ValueError, match="kwarg `name`"):
        compiled.execute(1)
    with pytest.raises(ValueError, match="1 positional args"):
        compiled.execute(1, 2, name=2)
    compiled.teardown()
    with InputNode() as x:
        left, right = first.pair.bind(x)
        dag = MultiOutputNode([second.same.bind(left), right])
    compiled = dag.experimental_compile()
    assert ray.get(compiled.execute(1)) == [1, 2]
    compiled.teardown()


def test_a_result_has_a_time_limit(workers, tmp_path):
    with InputNode() as x:
        dag = workers[0].wait_for.bind(x)
    compiled = dag.experimental_compile()
    gate = tmp_path / "gate"
    ref = compiled.execute(str(gate))
    with pytest.raises(RayChannelTimeoutError):
        ray.get(ref, timeout=0.01)
    gate.touch()
    compiled.teardown()
    assert issubclass(RayChannelTimeoutError, TimeoutError)


def test_teardown_ends_the_graph_not_the_actors(workers):
    with InputNode() as x:
        dag = workers[0].same.bind(x)
    compiled = dag.experimental_compile()
    assert ray.get(compiled.execute(1)) == 1
    compiled.teardown()
    with pytest.raises(RayChannelError, match="closed"):
        compiled.execute(1)
    compiled.teardown()
    assert ray.get(workers[0].same.remote(5)) == 5
    with pytest.raises(ValueError, match="multiple times"):
        dag.experimental_compile()


def test_teardown_can_end_the_actors():
    worker = Worker.remote()
    with InputNode() as x:
        dag = worker.same.bind(x)
    compiled = dag.experimental_compile()
    compiled.teardown(kill_actors=True)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(worker.same.remote(5))


def test_what_cannot_be_compiled_is_refused(workers):
    worker = workers[0]
    refused = [
        (NotImplementedError, lambda x: function.bind(x)),
        (ValueError, lambda x: worker.both.bind(1, 2)),
        (ValueError, lambda x: Worker.bind().same.bind(x)),
        (ValueError, lambda x: worker.both.bind(x, b=worker.same.bind(x))),
        (ValueError, lambda x: worker.same.bind([x])),
    ]
    for error, build in refused:
        with InputNode() as x:
            dag = build(x)
        with pytest.raises(error):
            dag.experimental_compile()


def test_asynchronous_execution(workers):
    first, second = workers
    with InputNode() as x:
        dag = second.same.bind(first.same.bind(x))
    compiled = dag.experimental_compile(enable_asyncio=True)

    async def use():
        futures = [await compiled.execute_async(i) for i in range(3)]
        assert [await future for future in futures] == [0, 1, 2]
        with pytest.raises(ValueError, match="enable_asyncio"):
            compiled.execute(1)

    asyncio.run(use())
    compiled.teardown()
    with InputNode() as x:
        plain = first.same.bind(x).experimental_compile()

    async def misuse():
        with pytest.raises(ValueError, match="enable_asyncio"):
            await plain.execute_async(1)

    asyncio.run(misuse())
    plain.teardown()
