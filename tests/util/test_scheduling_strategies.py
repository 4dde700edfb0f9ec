"""What the strategy objects refuse (Ray docs, "Scheduling"; messages as Ray 2.60 words them)."""

import pytest

from ray._core.common.messages import Strategy
from ray._private.strategies import strategy_of
from ray.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
)

NODE = "ab" * 28


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: NodeAffinitySchedulingStrategy("abc", False), "Invalid node_id 'abc'. Node ID must be a valid hex"),
        (lambda: NodeAffinitySchedulingStrategy("xy" * 28, False), "must be a valid hex string"),
        (lambda: NodeAffinitySchedulingStrategy(NODE, False, _spill_on_unavailable=True), "_spill_on_unavailable"),
        (lambda: NodeAffinitySchedulingStrategy(NODE, True, _fail_on_unavailable=True), "_fail_on_unavailable"),
        (lambda: NodeLabelSchedulingStrategy({}), "cannot both be empty"),
        (lambda: NodeLabelSchedulingStrategy("x"), "must be a map"),
        (lambda: NodeLabelSchedulingStrategy({"a": "b"}), "must be one of the `In`"),
        (lambda: NodeLabelSchedulingStrategy({1: Exists()}), "must be of type str"),
        (lambda: NodeLabelSchedulingStrategy({"a": Exists()}, soft={"a": 1}), "soft parameter must be one of"),
        (lambda: In(), "non-empty tuple"),
        (lambda: NotIn("a", 1), "Type of value in position 1 for the NotIn operator must be str"),
    ],
)
def test_what_cannot_be_is_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_affinity_reaches_the_engine():
    strategy = NodeAffinitySchedulingStrategy(NODE, True, _spill_on_unavailable=True)
    expected = Strategy("NODE_AFFINITY", node_id=bytes.fromhex(NODE), soft=True, spill_on_unavailable=True)
    assert strategy_of({"scheduling_strategy": strategy}, {}) == expected


def test_label_operators_become_selectors():
    strategy = NodeLabelSchedulingStrategy(
        {"a": In("x", "y"), "b": NotIn("z")}, soft={"c": Exists(), "d": DoesNotExist()}
    )
    assert strategy_of({"scheduling_strategy": strategy}, {}) == Strategy(
        "NODE_LABEL", labels_hard={"a": "in(x,y)", "b": "!in(z)"}, labels_soft={"c": "*", "d": "!*"}
    )


def test_no_group_is_the_default_strategy():
    assert strategy_of({"scheduling_strategy": PlacementGroupSchedulingStrategy(None)}, {}) == Strategy()
