"""Functions and actors of other languages. Their names are here; workers that could run them are not."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NoReturn

from ray._private.not_included import absent_names


class Language(enum.IntEnum):
    PYTHON = 0
    JAVA = 1
    CPP = 2


class _Foreign:
    """What stands for a function or class of another language: options can be set, a call is refused."""

    def __init__(self, language: Language, name: str) -> None:
        self._language = language
        self._name = name

    def __repr__(self) -> str:
        return f"<{self._language.name} {self._name}>"

    def options(self, **options: Any) -> _Foreign:
        return self

    def remote(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises ValueError: pure-ray runs Python workers only."""
        raise ValueError(
            f"{self._name} is to run in a {self._language.name} worker. Cross language calls are not available in "
            "pure-ray, which has Python workers only."
        )

    _remote = remote

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"Remote functions cannot be called directly. Instead of running '{self._name}()', "
            f"try '{self._name}.remote()'."
        )


def java_function(class_name: str, function_name: str) -> _Foreign:
    """A static method of a Java class."""
    return _Foreign(Language.JAVA, f"{_text(class_name)}.{_text(function_name)}")


def java_actor_class(class_name: str) -> _Foreign:
    return _Foreign(Language.JAVA, _text(class_name))


def cpp_function(function_name: str) -> _Foreign:
    return _Foreign(Language.CPP, _text(function_name))


def cpp_actor_class(create_function_name: str, class_name: str) -> _Foreign:
    """Args: create_function_name: of the function that makes an instance."""
    return _Foreign(Language.CPP, f"{_text(class_name)} by {_text(create_function_name)}")


def _text(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"A name of another language's code is a str, not {type(name).__name__}.")
    return name


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "_format_args _get_function_descriptor_for_actor_method",
    )
