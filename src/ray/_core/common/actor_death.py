"""How the death of an actor is told: in `ActorDiedError` and in the state API. Floor: common, pure."""

from __future__ import annotations

from ray._core.common.messages import ActorInfo

_EXIT_TYPES = {
    "WORKER_DIED": "SYSTEM_ERROR",
    "USER_ERROR": "SYSTEM_ERROR",
    "INTENDED_USER_EXIT": "INTENDED_USER_EXIT",
}
"""Kinds of death that are ends of the worker's process, and what Ray calls these."""


def death_reason(info: ActorInfo) -> str:
    """What goes on after "The actor is dead because"."""
    kind = _EXIT_TYPES.get(info.death_kind)
    if kind is not None:
        return f"its worker process has died. Worker exit type: {kind} Worker exit detail: {info.death_cause}"
    return f"{info.death_cause[:1].lower()}{info.death_cause[1:]}"
