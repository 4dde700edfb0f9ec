"""A node's processes, under the name that tests import."""

from ray._core.node.node import Node

__all__ = ["Node"]
