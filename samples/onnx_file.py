"""What both ONNX dialects share: channels-first images, float in and out, a layer's name for its int8 output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

from samples.layers import INPUT, Concat, Conv, Dense, Flatten, Layer, Lstm, Network, Pool, Shape, Softmax
from samples.quantize import QuantizedNetwork

CONTRIB = "com.microsoft"  # ONNX Runtime's own operators: docs/ContribOperators.md of its repository
_OPSET = 13  # the first with per-channel DequantizeLinear
_IR_VERSION = 8


def has_onnx(network: Network) -> bool:
    """False where ONNX has no int8 form of an operator: it has none of LSTM."""
    return not any(isinstance(layer, Lstm) for layer in network.layers)


class OnnxFile(ABC):
    """A model under construction; a dialect says how one layer is written."""

    def __init__(self, quantized: QuantizedNetwork):
        self._source = quantized
        self._nodes: list[NodeProto] = []
        self._initializers: dict[str, TensorProto] = {}

    def write(self) -> bytes:
        """The content of the file."""
        network = self._source.network
        self._node("QuantizeLinear", [f"{INPUT}_float", *self._affine(INPUT)], INPUT)
        for layer in network.layers:
            self._layer(layer)
        self._node("DequantizeLinear", [network.output, *self._affine(network.output)], "output")
        graph = helper.make_graph(
            self._nodes,
            network.name,
            [_float_value(f"{INPUT}_float", network.input_shape)],
            [_float_value("output", network.shape(network.output))],
            list(self._initializers.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(graph, producer_name="mcuprof samples", opset_imports=opsets, ir_version=_IR_VERSION)
        checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))

    @abstractmethod
    def _layer(self, layer: Layer) -> None:
        """Append the nodes of one layer."""

    def _node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], f"{output}/{kind}", domain=domain, **attributes))
        return output

    def _initializer(self, name: str, values: npt.ArrayLike) -> str:
        self._initializers[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def _affine(self, name: str) -> list[str]:
        """Names of the scale and the zero point of an activation."""
        affine = self._source.tensors[name]
        return [
            self._initializer(f"{name}_scale", np.float32(affine.scale)),
            self._initializer(f"{name}_zero_point", np.int8(affine.zero_point)),
        ]

    def _constant(self, name: str) -> list[str]:
        """Names of the values, the scale and the zero point of weights or biases; filters become OIHW."""
        constant = self._source.constants[name]
        values = constant.values.transpose(0, 3, 1, 2) if constant.values.ndim == 4 else constant.values
        scale = constant.scale if len(constant.scale) > 1 else constant.scale[0]
        return [
            self._initializer(name, np.ascontiguousarray(values)),
            self._initializer(f"{name}_scale", scale),
            self._initializer(f"{name}_zero_point", np.zeros_like(scale, values.dtype)),
        ]

    def _attributes(self, layer: Layer) -> dict[str, Any]:
        """Attributes that the float operator and its integer twin have in common."""
        match layer:
            case Conv() | Pool():
                rows, columns, _ = self._source.network.shape(layer.inputs[0])
                (top, bottom), (left, right) = layer.window.pads((rows, columns))
                window = {
                    "kernel_shape": layer.window.kernel,
                    "strides": layer.window.stride,
                    "pads": [top, left, bottom, right],
                }
                return window | {"group": layer.groups} if isinstance(layer, Conv) else window
            case Dense():
                return {"transB": 1}
            case Concat() | Flatten():
                return {"axis": 1}
            case Softmax():
                return {"axis": -1}
            case _:
                return {}


def _float_value(name: str, shape: Shape) -> ValueInfoProto:
    dims = (1, shape[2], *shape[:2]) if len(shape) == 3 else (1, *shape)
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
