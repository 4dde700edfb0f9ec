"""What the state API tells, over HTTP: /api/v0/…, /nodes, health.

Source: Ray docs, "State API"; bodies as those of Ray 2.60.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ray._core.common import messages as m
from ray._core.common.resources import to_float
from ray._private import state_rows
from ray._private.auto_init_hook import connected_core
from ray._private.timeline import timeline
from ray._version import VERSION
from ray.dashboard.modules import logs
from ray.dashboard.modules.job.details import all_jobs
from ray.util.state.api import StateApiClient
from ray.util.state.common import (
    DEFAULT_LIMIT,
    DEFAULT_RPC_TIMEOUT,
    ListApiOptions,
    StateResource,
    SummaryApiOptions,
    SummaryResource,
)
from ray.util.state.exception import RayStateApiException

MAX_LIMIT = 10_000
"""Rows that are counted for the total of a list."""
Row = dict[str, Any]


class StateHead:
    def routes(self) -> list[Any]:
        return [
            Route("/", self._page),
            Route("/nodes", self._nodes),
            Route("/nodes/{node_id}", self._node),
            *logs.routes(),
            Route("/api/v0/cluster_metadata", self._metadata),
            Route("/api/v0/tasks/timeline", self._timeline),
            Route("/api/v0/{resource}", self._list),
            Route("/api/v0/{resource}/summarize", self._summarize),
            Route("/logical/actors", self._actors),
            Route("/logical/actors/{actor_id}", self._actors),
            Route("/api/component_activities", self._activities),
            Route("/api/gcs_healthz", self._health),
            Route("/api/healthz", self._health),
            Route("/api/cluster_status", self._cluster_status),
            Route("/api/prometheus/sd", lambda request: JSONResponse([])),
            Route("/timezone", self._timezone),
            Route("/usage_stats_enabled", lambda request: _envelope({"usageStatsEnabled": False})),
        ]

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(
            "<!doctype html><title>Ray</title><h1>Ray</h1><p>pure-ray, API level "
            f"{VERSION}. The REST API is at /api/jobs/, /api/v0/nodes, /api/v0/actors, /nodes.</p>"
        )

    # ---------------------------------------------------------- lists

    async def _list(self, request: Request) -> Response:
        return await _answered(
            lambda: {"result": listed(StateResource(request.path_params["resource"]), options_of(request))}
        )

    async def _summarize(self, request: Request) -> Response:
        def summary() -> Row:
            resource = SummaryResource(request.path_params["resource"])
            told = StateApiClient(None).summary(resource, options=SummaryApiOptions(), raise_on_missing_output=False)
            rows = told["cluster"]["summary"]
            return {"result": {"total": len(rows), "result": {"node_id_to_summary": told}, "warnings": None}}

        return await _answered(summary)

    async def _timeline(self, request: Request) -> Response:
        """Chrome's trace format. `download`: as a file."""
        events = await run_in_threadpool(timeline)
        name = f"timeline-{int(time.time())}.json"
        headers = {"content-disposition": f"attachment; filename={name}"} if "download" in request.query_params else {}
        return JSONResponse(events, headers=headers)

    async def _metadata(self, request: Request) -> Response:
        core = connected_core()
        session = core.node.session_dir.rsplit("/", 1)[-1]
        return _envelope({"rayVersion": VERSION, "pythonVersion": platform.python_version(), "sessionName": session})

    async def _actors(self, request: Request) -> Response:
        def ask() -> Row:
            infos: list[m.ActorInfo] = connected_core().ask_gcs(m.ListActors()).actors
            return {info.actor_id.hex(): state_rows.actor(info) for info in infos}

        rows = await run_in_threadpool(ask)
        wanted = request.path_params.get("actor_id")
        if wanted is None:
            return _envelope({"actors": rows}, "All actors fetched.")
        if wanted not in rows:
            return _envelope(None, f"Actor {wanted} does not exist.", status=404)
        return _envelope({"detail": rows[wanted]}, "Actor details fetched.")

    async def _activities(self, request: Request) -> Response:
        """Whether the cluster may be shut down: it may not while drivers run."""

        def ask() -> Row:
            active = [job for job in all_jobs(connected_core().ask_gcs) if not job.status.is_terminal()]
            return {
                "driver": {
                    "is_active": "ACTIVE" if active else "INACTIVE",
                    "reason": f"Number of active drivers: {len(active)}" if active else None,
                    "timestamp": time.time(),
                    "last_activity_at": None,
                }
            }

        return JSONResponse(await run_in_threadpool(ask))

    # ---------------------------------------------------------- nodes, health

    async def _nodes(self, request: Request) -> Response:
        rows = await run_in_threadpool(nodes)
        if request.query_params.get("view") == "hostNameList":
            return _envelope({"hostNameList": [row["hostname"] for row in rows if row["state"] == "ALIVE"]})
        return _envelope({"summary": [_summary(row) for row in rows]}, "Node summary fetched.")

    async def _node(self, request: Request) -> Response:
        rows = await run_in_threadpool(nodes)
        found = [row for row in rows if row["node_id"] == request.path_params["node_id"]]
        if not found:
            return _envelope(None, f"Node {request.path_params['node_id']} does not exist.", status=404)
        return _envelope({"detail": _summary(found[0])}, "Node details fetched.")

    async def _health(self, request: Request) -> Response:
        try:
            await run_in_threadpool(connected_core().ask_gcs, m.Ping())
        except Exception as error:
            return PlainTextResponse(f"The GCS does not answer: {error}", 503)
        return PlainTextResponse("success", media_type="application/text")

    async def _cluster_status(self, request: Request) -> Response:
        def ask() -> Row:
            answer = connected_core().ask_gcs(m.GetClusterResources())
            usage: dict[str, list[float]] = {}
            for view in answer.views:
                total, free = to_float(view.total), to_float(view.available)
                for name, amount in total.items():
                    used = usage.setdefault(name, [0.0, 0.0])
                    used[0] += amount - free.get(name, 0.0)
                    used[1] += amount
            demands = [[to_float(demand.resources), demand.count] for demand in answer.demands]
            return {"time": time.time(), "loadMetricsReport": {"usage": usage, "resourceDemand": demands}}

        status = await run_in_threadpool(ask)
        return _envelope(
            {"autoscalingStatus": None, "autoscalingError": None, "clusterStatus": status}, "Got cluster status."
        )

    async def _timezone(self, request: Request) -> Response:
        return JSONResponse({"offset": time.strftime("%z"), "value": time.strftime("%Z")})


async def _answered(ask: Callable[[], Row]) -> Response:
    """What `ask` gives, or why it gives nothing."""
    try:
        return _envelope(await run_in_threadpool(ask))
    except (ValueError, RayStateApiException, NotImplementedError) as error:
        return _envelope(None, str(error), status=400)


def _envelope(data: Any, message: str = "", status: int = 200) -> Response:
    return JSONResponse({"result": status == 200, "msg": message, "data": data}, status)


# ------------------------------------------------------------------ queries


def options_of(request: Request) -> ListApiOptions:
    """What a list request asks for. Raises ValueError for what cannot be asked."""
    parameters = request.query_params
    names = ("filter_keys", "filter_predicates", "filter_values")
    keys, predicates, values = (parameters.getlist(name) for name in names)
    if not len(keys) == len(predicates) == len(values):
        raise ValueError("filter_keys, filter_predicates and filter_values must be given equally often.")
    numbers = {}
    for name, default in (("limit", DEFAULT_LIMIT), ("timeout", DEFAULT_RPC_TIMEOUT)):
        try:
            numbers[name] = int(parameters.get(name, default))
        except ValueError:
            raise ValueError(f"The {name} is a number, not {parameters[name]!r}.") from None
    return ListApiOptions(
        limit=numbers["limit"],
        timeout=numbers["timeout"],
        detail=parameters.get("detail", "").lower() in ("1", "true"),
        filters=list(zip(keys, predicates, values, strict=True)),
    )


def listed(resource: StateResource, options: ListApiOptions) -> Row:
    """The answer's `result`. Raises as `StateApiClient.list`."""
    client = StateApiClient(None)
    found = client.list(resource, options, raise_on_missing_output=False)
    total = len(client.list(resource, ListApiOptions(limit=MAX_LIMIT, timeout=options.timeout), False))
    return {
        "total": total,
        "num_after_truncation": total,
        "num_filtered": len(found),
        "result": [row.asdict() for row in found],
        "partial_failure_warning": "",
        "warnings": None,
    }


# ------------------------------------------------------------------ rows


def nodes() -> list[Row]:
    """One row per node, dead ones too, with its host's name."""
    infos: list[m.NodeInfo] = connected_core().ask_gcs(m.ListNodes()).nodes
    return [{**state_rows.node(info), "hostname": info.hostname} for info in infos]


def _summary(row: Row) -> Row:
    return {
        "hostname": row["hostname"],
        "ip": row["node_ip"],
        "raylet": {
            "nodeId": row["node_id"],
            "state": row["state"],
            "isHeadNode": row["is_head_node"],
            "resourcesTotal": row["resources_total"],
            "labels": row["labels"],
            "stateMessage": row["state_message"],
        },
    }
