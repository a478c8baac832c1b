"""QOperator style → plain operators on quantized tensors: QLinearConv becomes Conv whose tensors carry quantization.

Sources: ONNX operator specification (QLinearConv, QLinearMatMul) and ONNX Runtime's ContribOperators.md
(com.microsoft QLinear*, QGemm, DynamicQuantize*). Where a scale or zero point is computed, the tensors carry no
quantization and the operator keeps the parameters as further inputs, so that they stay alive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import DType, Quantization
from mcuprof.readers.onnx.bias import bias_quantization
from mcuprof.readers.onnx.net import ABSENT, Net, Node

MICROSOFT = "com.microsoft"


def parameters(
    net: Net, scale: str, zero_point: str, axis: int = 0, block: int = 0, what: str = "tensor"
) -> Quantization | None:
    """The quantization in two constants; None when one is computed or stripped. Raises ModelError on bad scales."""
    scales = net.constant(scale)
    if scales is None:
        return None
    values = tuple(float(value) for value in scales.astype(np.float64).reshape(-1))
    if not values or any(not math.isfinite(value) or value < 0 for value in values):
        raise ModelError(f"{what} has a scale that is negative or not finite")
    zeros: tuple[int, ...] = (0,) * len(values)
    if zero_point != ABSENT:
        stored = net.integers(zero_point)
        if stored is None:
            return None
        zeros = stored * len(values) if len(stored) == 1 else stored
        if len(zeros) != len(values):
            raise ModelError(f"{what} has {len(values)} scales and {len(zeros)} zero points")
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


@dataclass(frozen=True, slots=True)
class _Form:
    """Where a QOperator operator keeps what `op` needs: operands and result are followed by scale and zero point.

    `axes` gives the quantized axis of each operand (from the end if negative) for those that can be per channel.
    """

    op: str
    operands: tuple[int, ...]
    result: int
    bias: int | None = None
    axes: tuple[int, ...] = ()


def desugar(net: Net, node: Node) -> None:
    """Rewrites a QOperator `node` in place. Its inputs must have values. Raises ModelError when one is missing."""
    key = (node.domain, node.op)
    if key in _RENAMED:
        node.op, node.domain = _RENAMED[key], ""
    elif key == (MICROSOFT, "DynamicQuantizeLSTM"):
        _dynamic_lstm(net, node)
    elif key == (MICROSOFT, "DynamicQuantizeMatMul"):
        _dynamic_matmul(net, node, 2, 3, [node.input(4)])
    elif key == (MICROSOFT, "MatMulIntegerToFloat"):
        _dynamic_matmul(net, node, 3, 5, [node.input(6), node.input(2), node.input(4)])
    elif key == (MICROSOFT, "QLinearConcat"):
        _rewrite(net, node, _Form("Concat", tuple(range(2, len(node.inputs), 3)), 0))
    elif key in _FORMS:
        _rewrite(net, node, _FORMS[key])


def _rewrite(net: Net, node: Node, form: _Form) -> None:
    if node.integer("channels_last"):
        return  # pools of com.microsoft in NHWC: stay opaque
    operands = [node.input(index) for index in form.operands]
    if not operands or any(name not in net.values for name in operands):
        raise ModelError(f"{node} lacks an operand")
    found = [_operand(net, node, form, place) for place in range(len(operands))]
    scale, zero = node.input(form.result), node.input(form.result + 1)
    result = parameters(net, scale, zero, what=str(node)) if scale else None
    bias = node.input(form.bias) if form.bias is not None else ABSENT
    if all(found) and (result or not scale):
        operands = [attach(net, name, known) for name, known in zip(operands, found, strict=True) if known]
        quantization = bias_quantization(net, *operands) if bias in net.values else None
        inputs = [*operands, attach(net, bias, quantization) if quantization else bias]
    elif form.axes:
        net.note(f"{node.source} computes its scales: its tensors carry no quantization")
        taken = {*form.operands, form.bias}
        inputs = [*operands, bias, *(name for index, name in enumerate(node.inputs) if index not in taken)]
    else:
        return
    node.op, node.domain = form.op, ""
    if not scale:  # QGemm without output parameters gives float
        node.dtype = DType.FLOAT32
    else:
        node.dtype = net.values[zero].dtype if zero else DType.UINT8
    if result is not None:
        node.attributes["output_quantization"] = result
    _set_inputs(net, node, inputs)


def _operand(net: Net, node: Node, form: _Form, place: int) -> Quantization | None:
    index = form.operands[place]
    axis = form.axes[place] if form.axes else 0
    if node.integer("transB") and place == 1:
        axis = 0
    rank = len(net.values[node.inputs[index]].shape)
    return parameters(net, node.input(index + 1), node.input(index + 2), max(0, axis % max(rank, 1)), what=str(node))


def _set_inputs(net: Net, node: Node, inputs: list[str]) -> None:
    while inputs and inputs[-1] == ABSENT:
        inputs.pop()
    net.set_inputs(node, inputs)


def _dynamic_matmul(net: Net, node: Node, scale: int, zero: int, rest: list[str]) -> None:
    """Float MatMul with integer weights; `rest` is the bias and what else has to stay alive."""
    weights = net.values.get(node.input(1))
    found = parameters(
        net, node.input(scale), node.input(zero), len(weights.shape) - 1 if weights else 0, what=str(node)
    )
    if found is None or weights is None:
        return
    node.op, node.domain, node.dtype = "MatMul", "", DType.FLOAT32
    _set_inputs(net, node, [node.inputs[0], attach(net, weights.name, found), *rest])


def _dynamic_lstm(net: Net, node: Node) -> None:
    """Float LSTM with integer weights [directions, in, 4·hidden] and [directions, hidden, 4·hidden].

    Each direction has a scale, or one per column. Both at once, two directions and columns, no tensor can carry.
    """
    found, weights = [], []
    for index, scale in ((1, 8), (2, 10)):
        if any(node.input(at) not in net.values for at in (0, index, scale)):
            return
        weights.append(node.inputs[index])
        shape = net.values[node.input(scale)].shape
        if len(shape) < 2 or shape[0] == 1:
            found.append(
                parameters(net, node.input(scale), node.input(scale + 1), 2 if len(shape) > 1 else 0, what=str(node))
            )
    node.op, node.domain, node.dtype = "LSTM", "", net.values[node.inputs[0]].dtype
    node.attributes["transposed"] = 1
    if len(found) == 2 and all(found):
        weights = [attach(net, name, known) for name, known in zip(weights, found, strict=True) if known]
        _set_inputs(net, node, [node.inputs[0], *weights, *node.inputs[3:8]])
    else:
        net.note(f"{node.source} has scales that its tensors cannot carry: they show no quantization")


_FORMS: Mapping[tuple[str, str], _Form] = {
    ("", "QLinearConv"): _Form("Conv", (0, 3), 6, 8, (0, 0)),
    ("", "QLinearMatMul"): _Form("MatMul", (0, 3), 6, None, (-2, -1)),
    (MICROSOFT, "QGemm"): _Form("Gemm", (0, 3), 7, 6, (0, 1)),
    (MICROSOFT, "QLinearAdd"): _Form("Add", (0, 3), 6),
    (MICROSOFT, "QLinearMul"): _Form("Mul", (0, 3), 6),
    (MICROSOFT, "QLinearAveragePool"): _Form("AveragePool", (0,), 3),
    (MICROSOFT, "QLinearGlobalAveragePool"): _Form("GlobalAveragePool", (0,), 3),
    (MICROSOFT, "QLinearReduceMean"): _Form("ReduceMean", (0,), 3),
    (MICROSOFT, "QLinearSigmoid"): _Form("Sigmoid", (0,), 3),
    (MICROSOFT, "QLinearLeakyRelu"): _Form("LeakyRelu", (0,), 3),
    (MICROSOFT, "QLinearSoftmax"): _Form("Softmax", (0,), 3),
}
_RENAMED: Mapping[tuple[str, str], str] = {
    (MICROSOFT, "QuantizeLinear"): "QuantizeLinear",
    (MICROSOFT, "DequantizeLinear"): "DequantizeLinear",
}
