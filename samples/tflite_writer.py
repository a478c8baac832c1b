"""Quantized network → .tflite, int8 in and out."""

from __future__ import annotations

from typing import Any

import numpy as np
import tflite

from samples.layers import (
    GATES,
    INPUT,
    Activation,
    Add,
    Concat,
    Conv,
    Dense,
    Flatten,
    Layer,
    Lstm,
    Pool,
    Shape,
    Softmax,
    Window,
)
from samples.quantize import QuantizedNetwork
from samples.tflite_file import ABSENT, TfliteFile

# The first version of each operator that takes int8 in the way it is used here, and its table of options.
_OPERATORS = {
    "CONV_2D": (3, "Conv2DOptions"),
    "DEPTHWISE_CONV_2D": (3, "DepthwiseConv2DOptions"),
    "FULLY_CONNECTED": (4, "FullyConnectedOptions"),
    "AVERAGE_POOL_2D": (2, "Pool2DOptions"),
    "MAX_POOL_2D": (2, "Pool2DOptions"),
    "ADD": (2, "AddOptions"),
    "CONCATENATION": (2, "ConcatenationOptions"),
    "RESHAPE": (1, "ReshapeOptions"),
    "SOFTMAX": (2, "SoftmaxOptions"),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (2, "UnidirectionalSequenceLSTMOptions"),
}


def write_tflite(quantized: QuantizedNetwork) -> bytes:
    """The content of the file."""
    return _Writer(quantized).write()


class _Writer:
    def __init__(self, quantized: QuantizedNetwork):
        self._source = quantized
        self._file = TfliteFile()
        self._index: dict[str, int] = {}

    def write(self) -> bytes:
        network = self._source.network
        self._activation(INPUT, network.input_shape)
        for layer in network.layers:
            self._layer(layer)
        return self._file.finish(network.name, [self._index[INPUT]], [self._index[network.output]])

    def _layer(self, layer: Layer) -> None:
        match layer:
            case Conv(groups=1):
                fields = _window(layer.window) | _activation(layer.activation)
                self._operator("CONV_2D", layer, self._weights_and_bias(layer), **fields)
            case Conv():
                fields = _window(layer.window) | _activation(layer.activation)
                self._operator("DEPTHWISE_CONV_2D", layer, self._weights_and_bias(layer), DepthMultiplier=1, **fields)
            case Dense():
                self._operator("FULLY_CONNECTED", layer, self._weights_and_bias(layer), **_activation(layer.activation))
            case Pool():
                rows, columns = layer.window.kernel
                fields = _window(layer.window) | {"FilterHeight": rows, "FilterWidth": columns}
                self._operator(f"{layer.kind}_POOL_2D", layer, **fields)
            case Add():
                self._operator("ADD", layer, **_activation(layer.activation))
            case Concat():
                self._operator("CONCATENATION", layer, Axis=len(layer.shape))  # the batch comes first
            case Flatten():
                shape = np.array([1, *layer.shape], np.int32)
                operand = self._file.tensor(f"{layer.name}/shape", shape.shape, "int32", data=shape)
                self._operator("RESHAPE", layer, [operand], NewShape=shape.tolist())
            case Softmax():
                self._operator("SOFTMAX", layer, Beta=1.0)
            case Lstm():
                self._lstm(layer)
            case _:
                raise TypeError(f"no TFLite operator for {type(layer).__name__}")

    def _lstm(self, layer: Lstm) -> None:
        """24 inputs and 5 intermediates, in the order of TFLite's lstm_shared.h.

        Without layer normalisation and projection, runtimes read only the last intermediate, the hidden state's scale.
        """
        units = layer.shape[1:]
        weights = [self._constant(f"{layer.name}/{gate}/weights") for gate in GATES]
        recurrent = [self._constant(f"{layer.name}/{gate}/recurrent") for gate in GATES]
        bias = [self._constant(f"{layer.name}/{gate}/bias") for gate in GATES]
        hidden = self._source.tensors[layer.name]
        cell = self._source.tensors[layer.cell]
        states = [
            self._file.tensor(
                f"{layer.name}/hidden", (1, *units), "int8", [hidden.scale], hidden.zero_point, variable=True
            ),
            self._file.tensor(layer.cell, (1, *units), "int16", [cell.scale], cell.zero_point, variable=True),
        ]
        intermediates = [
            *(self._file.tensor(f"{layer.name}/{gate}/unused", (0,), "int16", [2**-12]) for gate in GATES),
            self._file.tensor(f"{layer.name}/hidden_scale", (0,), "int8", [hidden.scale], hidden.zero_point),
        ]
        peephole, projection, normalization = [ABSENT] * 3, [ABSENT] * 2, [ABSENT] * 4
        self._operator(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            layer,
            [*weights, *recurrent, *peephole, *bias, *projection, *states, *normalization],
            intermediates,
            FusedActivationFunction=tflite.ActivationFunctionType.TANH,
        )

    def _operator(
        self,
        kind: str,
        layer: Layer,
        operands: list[int] | None = None,
        intermediates: list[int] | None = None,
        **fields: Any,
    ) -> None:
        version, options = _OPERATORS[kind]
        inputs = [*(self._index[name] for name in layer.inputs), *(operands or [])]
        output = self._activation(layer.name, layer.shape)
        self._file.operator(kind, version, inputs, [output], options, intermediates or [], **fields)

    def _activation(self, name: str, shape: Shape) -> int:
        affine = self._source.tensors[name]
        self._index[name] = self._file.tensor(name, (1, *shape), "int8", [affine.scale], affine.zero_point)
        return self._index[name]

    def _weights_and_bias(self, layer: Conv | Dense) -> list[int]:
        depthwise = isinstance(layer, Conv) and layer.groups > 1
        return [self._constant(f"{layer.name}/weights", depthwise), self._constant(f"{layer.name}/bias")]

    def _constant(self, name: str, depthwise: bool = False) -> int:
        """Filters lie [out, rows, columns, in], those of depthwise convolutions [1, rows, columns, out]."""
        constant = self._source.constants[name]
        values = constant.values.transpose(3, 1, 2, 0) if depthwise else constant.values
        axis = 3 if depthwise else 0
        return self._file.tensor(name, values.shape, str(values.dtype), constant.scale, axis=axis, data=values)


def _window(window: Window) -> dict[str, Any]:
    return {
        "Padding": getattr(tflite.Padding, window.padding),
        "StrideH": window.stride[0],
        "StrideW": window.stride[1],
    }


def _activation(activation: Activation) -> dict[str, Any]:
    return {"FusedActivationFunction": getattr(tflite.ActivationFunctionType, activation)}
