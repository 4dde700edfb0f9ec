"""Who may use the dashboard: the bearer of the cluster's token, from no page of another site.

An ASGI middleware. Source: docs/architecture.md, "Security"; Ray docs, "Token authentication".
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

COOKIE = "ray-authentication-token"
OPEN_PATHS = ("/", "/api/authentication_mode", "/api/authenticate", "/api/healthz", "/api/gcs_healthz")
OPEN_PREFIXES = ("/static/",)
COOKIE_LIFE_S = 30 * 24 * 3600

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class Refused(Exception):
    """A request that goes no further. `status` is the HTTP code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def token_of(headers: Mapping[str, str]) -> str | None:
    """The token that a request brings: by header, Ray's own header, or cookie."""
    for name in ("authorization", "x-ray-authorization"):
        scheme, _, value = headers.get(name, "").partition(" ")
        if scheme.lower() == "bearer" and value:
            return value.strip()
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE and value:
            return value
    return None


def check_origin(headers: Mapping[str, str], allowed_hosts: frozenset[str]) -> None:
    """Raises Refused for a request that a page of another site makes, or that names a host which we are not.

    A name that resolves to this machine may belong to anybody (DNS rebinding); numbers and our own names may not.
    """
    host = headers.get("host", "")
    name = urlsplit(f"//{host}").hostname or ""
    if not _is_address(name) and name.lower() not in allowed_hosts:
        raise Refused(
            403, f"This server is not {name!r}. Use its address, or one of: {', '.join(sorted(allowed_hosts))}."
        )
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        raise Refused(403, f"Requests from pages of {origin!r} are not taken.")
    if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":  # a link is
        raise Refused(403, "Requests from pages of other sites are not taken.")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def check_token(path: str, headers: Mapping[str, str], token: str | None) -> None:
    """Raises Refused unless the path is open, the cluster takes everybody, or the token is right."""
    if token is None or path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
        return
    given = token_of(headers)
    if given is None:
        raise Refused(401, "Unauthorized: Missing authentication token")
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise Refused(403, "Forbidden: Invalid authentication token")


def own_names(*more: str) -> frozenset[str]:
    """Host names under which this server may be asked for."""
    names = {"localhost", socket.gethostname(), socket.getfqdn(), *more}
    return frozenset(name.lower() for name in names if name)


class Guard:
    """Lets requests through to `app`, or answers them itself.

    Args:
        token: of the cluster; None: it takes everybody.
        allowed_hosts: names that we are known by (see `own_names`).
    """

    def __init__(self, app: App, token: str | None, allowed_hosts: frozenset[str]) -> None:
        self._app = app
        self._token = token
        self._hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"]
        try:
            check_origin(headers, self._hosts)
            check_token(path, headers, self._token)
        except Refused as refusal:
            await _refuse(scope, receive, send, refusal)
            return
        if path == "/api/authentication_mode":
            mode = "disabled" if self._token is None else "token"
            await _answer(send, 200, {"authentication_mode": mode})
        elif path == "/api/authenticate" and scope["type"] == "http":
            await self._authenticate(scope, receive, send, headers)
        else:
            await self._app(scope, receive, send)

    async def _authenticate(self, scope: Scope, receive: Any, send: Any, headers: Mapping[str, str]) -> None:
        """Exchange the token for a cookie: from the header, or (the printed login link) the query."""
        query = parse_qs(scope["query_string"].decode())
        given = token_of(headers) or next(iter(query.get("token", [])), None)
        if self._token is not None and (given is None or not hmac.compare_digest(given.encode(), self._token.encode())):
            await _answer(send, 401 if given is None else 403, {"status": "unauthenticated"})
            return
        cookie = f"{COOKIE}={given or ''}; Path=/; Max-Age={COOKIE_LIFE_S}; HttpOnly; SameSite=Strict"
        await _answer(send, 200, {"status": "authenticated"}, [(b"set-cookie", cookie.encode())])


async def _refuse(scope: Scope, receive: Any, send: Any, refusal: Refused) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.text})
        return
    body = refusal.text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer(send: Any, status: int, content: Any, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = json.dumps(content).encode()
    all_headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": all_headers + (headers or [])})
    await send({"type": "http.response.body", "body": body})
