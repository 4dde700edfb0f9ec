"""Messages of the engine as rows of the state API. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ray._core.common import messages as m
from ray._core.common.actor_death import death_reason
from ray._core.common.ids import WorkerID
from ray._core.common.naming import short_name
from ray._core.common.resources import to_float
from ray._core.common.task_events import TaskEvent, TaskRow

Row = dict[str, Any]
_ACTOR_STATES = {
    "DEPENDENCIES_UNREADY": "PENDING_ARGS_AVAIL",
    "PENDING_CREATION": "PENDING_NODE_ASSIGNMENT",
    "RESTARTING": "PENDING_NODE_ASSIGNMENT",
    "ALIVE": "FINISHED",
}
"""Of its creation task, by the actor's own."""
_DEATH_REASONS = {
    "KILLED": "RAY_KILL",
    "OUT_OF_SCOPE": "OUT_OF_SCOPE",
    "OWNER_DIED": "OWNER_DIED",
    "NODE_DIED": "NODE_DIED",
    "WORKER_DIED": "WORKER_DIED",
    "USER_ERROR": "WORKER_DIED",
    "INTENDED_USER_EXIT": "WORKER_DIED",
    "OUT_OF_MEMORY": "WORKER_DIED",
}
"""Ray's words for kinds of death."""
_SCHEDULING_STATES = {"CREATED": "FINISHED", "REMOVED": "REMOVED"}


def actor(info: m.ActorInfo) -> Row:
    return {
        "actor_id": info.actor_id.hex(),
        "class_name": info.class_name,
        "state": info.state,
        "job_id": info.job_id.hex(),
        "name": info.name,
        "node_id": info.node_id.hex() or None,
        "pid": info.pid,
        "ray_namespace": info.namespace,
        "serialized_runtime_env": info.runtime_env or "{}",
        "required_resources": to_float(info.required),
        "death_cause": _death_cause(info) if info.state == "DEAD" else None,
        "is_detached": info.detached,
        "placement_group_id": info.placement_group_id.hex() or None,
        "repr_name": info.repr_name,
        "num_restarts": info.num_restarts,
        "num_restarts_due_to_lineage_reconstruction": 0,
        "num_restarts_due_to_node_preemption": info.free_restarts,
        "call_site": None,
        "label_selector": info.label_selector,
        "fallback_strategy": None,
    }


def _death_cause(info: m.ActorInfo) -> Row:
    if info.error is not None:
        failure = {"formatted_exception_string": info.death_cause, "language": "PYTHON"}
        return {"creation_task_failure_context": failure}
    context = {
        "error_message": f"The actor is dead because {death_reason(info)}",
        "reason": _DEATH_REASONS.get(info.death_kind, "UNSPECIFIED"),
        "node_ip_address": info.last_host,
        "actor_id": info.actor_id.hex(),
        "class_name": info.class_name,
        "name": info.name,
        "ray_namespace": info.namespace,
        "pid": info.pid,
        "never_started": not info.pid,
    }
    return {"actor_died_error_context": context}


def node(info: m.NodeInfo) -> Row:
    return {
        "node_id": info.node_id.hex(),
        "node_ip": info.host,
        "is_head_node": info.is_head,
        "state": info.state,
        "state_message": info.death_message or None,
        "node_name": info.name or info.host,
        "resources_total": to_float(info.total),
        "labels": {"ray.io/node-id": info.node_id.hex(), **info.labels},
        "start_time_ms": info.start_time_ms,
        "end_time_ms": info.end_time_ms,
    }


def worker(info: m.WorkerInfo, job: m.JobInfo | None) -> Row:
    """`job`: of a driver."""
    return {
        "worker_id": info.worker_id.hex() if job is None else WorkerID.for_driver(job.job_id).hex(),
        "is_alive": not info.exit_type,
        "worker_type": info.type,
        "exit_type": info.exit_type or None,
        "node_id": info.node_id.hex(),
        "ip": info.host,
        "pid": info.pid,
        "exit_detail": info.exit_detail or None,
        "worker_launch_time_ms": info.launch_time_ms,
        "worker_launched_time_ms": info.start_time_ms,
        "start_time_ms": info.start_time_ms if job is None else job.start_time_ms,
        "end_time_ms": info.end_time_ms,
        "debugger_port": None,
        "num_paused_threads": None,
    }


def runtime_env(info: m.RuntimeEnvInfo) -> Row:
    return {
        "runtime_env": json.loads(info.runtime_env),
        "success": info.success,
        "creation_time_ms": info.creation_time_ms,
        "node_id": info.node_id.hex(),
        "ref_cnt": info.ref_cnt,
        "error": info.error or None,
    }


def object_row(info: m.ObjectInfo) -> Row:
    return {
        "object_id": info.object_id.hex(),
        "object_size": info.size,
        "task_status": info.task_status,
        "attempt_number": 1,
        "reference_type": info.reference_type,
        "call_site": "disabled",
        "type": info.process_type,
        "pid": info.pid,
        "ip": info.host,
    }


def placement_group(info: m.PlacementGroupInfo) -> Row:
    bundles = [
        {
            "bundle_id": {"placement_group_id": info.group_id.hex(), "bundle_index": bundle.index},
            "node_id": on.hex(),
            "unit_resources": to_float(bundle.resources),
            "label_selector": bundle.label_selector,
        }
        for bundle, on in zip(info.bundles, info.nodes, strict=True)
    ]
    return {
        "placement_group_id": info.group_id.hex(),
        "name": info.name,
        "creator_job_id": info.job_id.hex(),
        "state": info.state,
        "bundles": bundles,
        "is_detached": info.detached,
        "stats": {
            "creation_request_received_ns": str(info.created_at_ms * 1_000_000),
            "scheduling_attempt": info.attempts,
            "scheduling_state": _SCHEDULING_STATES.get(info.state, "QUEUED"),
        },
        "topology_strategy": {info.topology_label: "STRICT_PACK"} if info.topology_label else {},
        "topology_assignments": {info.topology_label: info.topology_value} if info.topology_value else {},
    }


def cluster_event(number: int, info: m.EventInfo) -> Row:
    event = info.event
    return {
        "severity": "WARNING" if event.source == "autoscaler" else "ERROR",
        "time": datetime.fromtimestamp(info.at_ms / 1000).strftime("%Y-%m-%d %H:%M:%S.%f"),
        "source_type": event.source.upper(),
        "message": event.message,
        "event_id": f"{info.at_ms:x}{number:04x}",
        "custom_fields": {"kind": event.kind, "job_id": event.job_id.hex()},
    }


def task(row: TaskRow) -> Row:
    event, kind = row.event, row.kind
    is_actor = kind.type == "ACTOR_TASK"
    return {
        "task_id": event.task_id.hex(),
        "attempt_number": event.attempt,
        "name": kind.name,
        "state": event.state,
        "job_id": row.job_id.hex(),
        "actor_id": event.task_id[8:].hex() if is_actor else None,
        "type": kind.type,
        "func_or_class_name": ".".join(kind.function_name.split(".")[-2 if is_actor else -1 :]),
        "parent_task_id": (event.parent or b"\xff" * 20 + row.job_id).hex(),
        "node_id": event.node_id.hex() or None,
        "worker_id": event.worker_id.hex() or None,
        "worker_pid": event.pid or None,
        "error_type": event.error_type or None,
        "language": "PYTHON",
        "required_resources": to_float(kind.resources),
        "runtime_env_info": _runtime_env_info(kind.runtime_env),
        "placement_group_id": kind.placement_group_id.hex() or None,
        "events": [{"state": state, "created_ms": us / 1000} for state, us in _passed(event)],
        "profiling_data": {},
        "creation_time_ms": _ms(event.created_us),
        "start_time_ms": _ms(event.started_us),
        "end_time_ms": _ms(event.ended_us),
        "task_log_info": None,
        "error_message": event.error or None,
        "is_debugger_paused": None,
        "call_site": None,
        "label_selector": kind.label_selector,
        "fallback_strategy": None,
    }


def _passed(event: TaskEvent) -> list[tuple[str, int]]:
    """The states it has been in, with times in µs. Of states between two known times the later one is told, or the
    earlier while the task waits: nobody records when they began."""
    passed = [("PENDING_ARGS_AVAIL", event.created_us)]
    if event.started_us:
        passed += [("PENDING_NODE_ASSIGNMENT", event.created_us), ("SUBMITTED_TO_WORKER", event.started_us)]
        passed.append(("RUNNING", event.started_us))
    elif event.state in ("PENDING_NODE_ASSIGNMENT", "SUBMITTED_TO_WORKER"):
        waiting = ("PENDING_NODE_ASSIGNMENT", "SUBMITTED_TO_WORKER")
        passed += [(state, event.created_us) for state in waiting[: waiting.index(event.state) + 1]]
    if event.ended_us:
        passed.append((event.state, event.ended_us))
    return [(state, us) for state, us in passed if us]


def _runtime_env_info(text: str) -> Row:
    config = (json.loads(text) if text else {}).get("config") or {}
    defaults = {"setup_timeout_seconds": 600, "eager_install": True, "log_files": []}
    return {"serialized_runtime_env": text or "{}", "runtime_env_config": {**defaults, **config}}


def creation_task(info: m.ActorInfo) -> Row:
    """The constructor's call, which the actor's own state tells of."""
    constructor = f"{short_name(info.class_name)}.__init__"
    ran = info.pid != 0 and info.error is None
    state = _ACTOR_STATES.get(info.state) or ("FINISHED" if ran else "FAILED")
    passed = [
        "PENDING_ARGS_AVAIL",
        *(["PENDING_NODE_ASSIGNMENT", "RUNNING"] if state in ("FINISHED", "FAILED") else []),
    ]
    times = [(each, info.start_time_ms) for each in dict.fromkeys([*passed, state])]
    blank: Row = dict.fromkeys(("node_id", "worker_id", "profiling_data", "task_log_info", "call_site"))
    return blank | {
        "task_id": b"\xff".hex() * 8 + info.actor_id.hex(),
        "attempt_number": info.num_restarts,
        "name": f"{info.name}:{constructor}" if info.name else constructor,
        "state": state,
        "job_id": info.job_id.hex(),
        "actor_id": info.actor_id.hex(),
        "type": "ACTOR_CREATION_TASK",
        "func_or_class_name": constructor,
        "parent_task_id": (b"\xff" * 20 + info.job_id).hex(),
        "node_id": info.node_id.hex() or None,
        "worker_id": info.address.worker_id.hex() if info.address is not None else None,
        "worker_pid": info.pid or None,
        "error_type": "TASK_EXECUTION_EXCEPTION" if info.error is not None else None,
        "language": "PYTHON",
        "required_resources": to_float(info.required),
        "runtime_env_info": _runtime_env_info(info.runtime_env),
        "placement_group_id": info.placement_group_id.hex() or None,
        "events": [{"state": each, "created_ms": float(ms)} for each, ms in times if ms],
        "creation_time_ms": info.start_time_ms or None,
        "start_time_ms": info.start_time_ms or None,
        "end_time_ms": info.start_time_ms or None,
        "error_message": info.death_cause if info.error is not None else None,
        "is_debugger_paused": None,
        "label_selector": info.label_selector,
        "fallback_strategy": None,
    }


def _ms(us: int) -> int | None:
    return us // 1000 or None


# ------------------------------------------------------------------ summaries


def summarize_tasks(rows: Iterable[Row]) -> Row:
    summary: dict[str, Row] = {}
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row["type"]] += 1
        name = row["name"]
        entry = summary.setdefault(name, {"func_or_class_name": name, "type": row["type"], "state_counts": Counter()})
        entry["state_counts"][row["state"]] += 1
    for entry in summary.values():
        entry["state_counts"] = dict(entry["state_counts"])
    return {
        "summary": summary,
        "total_tasks": totals["NORMAL_TASK"],
        "total_actor_tasks": totals["ACTOR_TASK"],
        "total_actor_scheduled": totals["ACTOR_CREATION_TASK"],
        "summary_by": "func_name",
    }


def summarize_actors(rows: Iterable[Row]) -> Row:
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row["class_name"], Counter())[row["state"]] += 1
    summary = {name: {"class_name": name, "state_counts": dict(states)} for name, states in counts.items()}
    total = sum(states.total() for states in counts.values())
    return {"summary": summary, "total_actors": total, "summary_by": "class"}


def summarize_objects(rows: Iterable[Row]) -> Row:
    """By call site, of which there is one: they are not recorded."""
    told = list(rows)
    size_mb = sum(row["object_size"] for row in told if row["object_size"] > 0) / (1 << 20)
    by_site = {
        "disabled": {
            "total_objects": len(told),
            "total_size_mb": size_mb,
            "total_num_workers": len({(row["ip"], row["pid"]) for row in told}),
            "total_num_nodes": len({row["ip"] for row in told}),
            "task_state_counts": dict(Counter(row["task_status"] for row in told)),
            "task_attempt_number_counts": dict(Counter(str(row["attempt_number"]) for row in told)),
            "ref_type_counts": dict(Counter(row["reference_type"] for row in told)),
        }
    }
    return {
        "summary": by_site if told else {},
        "total_objects": len(told),
        "total_size_mb": size_mb,
        "callsite_enabled": False,
        "summary_by": "callsite",
    }
