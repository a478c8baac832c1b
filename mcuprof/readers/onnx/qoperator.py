"""QOperator style → plain operators on quantized tensors: QLinearConv becomes Conv whose tensors carry quantization.

Sources: ONNX operator specification (QLinearConv, QLinearMatMul) and ONNX Runtime's ContribOperators.md
(com.microsoft QLinear*, QGemm, DynamicQuantize*). Where a scale or zero point is computed, the operator is left alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import DType, Quantization
from mcuprof.readers.onnx.net import ABSENT, Net, Node

MICROSOFT = "com.microsoft"


def parameters(
    net: Net, scale: str, zero_point: str, axis: int = 0, block: int = 0, what: str = "tensor"
) -> Quantization | None:
    """The quantization in two constants; None when one of them is computed or stripped. Raises ModelError on bad scales."""
    scales = net.constant(scale)
    if scales is None:
        return None
    values = tuple(float(value) for value in scales.astype(np.float64).reshape(-1))
    if not values or any(not math.isfinite(value) or value < 0 for value in values):
        raise ModelError(f"{what} has a scale that is negative or not finite")
    zeros: tuple[int, ...] = (0,) * len(values)
    if zero_point != ABSENT:
        array = net.constant(zero_point)
        if array is None:
            return None
        zeros = tuple(int(value) for value in array.reshape(-1).tolist())
        if len(zeros) != len(values):
            zeros = zeros * len(values) if len(zeros) == 1 else zeros[: len(values)]
        if len(zeros) != len(values):
            raise ModelError(f"{what} has {len(values)} scales and {array.size} zero points")
    return Quantization(values, zeros, axis if len(values) > 1 else 0, block if len(values) > 1 else 0)


def attach(net: Net, name: str, quantization: Quantization) -> str:
    """Gives the value `name` its quantization; returns the name to read.

    A constant that is already used with another quantization gets a twin. A computed value keeps its first one, and a
    note says so.
    """
    tensor = net.values[name]
    if tensor.quantization is None:
        net.values[name] = replace(tensor, quantization=quantization)
    elif tensor.quantization != quantization:
        if tensor.data is None:
            net.note(f"tensor {name!r} is read with two different quantizations; the first one is reported")
        else:
            name = net.fresh(name)
            net.values[name] = replace(tensor, name=name, quantization=quantization)
    return name


def desugar(net: Net, node: Node) -> None:
    """Rewrites a QOperator `node` in place, if its scales are constants. Inputs must have values already."""
    rule = _RULES.get((node.domain, node.op))
    if rule is None:
        return
    if len(node.inputs) < rule.at_least:
        raise ModelError(f"{node} has {len(node.inputs)} inputs")
    rule.rewrite(net, node, rule.target)


class _Rule:
    def __init__(self, target: str, rewrite: Callable[[Net, Node, str], None], at_least: int) -> None:
        self.target, self.rewrite, self.at_least = target, rewrite, at_least


def _become(net: Net, node: Node, op: str, inputs: list[str], y_scale: str, y_zero: str) -> bool:
    """Turns `node` into `op`; False (nothing changed) when the output's parameters are computed."""
    out = parameters(net, y_scale, y_zero, what=str(node))
    if out is None:
        net.note(f"{node.source} with computed scales is kept as it is")
        return False
    node.op, node.domain = op, ""
    node.attributes["output_quantization"] = out
    node.dtype = net.values[y_zero].dtype if y_zero else DType.UINT8
    _trim(net, node, inputs)
    return True


def _trim(net: Net, node: Node, inputs: list[str]) -> None:
    while inputs and inputs[-1] == ABSENT:
        inputs.pop()
    net.set_inputs(node, inputs)


def _quantized(net: Net, node: Node, index: int, axis: int = 0) -> str | None:
    """Input `index`, quantized by the two inputs after it."""
    name, scale, zero = (node.input(index + offset) for offset in range(3))
    found = parameters(net, scale, zero, axis, what=str(node))
    return None if found is None or name not in net.values else attach(net, name, found)


def _unary(net: Net, node: Node, op: str) -> None:
    x = None if node.integer("channels_last") else _quantized(net, node, 0)
    if x is not None:
        _become(net, node, op, [x], node.input(3), node.input(4))


def _binary(net: Net, node: Node, op: str) -> None:
    a, b = _quantized(net, node, 0), _quantized(net, node, 3)
    if a is not None and b is not None:
        _become(net, node, op, [a, b], node.input(6), node.input(7))


def _matmul(net: Net, node: Node, op: str) -> None:
    columns = len(net.values[node.inputs[3]].shape) - 1
    a, b = _quantized(net, node, 0, max(0, len(net.values[node.inputs[0]].shape) - 2)), _quantized(net, node, 3, columns)
    if a is not None and b is not None:
        _become(net, node, op, [a, b], node.input(6), node.input(7))


def _conv(net: Net, node: Node, op: str) -> None:
    x, weights = _quantized(net, node, 0), _quantized(net, node, 3)
    if x is not None and weights is not None:
        inputs = [x, weights, _bias(net, node.input(8), x, weights)]
        _become(net, node, op, inputs, node.input(6), node.input(7))


def _gemm(net: Net, node: Node, op: str) -> None:
    x = _quantized(net, node, 0)
    weights = _quantized(net, node, 3, 0 if node.integer("transB") else 1)
    if x is None or weights is None:
        return
    inputs = [x, weights, _bias(net, node.input(6), x, weights)]
    if node.input(7):
        _become(net, node, op, inputs, node.input(7), node.input(8))
    else:  # without output parameters QGemm gives float
        node.op, node.domain, node.dtype = op, "", DType.FLOAT32
        _trim(net, node, inputs)


def _bias(net: Net, name: str, x: str, weights: str) -> str:
    """The int32 bias: its scale is that of the input times that of the weights."""
    if name == ABSENT or name not in net.values:
        return name
    quantization = bias_quantization(net, x, weights)
    return attach(net, name, quantization) if quantization else name


def bias_quantization(net: Net, x: str, weights: str) -> Quantization | None:
    """Per output channel: scale of `x` times scale of `weights`, zero point 0."""
    left, right = net.values[x].quantization, net.values[weights].quantization
    if left is None or right is None or left.per_channel:
        return None
    scales = tuple(float(np.float32(left.scale[0] * scale)) for scale in right.scale)
    return Quantization(scales, (0,) * len(scales))


def _concat(net: Net, node: Node, op: str) -> None:
    parts = [_quantized(net, node, index) for index in range(2, len(node.inputs), 3)]
    if all(part is not None for part in parts):
        _become(net, node, op, [part for part in parts if part], node.input(0), node.input(1))


def _rename(net: Net, node: Node, op: str) -> None:
    node.op, node.domain = op, ""


def _dynamic_lstm(net: Net, node: Node, op: str) -> None:
    """Float LSTM with integer weights [directions, in, 4·hidden] and [directions, hidden, 4·hidden]."""
    weights = []
    for index, scale in ((1, 8), (2, 10)):
        found = parameters(net, node.input(scale), node.input(scale + 1), 2, what=str(node))
        if found is None or node.inputs[index] not in net.values:
            return
        weights.append(attach(net, node.inputs[index], found))
    inputs = [node.inputs[0], *weights, *node.inputs[3:8]]
    node.op, node.domain, node.dtype = op, "", net.values[node.inputs[0]].dtype
    node.attributes["transposed"] = 1
    _trim(net, node, inputs)


_RULES: Mapping[tuple[str, str], _Rule] = {
    ("", "QLinearConv"): _Rule("Conv", _conv, 8),
    ("", "QLinearMatMul"): _Rule("MatMul", _matmul, 8),
    (MICROSOFT, "QGemm"): _Rule("Gemm", _gemm, 6),
    (MICROSOFT, "QLinearAdd"): _Rule("Add", _binary, 7),
    (MICROSOFT, "QLinearMul"): _Rule("Mul", _binary, 7),
    (MICROSOFT, "QLinearAveragePool"): _Rule("AveragePool", _unary, 4),
    (MICROSOFT, "QLinearGlobalAveragePool"): _Rule("GlobalAveragePool", _unary, 4),
    (MICROSOFT, "QLinearReduceMean"): _Rule("ReduceMean", _unary, 4),
    (MICROSOFT, "QLinearSigmoid"): _Rule("Sigmoid", _unary, 4),
    (MICROSOFT, "QLinearLeakyRelu"): _Rule("LeakyRelu", _unary, 4),
    (MICROSOFT, "QLinearSoftmax"): _Rule("Softmax", _unary, 4),
    (MICROSOFT, "QLinearConcat"): _Rule("Concat", _concat, 5),
    (MICROSOFT, "QuantizeLinear"): _Rule("QuantizeLinear", _rename, 2),
    (MICROSOFT, "DequantizeLinear"): _Rule("DequantizeLinear", _rename, 2),
    (MICROSOFT, "DynamicQuantizeLSTM"): _Rule("LSTM", _dynamic_lstm, 12),
}
