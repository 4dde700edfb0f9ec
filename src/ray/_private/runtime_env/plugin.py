"""Plug-ins: each builds one field of a runtime environment. Ray's own fields are plug-ins too.

Source: Ray docs, "Runtime environment plug-ins". Who writes one subclasses `RuntimeEnvPlugin` and names its class in
RAY_RUNTIME_ENV_PLUGINS on all nodes.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ray._private.not_included import absent_names
from ray._private.runtime_env.context import RuntimeEnvContext

if TYPE_CHECKING:
    from ray.runtime_env import RuntimeEnv

PLUGINS_VARIABLE = "RAY_RUNTIME_ENV_PLUGINS"
DEFAULT_PRIORITY = 10
PRIORITIES = range(0, 101)


RAY_RUNTIME_ENV_PLUGINS_ENV_VAR = PLUGINS_VARIABLE
RAY_RUNTIME_ENV_CLASS_FIELD_NAME = "class"
RAY_RUNTIME_ENV_PRIORITY_FIELD_NAME = "priority"
RAY_RUNTIME_ENV_PLUGIN_DEFAULT_PRIORITY = DEFAULT_PRIORITY
RAY_RUNTIME_ENV_PLUGIN_MIN_PRIORITY = PRIORITIES.start
RAY_RUNTIME_ENV_PLUGIN_MAX_PRIORITY = PRIORITIES.stop - 1


class RuntimeEnvPlugin:
    """Builds the field `name`. Lower `priority` (0 to 100) is built first. Lives in the node's agent."""

    name: str | None = None
    priority: int = DEFAULT_PRIORITY

    @staticmethod
    def validate(runtime_env_dict: dict[str, Any]) -> None:
        """Raise an exception when the field's value cannot be."""

    def get_uris(self, runtime_env: RuntimeEnv) -> list[str]:
        """What the environment needs of this plug-in; each is created once per node and counted."""
        return []

    async def create(
        self,
        uri: str | None,
        runtime_env: RuntimeEnv,
        context: RuntimeEnvContext,
        logger: logging.Logger,
    ) -> float:
        """Make what `uri` names on this node; returns its size in bytes."""
        return 0

    def modify_context(
        self,
        uris: list[str],
        runtime_env: RuntimeEnv,
        context: RuntimeEnvContext,
        logger: logging.Logger,
    ) -> None:
        """Change how workers start, now that all `uris` are there."""

    def delete_uri(self, uri: str, logger: logging.Logger) -> float:
        """Remove what `uri` names from this node; returns how many bytes became free."""
        return 0


def with_users_plugins(builtin: Iterable[RuntimeEnvPlugin]) -> dict[str, RuntimeEnvPlugin]:
    """All plug-ins by name, lower priority first.

    Raises:
        RuntimeError: what RAY_RUNTIME_ENV_PLUGINS says cannot be; the text names the plug-in.
    """
    plugins: dict[str, RuntimeEnvPlugin] = {}
    for plugin in [*builtin, *_users_plugins(os.environ.get(PLUGINS_VARIABLE))]:
        assert plugin.name is not None
        if plugin.name in plugins:
            raise RuntimeError(f"There are two runtime env plug-ins named {plugin.name!r}.")
        plugins[plugin.name] = plugin
    return dict(sorted(plugins.items(), key=lambda item: item[1].priority))


def _users_plugins(text: str | None) -> list[RuntimeEnvPlugin]:
    if not text:
        return []
    configs = json.loads(text)
    if not isinstance(configs, list):
        raise RuntimeError(f"{PLUGINS_VARIABLE} is a JSON list of objects, not {text!r}.")
    return [_load(config) for config in configs]


def _load(config: Any) -> RuntimeEnvPlugin:
    if not isinstance(config, dict) or not config.get("class"):
        raise RuntimeError(f"A runtime env plug-in needs a 'class' in {PLUGINS_VARIABLE}: {config!r}")
    path = config["class"]
    module, _, name = path.rpartition(".")
    try:
        plugin_class = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RuntimeError(f"The runtime env plug-in {path!r} cannot be imported: {error}") from error
    if not isinstance(plugin_class, type) or not issubclass(plugin_class, RuntimeEnvPlugin):
        raise RuntimeError(f"{path} is no subclass of {RuntimeEnvPlugin.__module__}.{RuntimeEnvPlugin.__name__}.")
    if not plugin_class.name:
        raise RuntimeError(f"The runtime env plug-in {path!r} has no name.")
    plugin = plugin_class()
    plugin.priority = config.get("priority", plugin.priority)
    if not isinstance(plugin.priority, int) or plugin.priority not in PRIORITIES:
        raise RuntimeError(f"The priority of {path} is a number from 0 to 100, not {plugin.priority!r}.")
    return plugin


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "PluginSetupContext RuntimeEnvPluginManager create_for_plugin_if_needed",
    )
