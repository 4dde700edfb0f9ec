"""What a raylet has others do: environments built, workers forked. Floor: common, pure.

See the package for the kinds of message and who is who.
"""

from __future__ import annotations

from ray._core.common.messages.base import Message, Reply, Request

# ------------------------------------------------------------------ R > A: runtime environments


class CreateRuntimeEnv(Request, tag=180):
    """R > A: build this environment, if it is not built. Answer: RuntimeEnvCreated, or Failed(kind="runtime_env").

    Each success is one reference, which one ReleaseRuntimeEnv gives back.
    """

    runtime_env: str
    job_id: bytes


class RuntimeEnvCreated(Reply, tag=181):
    """`context`: JSON of the `RuntimeEnvContext` with which its workers start."""

    context: str


class HoldPackages(Message, tag=183):
    """A > G: this job's tasks use these packages. Loss: they may go when nothing else holds them."""

    job_id: bytes
    uris: list[str]


class ReleaseRuntimeEnv(Message, tag=182):
    """R > A: nothing on this node uses it any more. Loss: the agent's connection is the node's; both end together."""

    runtime_env: str


# ------------------------------------------------------------------ R > Z


class Fork(Request, tag=190):
    """Answer: Forked. The child gets `env`, its output goes to files ("{pid}" in a path becomes its pid), and it runs
    the main of its role: "worker", "agent" with `argv`, or "exec": setup_worker.py with `argv`, to become a worker in
    another interpreter.
    """

    worker_id: bytes
    job_id: bytes
    env: dict[str, str]
    cwd: str
    sys_path: list[str]
    out_path: str
    err_path: str
    role: str = "worker"
    argv: list[str] = []
    log_header: bytes = b""
    """First bytes of both files."""
    env_vars: dict[str, str] = {}
    """Of the runtime environment: set after `env`, with `${NAME}` in the values replaced."""


class Forked(Reply, tag=191):
    pid: int


class ChildExited(Message, tag=192):
    """Z > R: a forked worker has ended; `status` as waitpid tells it."""

    pid: int
    status: int
