"""The token that a process needs, before it starts a cluster or joins one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray._core.common.errors import AuthenticationError
from ray._core.wire import auth
from ray._private.authentication.authentication_constants import TOKEN_AUTH_ENABLED_BUT_NO_TOKEN_FOUND_ERROR_MESSAGE


def generate_and_save_token() -> None:
    """Make a token in ~/.ray/auth_token, unless one is there."""
    auth.create_token()


def ensure_token_if_auth_enabled(
    system_config: Mapping[str, Any] | None = None, create_token_if_missing: bool = True
) -> None:
    """With RAY_AUTH_MODE=token, see to it that there is a token.

    Raises:
        RuntimeError: the mode is in `system_config`, which cannot be.
        AuthenticationError: there is none, and none is to be made.
    """
    if system_config and "AUTH_MODE" in system_config:
        raise RuntimeError("Set authentication mode by the RAY_AUTH_MODE environment variable, not by system_config.")
    if auth.token_mode() != "token" or auth.find_token():
        return
    if not create_token_if_missing:
        raise AuthenticationError(TOKEN_AUTH_ENABLED_BUT_NO_TOKEN_FOUND_ERROR_MESSAGE)
    generate_and_save_token()


__all__ = ["ensure_token_if_auth_enabled", "generate_and_save_token"]
