"""Small ONNX models for tests, built with onnx.helper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mcuprof.graph import Graph
from mcuprof.readers.onnx import read_onnx

Sizes = Sequence[int | str | None]


def build(
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[int, Sizes]],
    outputs: Sequence[str],
    constants: Mapping[str, np.ndarray] | None = None,
    opset: int = 17,
    **fields: Any,
) -> bytes:
    """A serialized model; `inputs` maps names to (element type, sizes), outputs are declared as float of open shape."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, kind, sizes) for name, (kind, sizes) in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=imports, **fields)
    data: bytes = model.SerializeToString()
    return data


def read(data: bytes, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Graph:
    """The graph of a model that has no folder."""
    return read_onnx(data, "", shapes or {})


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """A node; names are separated by blanks, `-` is an absent input."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), **attributes)


def kinds(graph: Graph) -> list[str]:
    """The operators in order."""
    return [op.kind for op in graph.ops]


class Qdq:
    """A QDQ network under construction: every value `x` has scale `x_s` and zero point `x_z`."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def parameters(self, name: str, scale: Any, zero: Any, dtype: Any = np.int8) -> str:
        """Scale and zero point of `name` as constants; the two names."""
        self.constants[f"{name}_s"] = np.array(scale, np.float32)
        self.constants[f"{name}_z"] = np.array(zero, dtype)
        return f"{name}_s {name}_z"

    def pair(self, name: str, scale: float, zero: int, dtype: Any = np.int8) -> str:
        """QuantizeLinear and DequantizeLinear behind `name`; the name of the dequantized value."""
        found = self.parameters(name, scale, zero, dtype)
        self.nodes.append(node("QuantizeLinear", f"{name} {found}", f"{name}_q"))
        self.nodes.append(node("DequantizeLinear", f"{name}_q {found}", f"{name}_d"))
        return f"{name}_d"

    def weights(self, name: str, array: np.ndarray, scale: Any, zero: Any = 0, **attributes: Any) -> str:
        """DequantizeLinear of an integer constant; the name of the dequantized value."""
        zeros = np.broadcast_to(np.array(zero, array.dtype), np.shape(scale))
        found = self.parameters(name, scale, zeros, array.dtype)
        self.constants[f"{name}_q"] = array
        self.nodes.append(node("DequantizeLinear", f"{name}_q {found}", f"{name}_d", **attributes))
        return f"{name}_d"

    def add(self, op: str, inputs: str, output: str, **attributes: Any) -> str:
        """Any other node; its output."""
        self.nodes.append(node(op, inputs, output, **attributes))
        return output

    def read(self, shape: Sizes, outputs: Sequence[str], opset: int = 17) -> Graph:
        """The graph; its input `x` is float of `shape`."""
        return read(build(self.nodes, {"x": (TensorProto.FLOAT, shape)}, outputs, self.constants, opset))
