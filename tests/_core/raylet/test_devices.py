"""Devices get names: whole ones are exclusive, parts share, everything comes back."""

from hypothesis import given
from hypothesis import strategies as st

from ray._core.common.accelerators import device_names, visible_devices
from ray._core.common.resources import UNIT
from ray._core.raylet.devices import DeviceTable


def test_whole_devices_are_exclusive_and_come_back():
    table = DeviceTable({"GPU": ["0", "1", "2"]})
    assert table.take(1, {"GPU": 2 * UNIT, "CPU": UNIT}) == {"GPU": ["0", "1"]}
    assert table.take(2, {"GPU": UNIT}) == {"GPU": ["2"]}
    table.give_back(1)
    assert table.take(3, {"GPU": UNIT}) == {"GPU": ["0"]}
    assert table.take(4, {"CPU": UNIT}) == {}


def test_parts_share_the_fullest_device_that_has_room():
    table = DeviceTable({"GPU": ["a", "b"]})
    half = UNIT // 2
    assert [table.take(n, {"GPU": half}) for n in range(4)] == [{"GPU": [name]} for name in "aabb"]


def test_a_bundle_has_its_amount_once():
    table = DeviceTable({"GPU": ["0", "1"]})
    assert table.take(1, {"GPU_group_ab": UNIT, "GPU_group_0_ab": UNIT}) == {"GPU": ["0"]}


@given(st.lists(st.integers(1, 3 * UNIT), max_size=12))
def test_what_is_taken_comes_back_whole(amounts):
    table, left = DeviceTable({"GPU": ["0", "1", "2"]}), 3 * UNIT
    taken = []
    for lease_id, units in enumerate(amounts):
        if units <= left:
            left -= units
            taken.append(lease_id)
            names = table.take(lease_id, {"GPU": units})["GPU"]
            assert 1 <= len(names) <= 3 and len(names) >= units // UNIT
    for lease_id in taken:
        table.give_back(lease_id)
    assert table.take(99, {"GPU": 3 * UNIT}) == {"GPU": ["0", "1", "2"]}


def test_a_nodes_devices_are_those_that_its_variable_lists():
    totals = {"GPU": 2 * UNIT, "CPU": UNIT}
    assert device_names(totals, UNIT, {}) == {"GPU": ["0", "1"]}
    assert device_names(totals, UNIT, {"CUDA_VISIBLE_DEVICES": "5,7,9"}) == {"GPU": ["5", "7"]}
    assert device_names(totals, UNIT, {"CUDA_VISIBLE_DEVICES": "5"}) == {"GPU": ["0", "1"]}


def test_the_user_may_keep_a_variable():
    assert visible_devices({"GPU": ["1", "2"]}, {}) == {"CUDA_VISIBLE_DEVICES": "1,2"}
    assert visible_devices({"GPU": []}, {}) == {}
    assert visible_devices({"GPU": ["1"]}, {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}) == {}
