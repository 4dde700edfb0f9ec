"""`ray._common.signature`, `ray._common.retry`, and scanning of objects."""

import inspect

import pytest

from ray._common.retry import call_with_retry, retry
from ray._common.signature import extract_signature, flatten_args, recover_args, validate_args
from ray.dag.py_obj_scanner import _PyObjScanner


class Source:
    pass


class Box:
    def __init__(self, held):
        self.held = held


def function(a, b=2, *args, c, d=4, **kw): ...


def test_arguments_are_checked_and_flattened():
    parameters = extract_signature(function)
    validate_args(parameters, (1,), {"c": 3})
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        validate_args(parameters, (), {"c": 3})
    flat = flatten_args(parameters, (1, 5), {"c": 3})
    assert recover_args(flat) == ([1, 5], {"c": 3})
    assert [p.name for p in extract_signature(Box.__init__, ignore_first=True)] == ["held"]
    with pytest.raises(ValueError, match="'self'"):
        extract_signature(lambda: 1, ignore_first=True)
    assert all(isinstance(p, inspect.Parameter) for p in parameters)


def test_a_call_is_tried_again_until_it_succeeds_or_the_attempts_are_used_up(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda s: None)
    seen = []

    def flaky(at):
        seen.append(at)
        if len(seen) < at:
            raise OSError("not yet")
        return len(seen)

    assert call_with_retry(flaky, "try", None, 5, 1, 3) == 3
    seen.clear()
    with pytest.raises(OSError, match="not yet"):
        call_with_retry(flaky, "try", ["not"], 2, 1, 3)
    seen.clear()
    with pytest.raises(OSError):
        retry("try", match=["something else"])(flaky)(3)
    assert seen == [3]


def test_objects_of_a_type_are_found_anywhere_and_replaced():
    a, b = Source(), Source()
    scanner = _PyObjScanner(source_type=Source)
    assert scanner.find_nodes([a, [b, {"k": a}], Box(b)]) == [a, b]
    copy = scanner.replace_nodes({a: 1, b: 2})
    assert copy[:2] == [1, [2, {"k": 1}]]
    assert copy[2].held == 2
    scanner.clear()
