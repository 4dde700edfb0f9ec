"""`ray.get_runtime_context()`: where this code runs."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from ray._private.auto_init_hook import auto_init_core, auto_init_ray, runtime_env_here
from ray._private.client_mode_hook import client_here

if TYPE_CHECKING:
    from ray._core.common import messages as m
    from ray._core.common.ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID
    from ray._core.worker.core import CoreWorker
    from ray._private.worker import Worker
    from ray.actor import ActorHandle
    from ray.runtime_env import RuntimeEnv

_log = logging.getLogger("ray")
_ONLY_IN_WORKERS = "This method is only available when the process is a worker."


class RuntimeContext:
    """Looks at the process at each call, so that one object may be kept. Ids are hex strings."""

    @property
    def worker(self) -> Worker:
        """`ray._private.worker.global_worker`."""
        from ray._private.worker import global_worker

        return global_worker

    @property
    def _core(self) -> CoreWorker:
        return auto_init_core()

    def get_job_id(self) -> str:
        return self._core.job_id.hex()

    def get_node_id(self) -> str:
        return self._core.node.node_id.hex()

    def get_worker_id(self) -> str:
        """Of a driver: its job's id, padded."""
        core = self._core
        if core.mode == "driver":
            return core.job_id.hex().ljust(2 * len(core.worker_id), "f")
        return core.worker_id.hex()

    def get_task_id(self) -> str | None:
        """None in a driver."""
        call = self._core.current
        return call.task_id.hex() if self._template("get_task_id") is not None and call is not None else None

    def get_task_name(self) -> str | None:
        """The function's name, or what `.options(name=…)` said; None in a driver."""
        template = self._template("get_task_name")
        return None if template is None else template.name

    def get_task_function_name(self) -> str | None:
        """`module.function`; None in a driver."""
        template = self._template("get_task_function_name")
        return None if template is None else template.function_name

    def get_actor_id(self) -> str | None:
        """None outside of actors."""
        return self._core.actor_id.hex() or None

    def get_actor_name(self) -> str | None:
        """ "" for an actor without a name; None outside of actors."""
        return self._core.actor_name if self._core.actor_id else None

    def is_canceled(self) -> bool:
        """Whether the task that calls this has been cancelled. Methods of actors are not interrupted: they may ask.

        Raises:
            RuntimeError: outside of tasks, and in an asyncio actor, whose coroutines are cancelled by asyncio.
        """
        core = self._core
        if core.mode == "driver":
            raise RuntimeError(_ONLY_IN_WORKERS)
        if core.executor.actor is not None and core.executor.actor.is_async:
            raise RuntimeError("This method is not supported in an async actor: coroutines get asyncio.CancelledError.")
        call = core.current
        return call is not None and call.is_canceled

    def get_assigned_resources(self) -> dict[str, float]:
        """What the task or actor that calls this holds; {} for an actor that asked for nothing.

        Raises:
            AssertionError: in a driver.
        """
        core = self._core
        assert core.mode != "driver", f"{_ONLY_IN_WORKERS} It is a driver."
        return dict(core.assignment.resources)

    def get_placement_group_id(self) -> str | None:
        """Of the group that the task or actor runs in; None outside of any."""
        return self._core.groups.current.hex() or None

    @property
    def current_placement_group_id(self) -> PlacementGroupID:
        """As an id object; nil outside of any group."""
        from ray._core.common.ids import PlacementGroupID

        current = self._core.groups.current
        return PlacementGroupID(current) if current else PlacementGroupID.nil()

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """Whether what this task or actor starts goes into its placement group, unless it says otherwise."""
        return self._core.groups.captured is not None

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """Names of the devices assigned here, by kind ("GPU", "TPU" …); [] where there are none."""
        return self._core.assignment.accelerator_ids()

    def get_resource_ids(self) -> dict[str, list[str]]:
        """The old name of `get_accelerator_ids`."""
        return self.get_accelerator_ids()

    @property
    def current_actor(self) -> ActorHandle[Any]:
        """A weak handle on the actor that calls this. Raises RuntimeError outside of actors."""
        from ray.actor import ActorHandle

        return ActorHandle(self._core.actors.myself())

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether the actor that calls this has been restarted before. Raises AssertionError outside of actors."""
        assert self._core.actor_id, f"{_ONLY_IN_WORKERS} It is about an actor, and this process runs none."
        return self._core.actor_restarts > 0

    def _template(self, method: str) -> m.TaskTemplate | None:
        """What the calls of the task running in this thread have in common; None outside of tasks."""
        call = self._core.current
        template = None if call is None else call.template
        if template is None and self._core.mode == "driver":
            _log.warning("RuntimeContext.%s is only available in a task; this process is a driver.", method)
        return template

    @property
    def namespace(self) -> str:
        """Of the named actors of this driver."""
        return self._core.namespace

    @property
    def gcs_address(self) -> str:
        return self._core.gcs_address

    def get_session_name(self) -> str:
        return os.path.basename(self._core.node.session_dir)

    def get_temp_dir(self) -> str:
        return os.path.dirname(self._core.node.session_dir)

    def get_node_labels(self) -> dict[str, str]:
        node = self._core.node
        return {"ray.io/node-id": node.node_id.hex(), **node.labels}

    def get_runtime_env_string(self) -> str:
        """JSON of this process's environment."""
        return runtime_env_here(self._core) or "{}"

    @property
    def runtime_env(self) -> RuntimeEnv:
        from ray.runtime_env import RuntimeEnv

        return RuntimeEnv.deserialize(self.get_runtime_env_string())

    # Old names, which give id objects.

    @property
    def actor_id(self) -> ActorID | None:
        """None in a worker that is no actor. Raises AssertionError in a driver."""
        from ray._core.common.ids import ActorID

        assert self._core.mode != "driver", f"{_ONLY_IN_WORKERS} It is a driver."
        return ActorID(self._core.actor_id) if self._core.actor_id else None

    @property
    def job_id(self) -> JobID:
        from ray._core.common.ids import JobID

        return JobID(self._core.job_id)

    @property
    def node_id(self) -> NodeID:
        from ray._core.common.ids import NodeID

        return NodeID(self._core.node.node_id)

    @property
    def task_id(self) -> TaskID:
        from ray._core.common.ids import TaskID

        text = self.get_task_id()
        if text is None:
            raise AssertionError(f"{_ONLY_IN_WORKERS} task_id is that of a task, and this process runs none.")
        return TaskID.from_hex(text)

    def get(self) -> dict[str, Any]:
        """The ids that there are."""
        found: dict[str, Any] = {"job_id": self.job_id, "node_id": self.node_id, "namespace": self.namespace}
        if self._core.mode != "driver":
            found["task_id"] = self.task_id
            if self.actor_id is not None:
                found["actor_id"] = self.actor_id
        return found


_context = RuntimeContext()


def get_runtime_context() -> RuntimeContext:
    """Where the calling code runs: job, node, worker, task."""
    if (client := client_here()) is not None:
        there: RuntimeContext = client.get_runtime_context()
        return there
    auto_init_ray()
    return _context
