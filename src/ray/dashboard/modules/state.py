"""What the state API tells, over HTTP: /api/v0/…, /nodes, health.

Source: Ray docs, "State API"; bodies as those of Ray 2.60.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ray._core.common import messages as m
from ray._core.common.resources import to_float
from ray._private import state_rows
from ray._private.auto_init_hook import connected_core
from ray._version import VERSION
from ray.util.state.api import StateApiClient
from ray.util.state.common import DEFAULT_LIMIT, DEFAULT_RPC_TIMEOUT, ListApiOptions, StateResource
from ray.util.state.exception import RayStateApiException

if TYPE_CHECKING:
    from ray.dashboard.modules.job.job_head import JobHead

MAX_LIMIT = 10_000
"""Rows that are counted for the total of a list."""
Row = dict[str, Any]


class StateHead:
    def __init__(self, jobs: JobHead) -> None:
        self._jobs = jobs

    def routes(self) -> list[Any]:
        return [
            Route("/", self._page),
            Route("/nodes", self._nodes),
            Route("/nodes/{node_id}", self._node),
            Route("/api/v0/{resource}", self._list),
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
        name = request.path_params["resource"]
        try:
            if name == "jobs":
                return await self._list_jobs(request)
            return _envelope({"result": await run_in_threadpool(listed, StateResource(name), options_of(request))})
        except (ValueError, RayStateApiException, NotImplementedError) as error:
            return _envelope(None, str(error), status=400)

    async def _list_jobs(self, request: Request) -> Response:
        """Submitted jobs too, of which only this process's key-value table knows."""
        rows, options = [job.dict() for job in await run_in_threadpool(self._jobs.all)], options_of(request)
        for key, predicate, value in options.filters or []:
            rows = [row for row in rows if (str(row[key]).lower() == str(value).lower()) == (predicate == "=")]
        result = {"total": len(rows), "num_after_truncation": len(rows), "num_filtered": len(rows)}
        more = {"result": rows[: options.limit], "partial_failure_warning": "", "warnings": None}
        return _envelope({"result": {**result, **more}})

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
