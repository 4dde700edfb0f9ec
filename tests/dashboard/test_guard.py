"""Who gets past the dashboard's guard."""

import asyncio
import json

import pytest

from ray.dashboard.guard import COOKIE, Guard, own_names

TOKEN = "secret"


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


def ask(path="/api/jobs/", headers=None, token=TOKEN, kind="http", query=""):
    """Status and body of the answer; for a WebSocket that is turned away, the code of its close."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "websocket.connect"}

    given = {"host": "127.0.0.1:8265", **(headers or {})}
    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    asyncio.run(Guard(app, token, own_names("dash.example.org"))(scope, receive, send))
    if sent[0]["type"] == "websocket.close":
        return sent[0]["code"], sent[0]["reason"]
    return sent[0]["status"], sent[1]["body"].decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer secret"},
        {"x-ray-authorization": "bearer secret"},
        {"cookie": f"a=b; {COOKIE}=secret"},
    ],
)
def test_the_token_comes_by_header_or_cookie(headers):
    assert ask(headers=headers) == (200, "inside")


def test_without_token_401_with_a_wrong_one_403():
    assert ask()[0] == 401
    assert ask(headers={"authorization": "Basic secret"})[0] == 401
    assert ask(headers={"authorization": "Bearer other"})[0] == 403
    assert ask(headers={"authorization": "Bearer other", "cookie": f"{COOKIE}=secret"})[0] == 403
    assert ask(kind="websocket")[0] == 1008


def test_a_cluster_without_tokens_takes_everybody_but_no_page_of_another_site():
    assert ask(token=None) == (200, "inside")
    assert ask(token=None, headers={"origin": "http://evil.org"})[0] == 403
    assert ask(token=None, headers={"origin": "http://127.0.0.1:8265"})[0] == 200
    assert ask(token=None, headers={"origin": "null"})[0] == 403


def test_names_that_are_not_ours_are_refused():
    assert ask(token=None, headers={"host": "evil.org:8265"})[0] == 403
    assert ask(token=None, headers={"host": "localhost:8265"})[0] == 200
    assert ask(token=None, headers={"host": "DASH.example.org"})[0] == 200
    assert ask(token=None, headers={"host": "[::1]:8265"})[0] == 200
    assert ask(token=None, headers={"host": ""})[0] == 403


def test_what_is_open_is_open():
    assert ask("/")[0] == 200
    assert ask("/api/gcs_healthz")[0] == 200
    assert json.loads(ask("/api/authentication_mode")[1]) == {"authentication_mode": "token"}
    assert json.loads(ask("/api/authentication_mode", token=None)[1]) == {"authentication_mode": "disabled"}


def test_the_token_buys_a_cookie():
    assert ask("/api/authenticate")[0] == 401
    assert ask("/api/authenticate", query="token=wrong")[0] == 403
    assert ask("/api/authenticate", query="token=secret")[0] == 200
    assert ask("/api/authenticate", headers={"authorization": "Bearer secret"})[0] == 200
