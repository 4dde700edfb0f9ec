"""The exception classes by themselves; no cluster."""

import inspect
import logging
import pickle

import pytest

import ray.exceptions
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    GetTimeoutError,
    ObjectLostError,
    ObjectReconstructionFailedError,
    RayActorError,
    RayError,
    RaySystemError,
    RayTaskError,
    TaskCancelledError,
    UnserializableException,
)

TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    boom()\nValueError: x\n'

SAMPLES: dict[str, tuple[object, ...]] = {
    "RayTaskError": ("f", TRACEBACK, ValueError("x")),
    "ObjectReconstructionFailedError": ("ab", "PUT", "it came from put()"),
    "RpcError": ("gone", 14),
    "TaskCancelledError": ("12ab", "by force"),
}


def _sample(cls: type[RayError]) -> RayError:
    if cls.__name__ in SAMPLES:
        return cls(*SAMPLES[cls.__name__])
    required = [
        p
        for p in list(inspect.signature(cls.__init__).parameters.values())[1:]
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    return cls(*[f"value of {p.name}" for p in required])


@pytest.mark.parametrize("name", [name for name in ray.exceptions.__all__ if not name.isupper()])
def test_every_exception_keeps_text_and_fields_through_pickle(name: str) -> None:
    error = _sample(getattr(ray.exceptions, name))
    for copy in (pickle.loads(pickle.dumps(error)), RayError.from_bytes(error.to_bytes())):
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert {k: repr(v) for k, v in vars(copy).items()} == {k: repr(v) for k, v in vars(error).items()}
    assert type(error).__module__ == "ray.exceptions"


def test_the_families_are_those_of_ray() -> None:
    assert issubclass(GetTimeoutError, TimeoutError)
    assert issubclass(ActorDiedError, RayActorError)
    assert issubclass(ObjectReconstructionFailedError, ObjectLostError)
    assert ray.exceptions.ActorAlreadyExistsError.__mro__[1] is ValueError
    assert issubclass(ray.exceptions.RayChannelTimeoutError, TimeoutError)
    assert issubclass(ray.exceptions.ReferenceCountingAssertionError, AssertionError)


def test_a_task_error_is_raised_as_an_instance_of_its_cause_too() -> None:
    error = RayTaskError("f", TRACEBACK, FileNotFoundError(2, "no such file", "a.txt"), "ray::f", 12, "10.0.0.1")
    raised = error.as_instanceof_cause()
    assert isinstance(raised, RayTaskError) and isinstance(raised, FileNotFoundError)
    assert type(raised).__name__ == "RayTaskError(FileNotFoundError)"
    assert raised.args == (error.cause,)
    assert (raised.errno, raised.filename) == (2, "a.txt")
    assert str(raised).startswith("ray::f() (pid=12, ip=10.0.0.1)\n  File ")
    assert type(pickle.loads(pickle.dumps(raised))) is type(raised)


class Coded(Exception):
    code = 0
    __slots__ = ("slot",)

    def __init__(self, code: int, slot: str) -> None:
        super().__init__(code, slot)
        self.code = code
        self.slot = slot


def test_attributes_of_the_cause_are_attributes_of_what_is_raised() -> None:
    raised = RayTaskError("f", TRACEBACK, Coded(7, "s")).as_instanceof_cause()
    assert isinstance(raised, Coded)
    assert (raised.code, raised.slot, raised.function_name) == (7, "s", "f")


def test_an_actor_method_error_names_the_actor() -> None:
    error = RayTaskError("A.m", TRACEBACK, KeyError("k"), "ray::A.m", 5, "10.0.0.1", "A(1)", "ab" * 16)
    assert f"ray::A.m() (pid=5, ip=10.0.0.1, actor_id={'ab' * 16}, repr=A(1))" in str(error)


def test_an_error_passed_on_keeps_the_class_that_user_code_raised() -> None:
    inner = RayTaskError("f", TRACEBACK, ValueError("x"))
    for cause in (inner, inner.as_instanceof_cause()):
        outer = RayTaskError("g", TRACEBACK, cause).as_instanceof_cause()
        assert isinstance(outer, ValueError) and outer.function_name == "g"


def test_exception_groups_stay_groups() -> None:
    raised = RayTaskError("f", "tb", ExceptionGroup("all", [ValueError(1), KeyError(2)])).as_instanceof_cause()
    assert isinstance(raised, ExceptionGroup) and len(raised.exceptions) == 2
    assert isinstance(pickle.loads(pickle.dumps(raised)), ExceptionGroup)


class Final(Exception):
    def __init_subclass__(cls) -> None:
        raise TypeError("no subclasses")


def test_a_cause_that_allows_no_subclass_gives_a_plain_task_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("ray"), "propagate", True)  # a session of before may have changed it
    error = RayTaskError("f", "tb", Final())
    assert error.as_instanceof_cause() is error
    assert "cannot be subclassed" in caplog.text


def test_a_cause_that_is_a_ray_error_itself_gives_the_plain_or_the_dual_class() -> None:
    plain = RayTaskError("f", "tb", RayError("text"))
    assert plain.as_instanceof_cause() is plain
    assert isinstance(RayTaskError("f", "tb", TaskCancelledError()).as_instanceof_cause(), TaskCancelledError)


def test_a_cause_that_cannot_be_pickled_arrives_as_text() -> None:
    cause = ValueError("x")
    cause.lock = __import__("threading").Lock()  # type: ignore[attr-defined]
    copy = pickle.loads(pickle.dumps(RayTaskError("f", TRACEBACK, cause)))
    assert type(copy) is RayTaskError and type(copy.cause) is RayError
    assert "isn't serializable" in str(copy.cause) and "boom()" in str(copy.cause)


class NeedsTwo(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__("only one")


def test_a_cause_that_cannot_be_unpickled_arrives_as_unserializable() -> None:
    copy = pickle.loads(pickle.dumps(RayTaskError("f", TRACEBACK, NeedsTwo(1, 2))))
    assert type(copy) is UnserializableException
    assert "boom()" in str(copy)


def test_actor_errors_tell_what_is_known() -> None:
    error = ActorDiedError("killed by ray.kill", actor_id="ab", class_name="A", name="n", pid=3, reason="KILLED")
    assert (error.actor_id, error.actor_init_failed, error.preempted) == ("ab", False, False)
    for part in ("class_name: A", "actor_id: ab", "pid: 3", "name: n", "killed by ray.kill"):
        assert part in str(error)
    failed = ActorDiedError(RayTaskError("A.__init__", TRACEBACK, ValueError("x"), "ray::A.__init__", actor_id="cd"))
    assert failed.actor_init_failed and failed.actor_id == "cd" and "ValueError: x" in str(failed)
    away = ActorUnavailableError("it restarts", b"\x01" * 16)
    assert away.actor_id == "01" * 16 and "may or may not" in str(away)


def test_a_system_error_keeps_what_the_client_raised() -> None:
    error = RaySystemError("no cluster", "tb")
    assert (error.client_exc, error.traceback_str) == ("no cluster", "tb")
    assert str(error) == "System error: no cluster\ntraceback: tb"
