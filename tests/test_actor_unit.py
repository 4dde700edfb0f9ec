"""Actor classes, handles and methods on a core worker that only writes down what it is asked."""

import itertools
import pickle
from types import SimpleNamespace

import pytest

from ray._core.common.options import STREAMING
from ray._core.worker import object_ref
from ray.actor import ActorClass, ActorClassInheritanceException, ActorHandle, exit_actor, make_actor_class, method


class State:
    def __init__(self, actor_id: bytes, class_name: str, methods: dict) -> None:
        self.actor_id, self.class_name, self.methods = actor_id, class_name, methods

    def serialize(self) -> bytes:
        return pickle.dumps((self.actor_id, self.class_name, self.methods))


class FakeCore:
    """The part of CoreWorker that actors use."""

    mode, namespace, detached_actors = "driver", "here", False

    def __init__(self) -> None:
        self.session_token = object()
        self.created: list = []
        self.templates: list = []
        self.calls: list = []
        self._numbers = itertools.count(1)

    def create(self, cls, options, methods, args, kwargs):
        self.created.append((cls, options, args, kwargs))
        return State(bytes([next(self._numbers)]) * 16, options.class_name, methods)

    def template(self, state, name, options):
        self.templates.append((name, options))
        return SimpleNamespace(name=name, options=options)

    def submit(self, state, template, args, kwargs):
        self.calls.append((template.name, args, kwargs))
        count = template.options.num_returns
        return "generator" if count == STREAMING else [f"ref{index}" for index in range(max(count, 0))]

    def restore(self, blob):
        return State(*pickle.loads(blob))

    actor_id = b""

    @property
    def actors(self):
        return self


@pytest.fixture
def core(monkeypatch):
    fake = FakeCore()
    monkeypatch.setattr(object_ref, "_core", fake)
    return fake


class Counter:
    """Counts."""

    STEP = 2

    def __init__(self, start, *, step=1):
        self.value = start

    def add(self, amount=1):
        return amount

    @method(num_returns=2, concurrency_group="io", max_task_retries=5)
    def pair(self, x, /, y):
        return x, y

    def items(self):
        yield 1

    @staticmethod
    def still(x):
        return x

    @classmethod
    def named(cls, x):
        return cls.__name__

    def __len__(self):
        return 3


class Async:
    async def work(self): ...


def test_a_class_becomes_an_actor_class_with_its_methods_and_their_options(core) -> None:
    cls = make_actor_class(Counter, {"num_cpus": 2, "max_restarts": 3})
    handle = cls.remote(5, step=2)
    modified, options, args, kwargs = core.created[0]
    assert (args, kwargs) == ((5,), {"step": 2})
    assert modified.__mro__[1] is Counter and modified.__name__ == "Counter"
    assert cls.__ray_metadata__.modified_class is modified
    assert (options.placing.resources, options.held) == ({"CPU": 20_000}, {"CPU": 20_000})
    assert (options.max_restarts, options.namespace, options.is_async) == (3, "here", False)
    expected = {"add", "pair", "items", "still", "named", "__len__", "__ray_ready__", "__ray_call__", "__init__"}
    assert expected <= set(dir(handle))
    assert cls.__doc__ == "Counts." and cls.STEP == 2 and "ActorClass(Counter) object at 0x" in repr(cls)


def test_methods_are_called_by_remote_alone_and_made_once(core) -> None:
    handle = make_actor_class(Counter, {}).remote(1)
    assert handle.add is handle.add
    assert handle.add.remote(3) == "ref0"
    assert handle.add.remote(amount=4) == "ref0"
    assert handle.pair.remote(1, 2) == ["ref0", "ref1"]
    assert handle.items.remote() == "generator"
    assert handle.__len__.remote() == "ref0"
    assert handle.still.remote(1) == handle.named.remote(1) == "ref0"
    assert handle.add.options(num_returns=0).remote() is None
    assert core.calls[:2] == [("add", (3,), {}), ("add", (), {"amount": 4})]
    assert [name for name, _ in core.templates].count("add") == 2  # its own, and that of .options()
    with pytest.raises(TypeError, match=r"object\.add\.remote"):
        handle.add(1)


def test_method_options_are_the_decorators_until_the_call_says_otherwise(core) -> None:
    handle = make_actor_class(Counter, {}).remote(1)
    bound = handle.pair.options(max_task_retries=1, name="p")
    bound.remote(1, 2)
    _, options = core.templates[-1]
    assert (options.num_returns, options.concurrency_group, options.max_task_retries, options.name) == (2, "io", 1, "p")
    with pytest.raises(TypeError, match="Unknown option"):
        handle.pair.options(foo=1)
    with pytest.raises(ValueError, match="generator functions"):
        handle.add.options(num_returns="streaming")


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [((), {}, "missing.*'x'"), ((1,), {"x": 2, "y": 1}, "unexpected keyword"), ((1, 2, 3), {}, "too many")],
)
def test_wrong_calls_are_refused_by_the_caller(core, args, kwargs, text) -> None:
    handle = make_actor_class(Counter, {}).remote(1)
    with pytest.raises(TypeError, match=text):
        handle.pair.remote(*args, **kwargs)
    with pytest.raises(TypeError, match="missing a required argument: 'start'"):
        make_actor_class(Counter, {}).remote()


def test_unknown_attributes_and_plain_ones_are_not_methods(core) -> None:
    handle = make_actor_class(Counter, {}).remote(1)
    for name in ("nope", "STEP", "value"):
        with pytest.raises(AttributeError, match=name):
            getattr(handle, name)


def test_a_handle_is_its_actor_wherever_it_goes(core) -> None:
    cls = make_actor_class(Counter, {})
    first, second = cls.remote(1), cls.remote(1)
    first.add.remote()
    copy = pickle.loads(pickle.dumps(first))
    assert copy == first != second
    assert hash(copy) == hash(first)
    assert repr(copy) == f"Actor(Counter, {'01' * 16})"
    assert copy._actor_id.hex() == "01" * 16 == copy._ray_actor_id.hex()
    assert copy.pair.remote(1, y=2) == ["ref0", "ref1"]


def test_dropping_a_handle_leaves_no_cycle(core) -> None:
    import gc
    import weakref

    handle = make_actor_class(Counter, {}).remote(1)
    handle.add.remote()
    watched = weakref.ref(handle._ray_state)
    gc.disable()
    try:
        del handle
        assert watched() is None
    finally:
        gc.enable()


def test_an_async_method_makes_an_asyncio_actor(core) -> None:
    make_actor_class(Async, {}).remote()
    options = core.created[0][1]
    assert (options.is_async, options.max_concurrency, options.allow_out_of_order) == (True, 1000, True)
    with pytest.raises(ValueError, match="allow_out_of_order_execution=False"):
        make_actor_class(Async, {"allow_out_of_order_execution": False}).remote()


@pytest.mark.parametrize(
    ("given", "placed", "held"),
    [
        ({}, {"CPU": 10_000}, {}),
        ({"memory": 100}, {"CPU": 10_000, "memory": 1_000_000}, {"memory": 1_000_000}),
        ({"num_cpus": 0}, {}, {}),
        ({"num_gpus": 1}, {"CPU": 10_000, "GPU": 10_000}, {"CPU": 10_000, "GPU": 10_000}),
        ({"resources": {"a": 1}}, {"CPU": 10_000, "a": 10_000}, {"CPU": 10_000, "a": 10_000}),
    ],
)
def test_an_actor_that_names_no_resource_holds_none(core, given, placed, held) -> None:
    """Ray docs, "Resources", "Specifying Task or Actor Resource Requirements"."""
    make_actor_class(Async, given).remote()
    options = core.created[0][1]
    assert (options.placing.resources, options.held) == (placed, held)


def test_what_cannot_be_is_refused(core) -> None:
    cls = make_actor_class(Counter, {})
    with pytest.raises(TypeError, match=r"Counter\.remote\(\)"):
        cls()
    with pytest.raises(ActorClassInheritanceException, match="'Sub' of actor class 'Counter'"):
        type("Sub", (object,), {}) and make_sub(cls)
    with pytest.raises(ValueError, match="get_if_exists"):
        cls.options(get_if_exists=True)
    assert isinstance(cls.options(name="n").options(get_if_exists=True), ActorClass)
    with pytest.raises(ValueError, match="concurrency_groups"):
        cls.options(concurrency_groups={"io": 1})
    for name, text in (("name", "cannot be an empty string"), ("namespace", "not a valid namespace")):
        with pytest.raises(ValueError, match=text):
            cls.options(**{name: ""}).remote(1)
    with pytest.raises(AssertionError, match="foo"):
        method(foo=1)
    with pytest.raises(TypeError, match="inside an actor"):
        exit_actor()


def make_sub(cls) -> None:
    class Sub(cls): ...


def test_an_actor_class_can_be_pickled(core) -> None:
    copy = pickle.loads(pickle.dumps(make_actor_class(Counter, {"num_cpus": 1})))
    assert isinstance(copy.remote(1), ActorHandle)
