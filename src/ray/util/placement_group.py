"""Placement groups: bundles of resources reserved together, all or none.

Source: Ray docs, "Placement groups".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ray._core.common import messages as m
from ray._core.common.ids import JobID, PlacementGroupID
from ray._core.common.resources import to_fixed, to_float
from ray._core.worker import object_ref as _process
from ray._private.auto_init_hook import auto_init_core, connected_core
from ray._private.client_mode_hook import client_here, client_mode_wrap
from ray._private.not_included import absent_names
from ray._private.options import check_label_selector

if TYPE_CHECKING:
    from ray._core.worker.object_ref import ObjectRef

PLACEMENT_GROUP_BUNDLE_RESOURCE_NAME = "bundle"
VALID_PLACEMENT_GROUP_STRATEGIES = {"PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"}
_NODE_LABEL = "ray.io/node-id"
"""Each node's own value; the others stand for racks, rooms, or what else nodes have in common."""


class PlacementGroup:
    """A handle on a placement group; it can be passed to tasks and actors.

    Args:
        id: of the group.
        bundle_cache: its bundles as they were asked for; None: asked of the cluster when they are needed.
    """

    def __init__(self, id: PlacementGroupID, bundle_cache: list[dict[str, float]] | None = None) -> None:
        self._id = id
        self.bundle_cache = bundle_cache

    @property
    def id(self) -> PlacementGroupID:
        """Whoever knows it can have something run in the group."""
        core = _process._core
        if core is not None:
            core.groups.shared(self._id.binary())
        return self._id

    def __reduce__(self) -> Any:
        return PlacementGroup, (self.id, self.bundle_cache)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Of a group that an original Ray has pickled, by its fields (Ray Client)."""
        self.__init__(state["id"], state.get("bundle_cache"))  # type: ignore[misc]

    @staticmethod
    def empty() -> PlacementGroup:
        """The group that stands for none."""
        return PlacementGroup(PlacementGroupID.nil())

    @property
    def is_empty(self) -> bool:
        return self._id.is_nil()

    def ready(self) -> ObjectRef[PlacementGroup]:
        """A ref whose value is this group once all its bundles are reserved; an error if it is removed before."""
        if client_here() is not None:
            import ray

            there: ObjectRef[PlacementGroup] = ray.remote(num_cpus=0)(_once_ready).remote(self)
            return there
        return auto_init_core().groups.ready(self._id.binary(), self)

    @client_mode_wrap
    def wait(self, timeout_seconds: float = 30) -> bool:
        """Whether all bundles are reserved within `timeout_seconds`.

        Raises:
            Exception: the group does not exist (any more).
        """
        if self.is_empty:
            return False
        core = auto_init_core()
        state = core.groups.wait(self._id.binary(), timeout_seconds)
        if state == "CREATED":
            return True
        if state or core.groups.get(self._id.binary()) is None:
            raise Exception(f"Placement group {self._id} does not exist.")
        return False

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """What each bundle reserves. Raises KeyError when there is no such group."""
        if self.bundle_cache is None:
            self.bundle_cache = _bundles_of(self)
        return self.bundle_cache

    @property
    def bundle_count(self) -> int:
        return len(self.bundle_specs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and self._id == other._id

    def __hash__(self) -> int:
        return hash(self._id)


@client_mode_wrap
def placement_group(
    bundles: list[dict[str, float]],
    strategy: str | None = None,
    name: str = "",
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
    topology_strategy: dict[str, str] | None = None,
) -> PlacementGroup:
    """Reserve `bundles` together; returns at once, `ready()` and `wait()` tell when they are there.

    Args:
        bundles: resources by name, one dict for each bundle.
        strategy: PACK (default; few nodes), SPREAD (many), STRICT_PACK (one), STRICT_SPREAD (one bundle per node).
        name: for `get_placement_group`; unique in the namespace.
        lifetime: "detached": it outlives its creator.
        _soft_target_node_id: hex id of the node that STRICT_PACK should take if it can.
        bundle_label_selector: labels that the node of each bundle must have.
        topology_strategy: in place of `strategy`, one for each level of the cluster's topology, by label:
            {"rack": "STRICT_PACK", "ray.io/node-id": "SPREAD"} spreads the bundles over nodes with one value of "rack".
    Raises:
        ValueError: bundles, strategies, lifetime or selectors that cannot be.
        RaySystemError: the name is taken.
    """
    validate_placement_group(
        bundles, strategy, lifetime, _soft_target_node_id, bundle_label_selector, topology_strategy
    )
    strategy, topology_label = _levels(strategy, topology_strategy)
    if not isinstance(name, str):
        raise TypeError(f"The name of a placement group is a str, not {type(name).__name__}.")
    core = auto_init_core()
    selectors = bundle_label_selector or [{}] * len(bundles)
    group_id = PlacementGroupID.of(JobID(core.job_id))
    info = m.PlacementGroupInfo(
        group_id=group_id.binary(),
        job_id=core.job_id,
        name=name,
        namespace=core.namespace,
        strategy=strategy,
        bundles=[
            m.BundleSpec(index, to_fixed(bundle), dict(selector or {}))
            for index, (bundle, selector) in enumerate(zip(bundles, selectors, strict=True))
        ],
        detached=lifetime == "detached",
        creator_actor=core.actor_id,
        state="PENDING",
        nodes=[],
        soft_target_node_id=bytes.fromhex(_soft_target_node_id or ""),
        topology_label=topology_label,
    )
    core.groups.create(info)
    return PlacementGroup(group_id, [to_float(bundle.resources) for bundle in info.bundles])


@client_mode_wrap
def remove_placement_group(placement_group: PlacementGroup) -> None:
    """Give the group's resources back; tasks and actors that run in it are killed. Again: nothing."""
    auto_init_core().groups.remove(placement_group._id.binary())


@client_mode_wrap
def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """The group of that name in this namespace. Raises ValueError when there is none."""
    if not isinstance(placement_group_name, str):
        raise TypeError(f"The name of a placement group is a str, not {type(placement_group_name).__name__}.")
    if not placement_group_name:
        raise ValueError("Please supply a non-empty value to get_placement_group")
    core = auto_init_core()
    info = core.groups.get(name=placement_group_name, namespace=core.namespace)
    if info is None:
        raise ValueError(f"Failed to look up placement group with name: {placement_group_name}")
    return PlacementGroup(PlacementGroupID(info.group_id), [to_float(bundle.resources) for bundle in info.bundles])


def get_current_placement_group() -> PlacementGroup | None:
    """The group that this task or actor runs in; None outside of any, and in drivers."""
    if client_here() is not None:
        return None
    current = auto_init_core().groups.current
    return PlacementGroup(PlacementGroupID(current)) if current else None


@client_mode_wrap
def placement_group_table(placement_group: PlacementGroup | None = None) -> dict[str, Any]:
    """What the cluster knows of a group (empty when it knows none), or of all groups by their id in hex."""
    core = connected_core()
    if placement_group is None:
        return {info.group_id.hex(): _row(info) for info in core.groups.all()}
    info = core.groups.get(placement_group._id.binary())
    return {} if info is None else _row(info)


def _once_ready(group: PlacementGroup) -> PlacementGroup:
    """Runs in the cluster, for clients."""
    import ray

    return ray.get(group.ready())


@client_mode_wrap
def _bundles_of(group: PlacementGroup) -> list[dict[str, float]]:
    """Raises KeyError when there is no such group."""
    info = auto_init_core().groups.get(group._id.binary())
    if info is None:
        raise KeyError("bundles")
    return [to_float(bundle.resources) for bundle in info.bundles]


def _row(info: m.PlacementGroupInfo) -> dict[str, Any]:
    latency_ms = float(max(info.ready_at_ms - info.created_at_ms, 0)) if info.ready_at_ms else 0.0
    waits = "INFEASIBLE" if info.infeasible else "QUEUED"
    return {
        "placement_group_id": info.group_id.hex(),
        "name": info.name,
        "bundles": {bundle.index: to_float(bundle.resources) for bundle in info.bundles},
        "bundles_to_node_id": {bundle.index: info.nodes[bundle.index].hex() for bundle in info.bundles},
        "strategy": info.strategy,
        "state": info.state,
        "stats": {
            "end_to_end_creation_latency_ms": latency_ms,
            "scheduling_latency_ms": latency_ms,
            "scheduling_attempt": info.attempts,
            "highest_retry_delay_ms": 0.0,
            "scheduling_state": {"CREATED": "FINISHED", "REMOVED": "REMOVED"}.get(info.state, waits),
        },
    }


# ------------------------------------------------------------------ checks


def check_placement_group_index(placement_group: PlacementGroup, bundle_index: int) -> None:
    """Raises ValueError when the group has no bundle of that index (-1: any)."""
    if placement_group.is_empty:
        if bundle_index != -1:
            raise ValueError("If placement group is not set, the value of bundle index must be -1.")
    elif bundle_index >= placement_group.bundle_count or bundle_index < -1:
        raise ValueError(
            f"placement group bundle index {bundle_index} is invalid. "
            f"Valid placement group indexes: 0-{placement_group.bundle_count}"
        )


def validate_placement_group(
    bundles: list[dict[str, float]],
    strategy: str | None = None,
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
    topology_strategy: dict[str, str] | None = None,
) -> bool:
    """True, or ValueError for what `placement_group` would not take."""
    if topology_strategy is not None:
        _validate_topology(strategy, topology_strategy)
    strategy, _ = _levels(strategy, topology_strategy)
    if _soft_target_node_id and strategy != "STRICT_PACK":
        raise ValueError(f"_soft_target_node_id currently only works with STRICT_PACK but got {strategy}")
    _validate_bundles(bundles)
    if bundle_label_selector is not None:
        if len(bundle_label_selector) != len(bundles):
            raise ValueError(
                f"Invalid bundle label selector {bundle_label_selector}. The length of `bundle_label_selector` should "
                "equal the length of `bundles`."
            )
        for selector in bundle_label_selector:
            check_label_selector("bundle_label_selector", selector)
    if strategy not in VALID_PLACEMENT_GROUP_STRATEGIES:
        raise ValueError(
            f"Invalid placement group strategy {strategy}. Supported strategies are: "
            f"{VALID_PLACEMENT_GROUP_STRATEGIES}."
        )
    if lifetime not in (None, "detached"):
        raise ValueError(f"Placement group `lifetime` argument must be either `None` or 'detached'. Got {lifetime}.")
    return True


def _levels(strategy: str | None, topology_strategy: Mapping[str, str] | None) -> tuple[str, str]:
    """The strategy for nodes, and the label of which all of them have one value; "" for none."""
    levels = dict(topology_strategy or {})
    strategy = levels.pop(_NODE_LABEL, strategy or "PACK")
    return strategy, next(iter(levels), "")


def _validate_topology(strategy: str | None, levels: Any) -> None:
    if strategy is not None:
        raise ValueError(
            "`strategy` and `topology_strategy` cannot both be specified. "
            f"Pass node-level packing via `topology_strategy['{_NODE_LABEL}']`."
        )
    if not isinstance(levels, dict):
        raise ValueError(f"`topology_strategy` must be a dict, got {type(levels).__name__}.")
    for label, each in levels.items():
        if not isinstance(label, str) or not label:
            raise ValueError(f"`topology_strategy` keys must be non-empty strings, got {label!r}.")
        if each not in VALID_PLACEMENT_GROUP_STRATEGIES:
            raise ValueError(
                f"Invalid topology strategy {each!r} for label {label!r}. "
                f"Supported strategies are: {VALID_PLACEMENT_GROUP_STRATEGIES}."
            )
        if label != _NODE_LABEL and each != "STRICT_PACK":
            raise ValueError(
                f"Topology strategy {each!r} for label {label!r} is not supported yet; only 'STRICT_PACK' is "
                f"supported for topology labels other than `{_NODE_LABEL}` for now."
            )
    others = [label for label in levels if label != _NODE_LABEL]
    if len(others) > 1:
        raise ValueError(
            f"`topology_strategy` currently supports at most one topology label other than `{_NODE_LABEL}`. "
            f"Got {others}."
        )


def _validate_bundles(bundles: Any) -> None:
    example = 'Bundles must be a non-empty list of resource dictionaries. For example: `[{"CPU": 1.0}, {"GPU": 1.0}]`.'
    if not isinstance(bundles, list):
        raise ValueError(f"Placement group bundles must be a list, got {type(bundles)}.")
    if not bundles:
        raise ValueError(f"{example} Got empty list instead.")
    for bundle in bundles:
        if not isinstance(bundle, Mapping) or not all(
            isinstance(name, str) and isinstance(amount, (int, float)) for name, amount in bundle.items()
        ):
            raise ValueError(example)
        if all(amount == 0 for amount in bundle.values()):
            raise ValueError(
                f"Bundles cannot be an empty dictionary or resources with only 0 values. Bundles: {bundles}"
            )
        if any(amount < 0 for amount in bundle.values()):
            raise ValueError(f"Resources of a bundle cannot be negative. Bundles: {bundles}")


if not TYPE_CHECKING:  # a checker that saw this would take any name for granted
    __getattr__ = absent_names(
        __name__,
        "It is a part of Ray's own machinery.",
        "_call_placement_group_ready _validate_bundle_label_selector",
    )
