"""What the cluster knows of nodes, actors and jobs, over HTTP: /nodes, /api/v0/…, health.

Source: Ray docs, "State API"; bodies as those of Ray 2.60.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ray._core.common import messages as m
from ray._core.common.resources import to_float
from ray._private.auto_init_hook import connected_core
from ray._version import VERSION

if TYPE_CHECKING:
    from ray.dashboard.modules.job.job_head import JobHead

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
Row = dict[str, Any]


class StateHead:
    def __init__(self, jobs: JobHead) -> None:
        self._jobs = jobs
        self._sources: dict[str, Callable[[], list[Row]]] = {
            "nodes": nodes,
            "actors": actors,
            "jobs": lambda: [job.dict() for job in jobs.all()],
        }

    def routes(self) -> list[Any]:
        return [
            Route("/", self._page),
            Route("/nodes", self._nodes),
            Route("/nodes/{node_id}", self._node),
            Route("/api/v0/{resource}", self._list),
            Route("/api/v0/{resource}/{key}", self._one),
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
        source = self._sources.get(request.path_params["resource"])
        if source is None:
            return _envelope(None, f"There is no list of {request.path_params['resource']}.", status=404)
        try:
            query = Query.parse(request)
        except ValueError as error:
            return _envelope(None, str(error), status=400)
        rows = await run_in_threadpool(source)
        try:
            return _envelope({"result": query.apply(rows)})
        except ValueError as error:
            return _envelope(None, str(error), status=400)

    async def _one(self, request: Request) -> Response:
        source = self._sources.get(request.path_params["resource"])
        key = request.path_params["key"]
        rows = await run_in_threadpool(source) if source is not None else []
        found = [row for row in rows if key in (row.get("node_id"), row.get("actor_id"), row.get("job_id"))]
        return _envelope({"result": found[0]}) if found else _envelope(None, f"{key} does not exist.", status=404)

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


@dataclasses.dataclass(frozen=True)
class Query:
    """Filters (all must hold; text compares without case), and how many rows at most."""

    filters: list[tuple[str, str, str]]
    limit: int = DEFAULT_LIMIT

    @classmethod
    def parse(cls, request: Request) -> Query:
        """Raises ValueError for what cannot be asked."""
        parameters = request.query_params
        try:
            limit = int(parameters.get("limit", DEFAULT_LIMIT))
        except ValueError:
            raise ValueError(f"The limit is a number, not {parameters['limit']!r}.") from None
        if limit > MAX_LIMIT:
            raise ValueError(f"Given limit {limit} exceeds the supported limit {MAX_LIMIT}. Use a lower limit.")
        names = ("filter_keys", "filter_predicates", "filter_values")
        keys, predicates, values = (parameters.getlist(name) for name in names)
        if not len(keys) == len(predicates) == len(values):
            raise ValueError("filter_keys, filter_predicates and filter_values must be given equally often.")
        unknown = sorted(set(predicates) - {"=", "!="})
        if unknown:
            raise ValueError(f"Unsupported filter predicate {unknown[0]!r}: it is '=' or '!='.")
        return cls(list(zip(keys, predicates, values, strict=True)), limit)

    def apply(self, rows: list[Row]) -> Row:
        """The answer's `result`. Raises ValueError for a key that rows do not have."""
        for key, _, _ in self.filters:
            if rows and key not in rows[0]:
                raise ValueError(f"Invalid filter key {key!r}. Known ones: {', '.join(sorted(rows[0]))}.")
        matching = [row for row in rows if all(_matches(row[key], p, value) for key, p, value in self.filters)]
        shown = matching[: self.limit]
        return {
            "total": len(rows),
            "num_after_truncation": len(rows),
            "num_filtered": len(matching),
            "result": shown,
            "partial_failure_warning": "",
            "warnings": None,
        }


def _matches(value: Any, predicate: str, wanted: str) -> bool:
    return (str(value).lower() == wanted.lower()) == (predicate == "=")


# ------------------------------------------------------------------ rows


def nodes() -> list[Row]:
    """One row per node, dead ones too."""
    infos: list[m.NodeInfo] = connected_core().ask_gcs(m.ListNodes()).nodes
    return [
        {
            "node_id": info.node_id.hex(),
            "node_ip": info.host,
            "is_head_node": info.is_head,
            "state": info.state,
            "state_message": info.death_message or None,
            "node_name": info.name or info.host,
            "hostname": info.hostname,
            "resources_total": to_float(info.total),
            "labels": {"ray.io/node-id": info.node_id.hex(), **info.labels},
            "start_time_ms": info.start_time_ms,
            "end_time_ms": info.end_time_ms,
        }
        for info in infos
    ]


def actors() -> list[Row]:
    """One row per actor that the GCS remembers."""
    infos: list[m.ActorInfo] = connected_core().ask_gcs(m.ListActors()).actors
    return [
        {
            "actor_id": info.actor_id.hex(),
            "class_name": info.class_name,
            "state": info.state,
            "job_id": info.job_id.hex(),
            "name": info.name,
            "node_id": info.node_id.hex() or None,
            "pid": info.pid,
            "ray_namespace": info.namespace,
            "num_restarts": str(info.num_restarts),
            "is_detached": info.detached,
            "repr_name": info.repr_name,
            "required_resources": to_float(info.required),
            "death_cause": info.death_cause or None,
            "start_time_ms": info.start_time_ms,
            "end_time_ms": info.end_time_ms,
        }
        for info in infos
    ]


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
