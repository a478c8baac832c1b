"""ONNX, QDQ dialect: float operators, each between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

from typing import Any

import numpy as np

from samples.layers import Add, Concat, Conv, Dense, Flatten, Layer, Pool, Softmax
from samples.onnx_file import OnnxFile

_KINDS: dict[type[Layer], str] = {
    Conv: "Conv",
    Dense: "Gemm",
    Add: "Add",
    Concat: "Concat",
    Flatten: "Flatten",
    Softmax: "Softmax",
}
_POOLS = {"AVERAGE": "AveragePool", "MAX": "MaxPool"}


class QdqFile(OnnxFile):
    """Every quantized tensor is dequantized in front of each reader, as ONNX Runtime's quantizer does."""

    def _layer(self, layer: Layer) -> None:
        inputs = [
            self._node("DequantizeLinear", [name, *self._affine(name)], f"{name}_for_{layer.name}_{i}")
            for i, name in enumerate(layer.inputs)
        ]
        if isinstance(layer, Conv | Dense):
            inputs += [self._dequantized(f"{layer.name}/weights"), self._dequantized(f"{layer.name}/bias")]
        kind = _POOLS[layer.kind] if isinstance(layer, Pool) else _KINDS[type(layer)]
        result = self._node(kind, inputs, f"{layer.name}_float", **self._attributes(layer))
        if isinstance(layer, Conv | Dense | Add):
            result = self._activation(layer, result)
        self._node("QuantizeLinear", [result, *self._affine(layer.name)], layer.name)

    def _dequantized(self, name: str) -> str:
        axis: dict[str, Any] = {"axis": 0} if len(self._source.constants[name].scale) > 1 else {}
        return self._node("DequantizeLinear", self._constant(name), f"{name}_float", **axis)

    def _activation(self, layer: Conv | Dense | Add, result: str) -> str:
        match layer.activation:
            case "RELU":
                return self._node("Relu", [result], f"{layer.name}_relu")
            case "RELU6":
                bounds = [self._initializer("zero", np.float32(0)), self._initializer("six", np.float32(6))]
                return self._node("Clip", [result, *bounds], f"{layer.name}_relu6")
            case _:
                return result
