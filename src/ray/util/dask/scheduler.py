"""Runs a Dask graph: each of its tasks is a task of Ray, and gets what it depends on as object refs."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Any

import dask
import dask.local
from dask._task_spec import Alias, DataNode, convert_legacy_graph

import ray
from ray.util.dask.callbacks import RayDaskCallback, hooks


def ray_dask_get(
    dsk: Any,
    keys: Any,
    *,
    ray_persist: bool = False,
    ray_remote_args: Mapping[str, Any] | None = None,
    ray_callbacks: list[RayDaskCallback] | None = None,
    **kwargs: Any,
) -> Any:
    """A scheduler for Dask: `collection.compute(scheduler=ray_dask_get)`.

    Args:
        dsk: the graph: a mapping, or one of Dask's expressions.
        keys: a key of it, or nested lists of keys.
        ray_persist: give object refs, in place of values.
        ray_remote_args: options of the tasks, as of `ray.remote`; those of `dask.annotate(ray_remote_args=…)` win.
        ray_callbacks: told of it besides those that are active.
        kwargs: of other schedulers: ignored.
    """
    callbacks = [*RayDaskCallback.ray_active, *(ray_callbacks or [])]
    annotated = _annotated(dsk)
    graph = convert_legacy_graph(dict(dsk.__dask_graph__() if hasattr(dsk, "__dask_graph__") else dsk))
    found: dict[Any, Any] = {}
    for key in _order(graph, keys):
        options = {**(ray_remote_args or {}), **annotated.get(key, {})}
        found[key] = _submit(graph[key], key, found, options, callbacks)
    wanted = _nested(found, keys)
    for hook in hooks("postsubmit_all", callbacks):
        hook(wanted, dsk)
    if ray_persist:
        return wanted
    result = _values(found, keys)
    for hook in hooks("finish", callbacks):
        hook(result)
    return result


def ray_dask_get_sync(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    """The same in this process, one task after another: for debugging."""
    return dask.local.get_sync(dsk.__dask_graph__() if hasattr(dsk, "__dask_graph__") else dsk, keys)


def enable_dask_on_ray(shuffle: str | None = "tasks", use_shuffle_optimization: bool | None = True) -> Any:
    """Have Dask compute by Ray; as a context manager, in its block.

    Args:
        shuffle: how data frames are shuffled; those on Ray can do it by "tasks".
        use_shuffle_optimization: of another time: ignored.
    """
    settings: dict[str, Any] = {"scheduler": ray_dask_get}
    if shuffle is not None:
        settings["dataframe.shuffle.method"] = shuffle
    return dask.config.set(settings)


def disable_dask_on_ray() -> Any:
    """Have Dask compute by its own schedulers again."""
    return dask.config.set({"scheduler": None, "dataframe.shuffle.method": None})


def _annotated(dsk: Any) -> dict[Any, Mapping[str, Any]]:
    """Options by key that `dask.annotate(ray_remote_args=…)` gave."""
    if hasattr(dsk, "__dask_annotations__"):
        by_key: dict[Any, Mapping[str, Any]] = dsk.__dask_annotations__().get("ray_remote_args", {})
        return by_key
    options: dict[Any, Mapping[str, Any]] = {}
    for layer in getattr(dsk, "layers", {}).values():
        given = (layer.annotations or {}).get("ray_remote_args")
        if given:
            options.update(dict.fromkeys(layer, given))
    return options


def _order(graph: Mapping[Any, Any], keys: Any) -> list[Any]:
    """What the keys need and they themselves, dependencies first. Raises graphlib.CycleError."""
    sorter: TopologicalSorter[Any] = TopologicalSorter()
    pending, known = _flat(keys), set()
    while pending:
        key = pending.pop()
        if key not in known:
            known.add(key)
            sorter.add(key, *graph[key].dependencies)
            pending += graph[key].dependencies
    return list(sorter.static_order())


def _submit(node: Any, key: Any, found: Mapping[Any, Any], options: Mapping[str, Any], callbacks: Any) -> Any:
    """The ref of the node's value, or the value itself where there is nothing to run."""
    if isinstance(node, DataNode):
        return node.value
    if isinstance(node, Alias):
        return found[node.target]
    deps = list(node.dependencies)
    for hook in hooks("presubmit", callbacks):
        instead = hook(node, key, deps)
        if instead is not None:
            return instead
    given = {"name": f"dask:{key!s}", **options}
    before, after = hooks("pretask", callbacks), hooks("posttask", callbacks)
    ref = _run.options(**given).remote(node, key, deps, before, after, *(found[dep] for dep in deps))
    for hook in hooks("postsubmit", callbacks):
        hook(node, key, deps, ref)
    return ref


@ray.remote
def _run(node: Any, key: Any, deps: list[Any], before: list[Any], after: list[Any], *values: Any) -> Any:
    states = [hook(key, values) for hook in before]
    result = node(dict(zip(deps, values, strict=True)))
    for number, hook in enumerate(after):
        hook(key, result, states[number] if number < len(states) else None)
    return result


def _flat(keys: Any) -> list[Any]:
    return [each for part in keys for each in _flat(part)] if isinstance(keys, list) else [keys]


def _nested(found: Mapping[Any, Any], keys: Any) -> Any:
    return [_nested(found, part) for part in keys] if isinstance(keys, list) else found[keys]


def _values(found: Mapping[Any, Any], keys: Any) -> Any:
    """Values by the keys, as Dask wants them: tuples for lists. All refs are waited for at once."""
    refs = [found[key] for key in _flat(keys) if isinstance(found[key], ray.ObjectRef)]
    values = dict(zip(refs, ray.get(refs), strict=True))

    def value_of(part: Any) -> Any:
        if isinstance(part, list):
            return tuple(map(value_of, part))
        value = found[part]
        return values[value] if isinstance(value, ray.ObjectRef) else value

    return value_of(keys)
