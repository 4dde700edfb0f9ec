"""What pure-ray leaves out says so, and what to do instead."""

import importlib

import pytest

import ray
from ray.util.collective import allreduce, gloo_available, init_collective_group
from ray.util.spark import setup_ray_cluster


def test_parts_that_are_left_out_can_be_imported_and_refuse():
    for function, name in (
        (init_collective_group, "ray.util.collective.init_collective_group"),
        (allreduce, "ray.util.collective.allreduce"),
        (setup_ray_cluster, "ray.util.spark.setup_ray_cluster"),
    ):
        with pytest.raises(NotImplementedError, match=rf"^{name} is not included in pure-ray\. \w+"):
            function(1, a=2)
    assert not gloo_available()


def test_libraries_that_are_left_out_are_named():
    with pytest.raises(AttributeError, match=r"not a part of pure-ray"):
        _ = ray.data
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("ray.data")
