"""The names of living actors."""

from __future__ import annotations

from typing import Any

from ray._core.common import messages as m
from ray._private.auto_init_hook import auto_init_core
from ray._private.client_mode_hook import client_mode_hook


@client_mode_hook
def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """Names of the living actors of this namespace.

    Args:
        all_namespaces: give those of all, each as a dict of `name` and `namespace`.
    """
    core: Any = auto_init_core()
    namespace = "" if all_namespaces else core.namespace
    found: list[m.ActorInfo] = core.ask_gcs(m.ListActors(named_only=True, namespace=namespace)).actors
    if all_namespaces:
        return [{"name": actor.name, "namespace": actor.namespace} for actor in found]
    return [actor.name for actor in found]
