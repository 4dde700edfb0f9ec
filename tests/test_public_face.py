"""`import ray` itself, remote functions on a core worker that only writes down, and the checks of `ray.init`."""

import itertools
import json
import pickle
import subprocess
import sys
from types import SimpleNamespace

import pytest

import ray
from ray._core.worker import object_ref
from ray._private import addresses, not_yet
from ray._private.test_utils import wait_for_condition
from ray.remote_function import RemoteFunction


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_ray_imports_next_to_nothing() -> None:
    heavy = [
        "asyncio",
        "numpy",
        "click",
        "msgspec",
        "cloudpickle",
        "inspect",
        "ray._private.worker",
        "ray._core.worker",
    ]
    found = json.loads(python(f"import sys, json, ray; print(json.dumps([m for m in {heavy} if m in sys.modules]))"))
    assert found == []


def test_a_driver_imports_no_asyncio_until_its_program_does() -> None:
    code = "import sys, ray; ray.init; from ray._core.worker import core, driver_log; from ray._core.node import node"
    assert python(f"{code}; print('asyncio' in sys.modules)") == "False\n"


def test_the_engine_does_not_import_the_public_face() -> None:
    code = "import sys, ray._core.worker.main; print([m for m in sys.modules if m.startswith('ray._private')])"
    assert python(code).strip() == "[]"


def test_every_public_name_is_there_and_found_once() -> None:
    for name in ray.__all__:
        assert getattr(ray, name) is getattr(ray, name)
        assert name in vars(ray)
    assert set(ray.__all__) <= set(dir(ray))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ray.no_such_name
    assert ray.ObjectID is ray.ObjectRef
    assert (ray.SCRIPT_MODE, ray.WORKER_MODE) == (0, 1)


# ------------------------------------------------------------------ remote functions


class FakeCore:
    mode = "driver"

    def __init__(self) -> None:
        self.session_token = object()
        self.templates: list = []
        self.calls: list = []
        self._numbers = itertools.count()

    def template(self, function, options):
        self.templates.append(options)
        return SimpleNamespace(options=options, number=next(self._numbers))

    def submit(self, template, args, kwargs):
        self.calls.append((template.number, args, kwargs))
        return [f"ref{index}" for index in range(template.options.num_returns)]


@pytest.fixture
def core(monkeypatch):
    fake = FakeCore()
    monkeypatch.setattr(object_ref, "_core", fake)
    return fake


def add(a, b=0, *, c=0):
    """Adds."""
    return a + b + c


def test_a_call_is_submitted_with_the_template_of_its_options(core) -> None:
    f = RemoteFunction(add, {"num_cpus": 2})
    assert f.remote(1) == "ref0"
    assert f.remote(1, c=3) == "ref0"
    assert f._remote(args=[1], kwargs={"b": 2}) == "ref0"
    assert f._remote(args=(1,), num_returns=2) == ["ref0", "ref1"]
    assert core.calls == [(0, (1,), {}), (0, (1,), {"c": 3}), (0, (1,), {"b": 2}), (1, (1,), {})]
    assert core.templates[0].function_name == f"{add.__module__}.add"
    assert f.__doc__ == "Adds." and f._function is add


def test_the_same_options_make_one_template_however_often_they_are_given(core) -> None:
    f = RemoteFunction(add, {})
    for _ in range(3):
        f.options(name="n").remote(1)
        assert f.options(num_returns=0).remote(1) is None
    assert len(core.templates) == 2


def test_a_new_session_makes_new_templates(core, monkeypatch) -> None:
    f = RemoteFunction(add, {})
    f.remote(1)
    other = FakeCore()
    monkeypatch.setattr(object_ref, "_core", other)
    f.remote(1)
    assert len(core.templates) == len(other.templates) == 1


def test_wrong_calls_are_refused_before_they_are_sent(core) -> None:
    f = RemoteFunction(add, {})
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"a": 1}), ((1,), {"x": 1})):
        with pytest.raises(TypeError):
            f.remote(*args, **kwargs)
    assert core.calls == []
    with pytest.raises(TypeError, match=r"add\.remote\(\)"):
        f(1)


def test_what_the_engine_cannot_do_yet_is_refused_by_name() -> None:
    with pytest.raises(NotImplementedError, match="teleportation"):
        not_yet.refuse("teleportation")
    not_yet.refuse(None)


def test_the_decorator_takes_functions_and_classes_only() -> None:
    for wrong in ((), (1,), (add, add), ("x",)):
        with pytest.raises(AssertionError, match=r"@ray\.remote"):
            ray.remote(*wrong)
    for wrong in (len, ray.remote(add)):
        with pytest.raises(TypeError, match="either a function or a class"):
            ray.remote(wrong)

    async def asynchronous(): ...

    with pytest.raises(ValueError, match="async def"):
        ray.remote(asynchronous)
    assert isinstance(pickle.loads(pickle.dumps(ray.remote(add))), RemoteFunction)


def test_arguments_of_get_put_wait_and_their_kin_are_checked() -> None:
    for call, error in (
        (lambda: ray.get(5), ValueError),
        (lambda: ray.get((1,)), ValueError),
        (lambda: ray.wait((1,)), TypeError),
        (lambda: ray.wait([5]), TypeError),
        (lambda: ray.wait([], timeout=-1), ValueError),
        (lambda: ray.put(1, _owner=5), ValueError),
        (lambda: ray.kill(5), ValueError),
        (lambda: ray.cancel(5), TypeError),
        (lambda: ray.get_actor(""), ValueError),
        (lambda: ray.get_actor("n", namespace=""), ValueError),
    ):
        with pytest.raises(error), pytest.MonkeyPatch.context() as patch:
            patch.setattr(object_ref, "_core", FakeCore())
            call()


# ------------------------------------------------------------------ ray.init


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"foo": 1}, RuntimeError, "foo"),
        ({"local_mode": True}, RuntimeError, "local_mode"),
        ({"namespace": ""}, ValueError, "namespace"),
        ({"namespace": 5}, TypeError, "namespace"),
        ({"_system_config": "x"}, TypeError, "_system_config"),
        ({"_temp_dir": "relative"}, ValueError, "temp_dir"),
        ({"address": "nohost"}, ValueError, "Invalid address format"),
        ({"address": "127.0.0.1:1"}, ConnectionError, "127.0.0.1:1"),
        ({"address": "127.0.0.1:1", "num_cpus": 1}, ValueError, "num_cpus must not be provided"),
        ({"address": "local", "resources": {"CPU": 1}}, ValueError, "num_cpus"),
        ({"address": "local", "resources": {"a": 1.5}}, ValueError, "whole"),
        ({"address": "local", "num_cpus": -1}, ValueError, "CPU"),
        ({"address": "local", "object_store_memory": 1000}, ValueError, "1000 bytes"),
    ],
)
def test_init_refuses_what_cannot_be(arguments, error, text, monkeypatch) -> None:
    monkeypatch.setenv("RAY_gcs_rpc_server_connect_timeout_s", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(error, match=text):
        ray.init(configure_logging=False, **arguments)
    assert not ray.is_initialized()


def test_the_address_comes_from_the_argument_then_the_environment_then_the_record(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert addresses.find(None, tmp_path) is None
    with pytest.raises(ConnectionError, match="ray start --head"):
        addresses.find("auto", tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "here:1")
    assert addresses.find(None, tmp_path).address == "here:1"
    assert addresses.find("there:2", tmp_path).address == "there:2"
    assert addresses.find("local", tmp_path) is None
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert addresses.find(None, tmp_path) is None
    monkeypatch.delenv("RAY_ADDRESS")
    (tmp_path / "ray_current_cluster").write_text("127.0.0.1:1")  # nobody listens there any more
    assert addresses.find(None, tmp_path) is None


def test_state_calls_need_a_session() -> None:
    for call in (ray.nodes, ray.cluster_resources, ray.available_resources):
        with pytest.raises(ray.exceptions.RaySystemError, match="Ray has not been started yet"):
            call()


def test_wait_for_condition_tells_what_went_wrong_last() -> None:
    wait_for_condition(lambda: True)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        wait_for_condition(lambda: 1 / 0, timeout=0.01, retry_interval_ms=1)
