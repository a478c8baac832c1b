"""ONNX, QOperator dialect: integer operators that take all scales and zero points as inputs."""

from __future__ import annotations

from itertools import chain

from samples.layers import Add, Concat, Conv, Dense, Flatten, Layer, Pool, Softmax
from samples.onnx_file import CONTRIB, OnnxFile


class QopFile(OnnxFile):
    """ReLU and ReLU6 need no operator: they are the ends of the output's range, and saturation clips to those."""

    def _layer(self, layer: Layer) -> None:
        if isinstance(layer, Conv | Dense | Add) and layer.activation != "NONE":
            assert self._source.tensors[layer.name].zero_point == -128, "saturation would not clip at zero"
        output = self._affine(layer.name)
        operands = [[name, *self._affine(name)] for name in layer.inputs]
        x = operands[0]
        attributes = self._attributes(layer)
        match layer:
            case Conv():
                weights, bias = self._constant(f"{layer.name}/weights"), self._bias(layer)
                self._node("QLinearConv", [*x, *weights, *output, bias], layer.name, **attributes)
            case Dense():
                weights, bias = self._constant(f"{layer.name}/weights"), self._bias(layer)
                self._node("QGemm", [*x, *weights, bias, *output], layer.name, CONTRIB, **attributes)
            case Add():
                self._node("QLinearAdd", [*x, *operands[1], *output], layer.name, CONTRIB)
            case Concat():
                self._node("QLinearConcat", [*output, *chain(*operands)], layer.name, CONTRIB, **attributes)
            case Pool(kind="AVERAGE"):
                self._node("QLinearAveragePool", [*x, *output], layer.name, CONTRIB, **attributes)
            case Pool():
                self._node("MaxPool", x[:1], layer.name, **attributes)
            case Flatten():
                self._node("Flatten", x[:1], layer.name, **attributes)
            case Softmax():
                self._node("QLinearSoftmax", [*x, *output], layer.name, CONTRIB, opset=13, **attributes)
            case _:
                raise TypeError(f"no ONNX operator for {type(layer).__name__}")

    def _bias(self, layer: Conv | Dense) -> str:
        """The values alone: their scale is that of input · weights by definition."""
        name = f"{layer.name}/bias"
        return self._initializer(name, self._source.constants[name].values)
