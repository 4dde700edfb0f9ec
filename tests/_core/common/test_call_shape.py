"""A call is refused before it is sent, exactly when Python itself would refuse it."""

import inspect
import itertools
import pickle

import pytest

from ray._core.common.call_shape import CallChecker, shape_of

FUNCTIONS = [
    lambda: 0,
    lambda a: 0,
    lambda a, b=1: 0,
    lambda a, /, b, c=2: 0,
    lambda a=0, /: 0,
    lambda *args: 0,
    lambda a, *args, k, m=2: 0,
    lambda a, **kwargs: 0,
    lambda a, /, **kwargs: 0,
    lambda *, k: 0,
    lambda a, b=1, *args, k=3, **kwargs: 0,
]
CALLS = [(count, names) for count in range(4) for size in range(3) for names in itertools.combinations("abckx", size)]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: str(inspect.signature(f)))
def test_the_check_agrees_with_python(function) -> None:
    checker = CallChecker(pickle.loads(pickle.dumps(shape_of(function))))
    for count, names in CALLS:
        kwargs = dict.fromkeys(names)
        try:
            inspect.signature(function).bind(*[None] * count, **kwargs)
            fits = True
        except TypeError:
            fits = False
        for _ in range(2):  # the second time from memory
            try:
                checker.check(count, kwargs)
                passed = True
            except TypeError:
                passed = False
            assert passed == fits, (count, names)
        if not names:
            assert (checker.least <= count <= checker.most) == fits


def test_methods_are_checked_without_self() -> None:
    def method(self, x): ...

    shape = shape_of(method, skip=1)
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        shape.check(0, {})


def test_functions_without_signature_take_anything() -> None:
    shape_of(dict.fromkeys).check(2, {})
    shape_of(iter).check(5, {"x": 1})
