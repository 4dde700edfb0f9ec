"""Logs over HTTP: /api/v0/logs, and /api/v0/logs/{file|stream}."""

from __future__ import annotations

from itertools import chain
from typing import Any

from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ray.exceptions import RayError
from ray.util.state.exception import RayStateApiException
from ray.util.state.logs import get_log, list_logs

DEFAULT_LINES = 1000
_TEXT = ("node_id", "node_ip", "filename", "actor_id", "task_id", "submission_id", "suffix")
_NUMBERS = ("pid", "attempt_number")


def routes() -> list[Any]:
    return [Route("/api/v0/logs", _list), Route("/api/v0/logs/{media_type}", _read)]


async def _list(request: Request) -> Response:
    given = request.query_params
    try:
        found = await run_in_threadpool(
            list_logs, None, given.get("node_id"), given.get("node_ip"), given.get("glob", "*")
        )
    except (AssertionError, RayStateApiException) as error:
        return _failed(error)
    return JSONResponse({"result": True, "msg": "", "data": {"result": found}})


async def _read(request: Request) -> Response:
    """`file`: what there is. `stream`: and what comes. `lines`: so many from the end, -1 for all."""
    given = request.query_params
    try:
        options: dict[str, Any] = {name: given[name] for name in _TEXT if name in given}
        options |= {name: int(given[name]) for name in _NUMBERS if name in given}
        options["tail"] = int(given.get("lines", DEFAULT_LINES))
        options["follow"] = request.path_params["media_type"] == "stream"
        parts = await run_in_threadpool(lambda: get_log(errors="replace", **options))
        first = await run_in_threadpool(next, parts, "")  # what cannot be read fails here, before the answer begins
    except (ValueError, RayError, RayStateApiException) as error:
        return _failed(error)
    return StreamingResponse(iterate_in_threadpool(chain([first], parts)), media_type="text/plain; charset=utf-8")


def _failed(error: Exception) -> Response:
    return JSONResponse({"result": False, "msg": str(error), "data": None}, 400)
