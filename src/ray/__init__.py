"""Ray in pure Python. See README.md for what is here and what is not yet.

`import ray` costs nothing: names are looked up at their first use (PEP 562), so processes of the engine, which import
`ray._core` alone, never load the public face. Type checkers see the imports below.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from ray._version import COMMIT as __commit__
from ray._version import VERSION as __version__

if TYPE_CHECKING:
    from ray import (
        actor,
        cloudpickle,
        exceptions,
        experimental,
        internal,
        job_config,
        runtime_context,
        runtime_env,
        types,
        util,
    )
    from ray._core.common.ids import (
        ActorClassID,
        ActorID,
        FunctionID,
        JobID,
        NodeID,
        PlacementGroupID,
        TaskID,
        UniqueID,
        WorkerID,
    )
    from ray._core.worker.object_ref import ObjectRef
    from ray._core.worker.ref_generator import DynamicObjectRefGenerator, ObjectRefGenerator
    from ray._private.logging_config import LoggingConfig
    from ray._private.remote_types import Remote
    from ray._private.state import available_resources, cluster_resources, nodes
    from ray._private.timeline import timeline
    from ray._private.worker import (
        SCRIPT_MODE,
        WORKER_MODE,
        cancel,
        get,
        get_actor,
        get_gpu_ids,
        init,
        is_initialized,
        kill,
        put,
        shutdown,
        wait,
    )
    from ray.actor import method
    from ray.cross_language import Language, cpp_function, java_actor_class, java_function
    from ray.runtime_context import get_runtime_context

    ObjectID = ObjectRef
    remote: Remote

_HOMES = {
    "ray._core.common.ids": ("ActorClassID ActorID FunctionID JobID NodeID PlacementGroupID TaskID UniqueID WorkerID"),
    "ray._core.worker.object_ref": "ObjectRef",
    "ray._core.worker.ref_generator": "DynamicObjectRefGenerator ObjectRefGenerator",
    "ray._private.logging_config": "LoggingConfig",
    "ray.client_builder": "ClientBuilder client",
    "ray._private.state": "available_resources cluster_resources nodes",
    "ray._private.timeline": "timeline",
    "ray._private.worker": (
        "RESTORE_WORKER_MODE SCRIPT_MODE SPILL_WORKER_MODE WORKER_MODE "
        "cancel get get_actor get_gpu_ids init is_initialized kill put remote shutdown wait"
    ),
    "ray.actor": "method",
    "ray.cross_language": "Language cpp_function java_actor_class java_function",
    "ray.runtime_context": "get_runtime_context",
}
_ELSEWHERE = {
    name: f"ray._private.{name}" for name in ("ray_constants", "serialization", "services", "state", "worker")
}
"""Modules that programs written for older versions look for here."""
_NOT_INCLUDED = frozenset(("air", "data", "rllib", "train", "workflow"))
"""Libraries of Ray that nobody has written for pure-ray."""
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted

    def __getattr__(name: str) -> Any:
        if name == "ObjectID":
            value = __getattr__("ObjectRef")
        elif name in _HOME_OF:
            value = getattr(importlib.import_module(_HOME_OF[name]), name)
        elif name.startswith("__"):
            raise AttributeError(f"module 'ray' has no attribute {name!r}")
        else:
            module = _ELSEWHERE.get(name, f"ray.{name}")
            try:
                value = importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name != module:
                    raise
                not_here = " (it is not a part of pure-ray)" if name in _NOT_INCLUDED else ""
                raise AttributeError(f"module 'ray' has no attribute {name!r}{not_here}") from None
        globals()[name] = value  # the next look finds it without coming here
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

    class _AbsentModules:
        """The last finder: modules that are not here, but that tools import (`_private/absent_modules`)."""

        @staticmethod
        def find_spec(full_name: str, path: Any, target: Any = None) -> Any:
            if not full_name.startswith("ray."):
                return None
            from ray._private.absent_modules import spec_of

            return spec_of(full_name)

    sys.meta_path.append(_AbsentModules)


__all__ = [
    "SCRIPT_MODE",
    "WORKER_MODE",
    "ActorClassID",
    "ActorID",
    "DynamicObjectRefGenerator",
    "FunctionID",
    "JobID",
    "Language",
    "LoggingConfig",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "TaskID",
    "UniqueID",
    "WorkerID",
    "__commit__",
    "__version__",
    "actor",
    "available_resources",
    "cancel",
    "cloudpickle",
    "cluster_resources",
    "cpp_function",
    "exceptions",
    "experimental",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "init",
    "internal",
    "is_initialized",
    "java_actor_class",
    "java_function",
    "job_config",
    "kill",
    "method",
    "nodes",
    "put",
    "remote",
    "runtime_context",
    "runtime_env",
    "shutdown",
    "timeline",
    "types",
    "util",
    "wait",
]
