"""Which runtime environments this node has, who uses them, and how a worker of one is started.

Floor: raylet, pure. An environment is named by its normalized JSON. The node's runtime-env agent builds it and
answers with a context (JSON of `RuntimeEnvContext`); this remembers the context as long as somebody holds the
environment: a lease request that waits for it, a worker in it, a job whose own it is.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections import OrderedDict
from typing import Any

from ray._core.common import env_vars
from ray._core.common.messages import RuntimeEnvInfo

FAILURES_KEPT = 100
"""For the state API."""
_NEEDS_NO_AGENT = {"env_vars", "config", "worker_process_setup_hook", "_ray_commit", "_ray_release"}
_CONTEXT_OF_ANY_PYTHON = {
    *("command_prefix", "env_vars", "py_executable", "override_worker_entrypoint", "java_jars"),
    *("resources_dir", "container"),
}


@dataclasses.dataclass(slots=True)
class _Environment:
    holders: int = 0
    context: str | None = None
    """None: the agent is building it."""
    creation_time_ms: int = 0
    waiting: list[Any] = dataclasses.field(default_factory=list)


class EnvironmentTable:
    """Environments by their JSON. "" (no environment) is never in it: it is always ready and held by nobody."""

    def __init__(self) -> None:
        self._environments: dict[str, _Environment] = {}
        self._failures: OrderedDict[str, tuple[int, str]] = OrderedDict()
        """The latest that could not be built: how long that took, and why."""

    def __repr__(self) -> str:
        waiting = sum(len(each.waiting) for each in self._environments.values())
        return f"<EnvironmentTable environments={len(self._environments)} waiting={waiting}>"

    def want(self, text: str, who: Any) -> str:
        """Take a hold for `who`.

        "ready": go on. "wait": `built` or `failed` will name `who`. "build": so, and somebody must order it.
        """
        if not text:
            return "ready"
        environment = self._environments.get(text)
        state = "wait"
        if environment is None:
            environment = self._environments[text] = _Environment(context=context_without_agent(text))
            state = "build"
        environment.holders += 1
        if environment.context is not None:
            return "ready"
        environment.waiting.append(who)
        return state

    def built(self, text: str, context: str, took_ms: int = 0) -> list[Any]:
        """The agent has built it; returns who waited."""
        environment = self._environments[text]
        environment.context, environment.creation_time_ms = context, took_ms
        self._failures.pop(text, None)
        waiting, environment.waiting = environment.waiting, []
        return waiting

    def failed(self, text: str, error: str = "", took_ms: int = 0) -> list[Any]:
        """The agent could not build it: returns who waited. Forgotten, so that the next request tries again."""
        self._failures[text] = (took_ms, error)
        if len(self._failures) > FAILURES_KEPT:
            self._failures.popitem(last=False)
        return self._environments.pop(text).waiting

    def hold(self, text: str) -> None:
        """One more holder of an environment that is ready."""
        if text:
            self._environments[text].holders += 1

    def drop(self, text: str) -> bool:
        """One holder less. True: that was the last one, and the agent should be told."""
        environment = self._environments.get(text)
        if environment is None:
            return False  # "", or it failed and was forgotten with its holders
        environment.holders -= 1
        if environment.holders or environment.context is None:
            return False
        del self._environments[text]
        return context_without_agent(text) is None

    def context(self, text: str) -> str:
        """How to start a worker in it, which must be held. "" for no environment."""
        if not text:
            return ""
        context = self._environments[text].context
        assert context is not None, text
        return context

    def infos(self, node_id: bytes) -> list[RuntimeEnvInfo]:
        """What there is, and what could not be built lately."""
        ready = [
            RuntimeEnvInfo(text, node_id, True, environment.creation_time_ms, environment.holders)
            for text, environment in self._environments.items()
            if environment.context is not None
        ]
        failures = self._failures.items()
        return ready + [RuntimeEnvInfo(text, node_id, False, took_ms, 0, why) for text, (took_ms, why) in failures]

    def being_built(self) -> list[str]:
        return [text for text, environment in self._environments.items() if environment.context is None]


def context_without_agent(text: str) -> str | None:
    """The context of an environment that consists of variables; None: it takes the agent to build it."""
    fields = json.loads(text)
    if set(fields) <= _NEEDS_NO_AGENT:
        return json.dumps({"env_vars": fields.get("env_vars") or {}})
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class ZygoteLaunch:
    """A fork will do: set these variables, and go to `cwd` ("": stay)."""

    env: dict[str, str]
    cwd: str


@dataclasses.dataclass(frozen=True, slots=True)
class ExecLaunch:
    """It takes another interpreter, or a fresh one: start it by setup_worker.py with this context."""

    context: str


def launch_of(context: str, executable: str) -> ZygoteLaunch | ExecLaunch:
    """How a worker of this context starts.

    Args:
        context: JSON of a `RuntimeEnvContext`, "" for none.
        executable: the zygote's interpreter.
    """
    if not context:
        return ZygoteLaunch({}, "")
    fields = json.loads(context)
    variables: dict[str, str] = fields.get("env_vars") or {}
    cwd = _directory_of(fields.get("command_prefix") or [])
    same = fields.get("py_executable") in (None, executable) and not fields.get("override_worker_entrypoint")
    plain = set(fields) <= _CONTEXT_OF_ANY_PYTHON
    if not same or not plain or cwd is None or env_vars.need_fresh_interpreter(variables):
        return ExecLaunch(context)
    return ZygoteLaunch(variables, cwd)


def _directory_of(prefix: list[str]) -> str | None:
    """The directory to which a command prefix changes, "" for none; None when the prefix does more than that."""
    cwd = ""
    for command in prefix:
        words = shlex.split(command)
        if words[-1:] == ["&&"]:
            words.pop()
        if len(words) != 2 or words[0] != "cd":
            return None
        cwd = words[1]
    return cwd
