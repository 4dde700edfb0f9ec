"""Where tests put tokens of clusters, and how they take them away again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def _default_path() -> Path:
    return Path.home() / ".ray" / "auth_token"


def set_auth_mode(mode: str) -> None:
    """ "token" or "disabled"."""
    os.environ["RAY_AUTH_MODE"] = mode


def set_env_auth_token(token: str) -> None:
    os.environ["RAY_AUTH_TOKEN"] = token
    os.environ.pop("RAY_AUTH_TOKEN_PATH", None)


def set_auth_token_path(token: str, path: Path) -> None:
    """Write a token to a file, unless it is "", and have it read from there."""
    if token:
        path.write_text(token)
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    os.environ.pop("RAY_AUTH_TOKEN", None)


def set_default_auth_token(token: str) -> Path:
    """Write the token of this user; returns its file."""
    path = _default_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(token)
    return path


def clear_auth_token_sources(remove_default: bool = False) -> None:
    """Forget the variables; with `remove_default` the user's file as well."""
    for name in _VARIABLES[1:]:
        os.environ.pop(name, None)
    if remove_default:
        _default_path().unlink(missing_ok=True)


def reset_auth_token_state() -> None:
    """There is nothing to reset: tokens are read when they are needed."""


@contextlib.contextmanager
def authentication_env_guard() -> Iterator[None]:
    """What a block does to the variables and to the user's file is undone at its end."""
    variables = {name: os.environ.get(name) for name in (*_VARIABLES, "HOME")}
    path = _default_path()
    token = path.read_text() if path.exists() else None
    try:
        yield
    finally:
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if token is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(token)
