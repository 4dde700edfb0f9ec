"""Graphs of calls: `f.bind(g.bind(1)).execute()`.

Source: Ray docs, "Lazy Computation Graphs with the Ray DAG API", and "Ray Compiled Graph".
"""

from ray.dag.class_node import ClassMethodNode, ClassNode
from ray.dag.compiled_dag_node import CompiledDAG
from ray.dag.constants import (
    BIND_INDEX_KEY,
    COLLECTIVE_OPERATION_KEY,
    DAGNODE_TYPE_KEY,
    IS_CLASS_METHOD_OUTPUT_KEY,
    PARENT_CLASS_NODE_KEY,
    PREV_CLASS_METHOD_CALL_KEY,
)
from ray.dag.dag_node import DAGNode
from ray.dag.function_node import FunctionNode
from ray.dag.input_node import DAGInputData, InputAttributeNode, InputNode
from ray.dag.output_node import MultiOutputNode

__all__ = [
    "BIND_INDEX_KEY",
    "COLLECTIVE_OPERATION_KEY",
    "DAGNODE_TYPE_KEY",
    "IS_CLASS_METHOD_OUTPUT_KEY",
    "PARENT_CLASS_NODE_KEY",
    "PREV_CLASS_METHOD_CALL_KEY",
    "ClassMethodNode",
    "ClassNode",
    "CompiledDAG",
    "DAGInputData",
    "DAGNode",
    "FunctionNode",
    "InputAttributeNode",
    "InputNode",
    "MultiOutputNode",
]
