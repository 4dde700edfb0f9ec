"""Task graphs. Source: Ray docs, "Lazy Computation Graphs with the Ray DAG API"."""

import warnings

import pytest

import ray
from ray import cloudpickle
from ray.dag import (
    ClassMethodNode,
    ClassNode,
    DAGNode,
    FunctionNode,
    InputAttributeNode,
    InputNode,
    MultiOutputNode,
)

pytestmark = pytest.mark.filterwarnings("ignore:DAGNode.execute")


@ray.remote
def add(a, b=0):
    return a + b


@ray.remote
def same(value):
    return value


@ray.remote(num_cpus=0)
class Counter:
    def __init__(self, start=0):
        self.count = start

    def add(self, n):
        self.count += n
        return self.count

    def get(self):
        return self.count

    @ray.method(num_returns=2)
    def pair(self):
        return self.count, -self.count


class Fields:
    a = 1
    b = 2


def run(node, *args, **kwargs):
    return ray.get(node.execute(*args, **kwargs))


def test_a_bound_call_is_made_when_it_is_executed():
    node = add.bind(1, b=2)
    assert isinstance(node, FunctionNode) and isinstance(node, DAGNode)
    assert isinstance(node.execute(), ray.ObjectRef)
    assert run(node) == 3
    assert run(add.bind(add.bind(add.bind(1, 1), 1), b=add.bind(4))) == 7
    assert run(add.bind(ray.put(7), 1)) == 8


def test_options_and_arguments_can_be_looked_at():
    node = add.options(name="sum", num_cpus=0).bind(1, b=2)
    assert (node.get_args(), node.get_kwargs()) == ((1,), {"b": 2})
    assert node.get_options() == {"name": "sum", "num_cpus": 0}
    assert run(node) == 3
    assert len(node.get_stable_uuid()) == 32
    assert "FunctionNode" in str(node)


def test_nodes_inside_of_containers_are_executed_too_and_passed_as_refs():
    found = run(same.bind({"list": [add.bind(1), 5], "tuple": (add.bind(2),)}))
    assert ray.get(found["list"][0]) == 1
    assert found["list"][1] == 5
    assert ray.get(found["tuple"][0]) == 2


def test_a_shared_node_is_executed_once():
    counter = Counter.remote()
    shared = counter.add.bind(1)
    assert run(add.bind(shared, shared)) == 2
    assert run(add.bind(shared, shared)) == 4


def test_the_input_is_what_execute_gets():
    with InputNode() as x:
        node = add.bind(x, add.bind(x, 1))
    assert run(node, 5) == 11
    assert run(node, 6) == 13


def test_parts_of_the_input():
    with InputNode() as x:
        by_index = add.bind(x[0], x[1])
    with InputNode() as x:
        by_name = add.bind(x["a"], x["b"])
    with InputNode() as x:
        by_attribute = add.bind(x.a, x.b)
    with InputNode() as x:
        mixed = add.bind(x[0], x.b)
        assert isinstance(x.a, InputAttributeNode)
    assert run(by_index, 5, 6) == 11
    assert run(by_index, [5, 6]) == 11
    assert run(by_name, {"a": 1, "b": 2}) == 3
    assert run(by_name, a=1, b=3) == 4
    assert run(by_attribute, Fields()) == 3
    assert run(by_attribute, a=5, b=6) == 11
    assert run(mixed, 1, b=3) == 4
    with pytest.raises(TypeError):
        by_index.execute(5)


def test_the_input_belongs_to_a_with_statement_and_to_one_graph():
    with pytest.raises(AssertionError, match="context manager"):
        add.bind(InputNode()).execute(1)
    with pytest.raises(ValueError, match="should not take any args"):
        InputNode(1)
    with InputNode() as x, InputNode() as y:
        node = add.bind(x, y)
    with pytest.raises(AssertionError, match="one unique InputNode"):
        node.execute(1)


def test_actors_are_started_anew_by_each_execution():
    counter = Counter.bind(10)
    assert isinstance(counter, ClassNode)
    node = counter.add.bind(5)
    assert isinstance(node, ClassMethodNode)
    assert [run(node), run(node)] == [15, 15]
    handle = counter.execute()
    assert ray.get(handle.get.remote()) == 10
    assert run(Counter.bind(add.bind(1)).get.bind()) == 1
    assert ray.get(run(same.bind(counter)).get.remote()) == 10


def test_calls_on_a_bound_class_are_made_in_the_order_in_which_they_were_bound():
    counter = Counter.bind(10)
    counter.add.bind(5)
    last = counter.get.bind()
    assert run(last) == 15
    first, second = counter.add.bind(1), counter.get.bind()
    assert run(MultiOutputNode([second, first])) == [16, 16]


def test_calls_on_living_actors():
    counter = Counter.remote(1)
    node = counter.add.bind(4)
    assert [run(node), run(node)] == [5, 9]
    for wrong in (lambda: counter.add.bind(), lambda: counter.add.bind(1, 2)):
        with pytest.raises(TypeError):
            wrong()
    first, second = counter.pair.bind()
    assert run(MultiOutputNode([second, first])) == [-9, 9]


def test_several_outputs():
    node = MultiOutputNode([add.bind(1), add.bind(2)])
    refs = node.execute()
    assert isinstance(refs, list)
    assert ray.get(refs) == [1, 2]
    assert MultiOutputNode([]).execute() == []
    with pytest.raises(ValueError, match="Invalid input type"):
        MultiOutputNode(add.bind(1))


def test_wrong_use_is_refused():
    node = add.bind(1)
    with pytest.raises(AttributeError, match=r"\.execute\(\)"):
        node.remote()
    with pytest.raises(TypeError):
        node()
    with pytest.raises(AttributeError, match="nothing"):
        _ = Counter.bind().nothing
    with pytest.raises(AttributeError, match="bind"):
        Counter.bind().get.remote()
    with InputNode() as x, pytest.raises(ValueError, match="constructor"):
        Counter.bind(x)


def test_an_error_reaches_the_end():
    with pytest.raises(TypeError):
        run(add.bind(add.bind(1, "x"), 1))


def test_nodes_can_be_pickled():
    with InputNode() as x:
        node = add.bind(x, add.bind(1, 1))
    copy = cloudpickle.loads(cloudpickle.dumps(node))
    assert copy.get_stable_uuid() == node.get_stable_uuid()
    assert run(copy, 3) == 5


def test_a_graph_can_be_transformed():
    node = add.bind(add.bind(1, 2), b=add.bind(3, 4))

    def value(each):
        return sum(each.get_args()) + sum(each.get_kwargs().values())

    assert node.apply_recursive(value) == 10


def test_a_deep_graph():
    node = add.bind(0)
    for _ in range(200):
        node = same.bind(node)
    assert run(node) == 0


def test_execute_is_deprecated():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        add.bind(1).execute()
    assert any(issubclass(each.category, DeprecationWarning) for each in caught)
