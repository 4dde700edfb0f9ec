"""What a node may be asked to be."""

import pytest

from ray._core.node.params import LEAST_STORE, NodeParams
from ray._core.wire.ports import ports


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"head": False}, ValueError, "either a head or joins"),
        ({"head": True, "gcs_address": "a:1"}, ValueError, "either a head or joins"),
        ({"head": False, "gcs_address": "a:1", "system_config": {"x": 1}}, ValueError, "give it to the head"),
        ({"node_ip": "somewhere"}, ValueError, "'somewhere' is not an IP address"),
        ({"gcs_port": -1}, ValueError, "-1 is no port"),
        ({"raylet_port": 65536}, ValueError, "65536 is no port"),
        ({"worker_ports": "5-2"}, ValueError, "greater than the last"),
        ({"worker_ports": "1,99999"}, ValueError, "99999 is no port"),
        ({"num_cpus": -1}, ValueError, "CPU is -1"),
        ({"num_gpus": 0.5}, ValueError, "GPU is 0.5"),
        ({"resources": {"CPU": 1}}, ValueError, "Use num_cpus instead"),
        ({"resources": {"memory": 1}}, ValueError, "Use memory instead"),
        ({"resources": {"a": "1"}}, TypeError, "a is '1'"),
        ({"labels": {"ray.io/x": "1"}}, ValueError, "`ray.io/x` cannot start with"),
        ({"labels": {"x": 1}}, ValueError, "'x': 1 is not"),
        ({"object_store_memory": LEAST_STORE - 1}, ValueError, "minimum allowed is"),
    ],
)
def test_what_no_node_can_be_is_refused_by_name(given, error, text):
    with pytest.raises(error, match=text):
        NodeParams(**given)


def test_a_node_may_have_nothing():
    params = NodeParams(num_cpus=0, num_gpus=0)
    assert params.head and params.num_cpus == 0


@pytest.mark.parametrize(("text", "expected"), [("", []), ("7-9", [7, 8, 9]), ("7, 9", [7, 9]), ("7", [7])])
def test_ports_are_a_range_or_a_list(text, expected):
    assert list(ports(text)) == expected


@pytest.mark.parametrize("text", ["a", "1-", "-2", "1-2-3", "1;2"])
def test_anything_else_is_no_ports(text):
    with pytest.raises(ValueError, match="neither a range of ports nor a list"):
        ports(text)
