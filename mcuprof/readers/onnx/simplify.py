"""What every converter does to a float graph: folds batch normalisation and bias additions, fuses activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mcuprof.graph import DType, Tensor
from mcuprof.readers.onnx.net import ABSENT, Net, Node

Dequantizer = Callable[[str], Node | None]

# Operators whose TFLite counterpart has a fused activation field.
_ACTIVATED = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div"))
_CLIPS: Mapping[tuple[float, float], str] = {
    (0.0, 6.0): "RELU6",
    (0.0, float("inf")): "RELU",
    (-1.0, 1.0): "RELU_N1_TO_1",
}
INTEGER_RANGE = {
    dtype: (-(1 << dtype.bits - 1), (1 << dtype.bits - 1) - 1)
    if dtype.value.startswith("int")
    else (0, (1 << dtype.bits) - 1)
    for dtype in DType
    if dtype.is_integer
}


def simplify(net: Net, weights_behind: Dequantizer) -> None:
    """Folds and fuses in place. `weights_behind` gives the DequantizeLinear of a constant behind a value, if any."""
    for node in list(net.nodes):
        if not node.outputs or node.domain:
            continue
        if node.op == "BatchNormalization":
            _fold_normalization(net, node)
        elif node.op == "Add":
            _fold_bias(net, node, weights_behind)
        elif node.op in ("Relu", "Clip"):
            _fuse_activation(net, node, weights_behind)


def clip_bounds(net: Net, node: Node) -> tuple[float, float] | None:
    """Bounds of a Clip (inputs since opset 11, attributes before) or Relu; None when they are computed."""
    bounds = [0.0, float("inf")] if node.op == "Relu" else [float("-inf"), float("inf")]
    for index, name in enumerate(("min", "max")):
        bounds[index] = node.number(name, bounds[index])
        if node.op == "Clip" and node.input(index + 1) != ABSENT:
            array = net.constant(node.input(index + 1))
            if array is None or array.size != 1:
                return None
            bounds[index] = float(array.reshape(()))
    return bounds[0], bounds[1]


def activation_name(bounds: tuple[float, float] | None) -> str | None:
    """TFLite's name for a clipping to `bounds`; None when it has none. Anything above 1e30 counts as unbounded."""
    if bounds is None:
        return None
    low, high = bounds
    return _CLIPS.get((low, high if high < 1e30 else float("inf")))


def is_dense(net: Net, node: Node, weights_behind: Dequantizer) -> bool:
    """True for a MatMul whose right side is a constant matrix, and for Gemm: what becomes FULLY_CONNECTED."""
    if node.op == "Gemm":
        return True
    if node.op != "MatMul" or len(node.inputs) < 2 or len(net.values[node.inputs[1]].shape) != 2:
        return False
    return net.values[node.inputs[1]].is_constant or weights_behind(node.inputs[1]) is not None


def _sole_producer(net: Net, name: str) -> Node | None:
    """The node whose only output `name` only one node reads."""
    made = net.producer.get(name)
    return made if made is not None and net.reader(name) is not None and made.activation == "NONE" else None


def _fold_normalization(net: Net, node: Node) -> None:
    conv = _sole_producer(net, node.input(0))
    if conv is None or conv.op != "Conv" or conv.domain or len(node.outputs) != 1 or len(node.inputs) != 5:
        return
    if node.integer("training_mode") or net.values[conv.inputs[1]].dtype is not DType.FLOAT32:
        return
    weights = net.constant(conv.inputs[1])
    bias = net.constant(conv.input(2)) if conv.input(2) else np.float32(0)
    gamma, beta, mean, variance = (net.constant(name) for name in node.inputs[1:])
    if weights is None or bias is None or gamma is None or beta is None or mean is None or variance is None:
        return
    if {array.shape for array in (gamma, beta, mean, variance)} != {weights.shape[:1]}:
        return
    if not net.may_spend(weights.size):
        return
    with np.errstate(all="ignore"):
        factor = gamma / np.sqrt(variance + np.float32(node.number("epsilon", 1e-5)))
        folded = weights * factor.reshape(-1, *(1,) * (weights.ndim - 1))
        shift = (bias - mean) * factor + beta
    names = (conv.input(2) or f"{node.outputs[0]}_bias", conv.inputs[1])
    bias_name = net.add_constant(f"{names[0]}_folded", shift.astype(np.float32))
    weights_name = net.add_constant(f"{names[1]}_folded", folded.astype(np.float32))
    net.set_inputs(conv, [conv.inputs[0], weights_name, bias_name])
    net.merge(conv, node)
    net.note("batch normalisations were folded into the convolutions before them, as converters do")


def _fold_bias(net: Net, node: Node, weights_behind: Dequantizer) -> None:
    if len(node.inputs) != 2:
        return
    for data, other in (node.inputs, node.inputs[::-1]):
        made, bias = _sole_producer(net, data), net.values.get(other)
        if made is None or bias is None or made.domain or made.input(2) or not net.values[data].dtype.is_float:
            continue
        out = net.values[data]
        if net.values[node.outputs[0]].shape != out.shape or not (bias.is_constant or weights_behind(other)):
            continue
        if made.op == "Conv":
            axis = 1
        elif made.op == "MatMul" and is_dense(net, made, weights_behind):
            axis = len(out.shape) - 1
        else:
            continue
        name = _as_vector(net, bias, out.shape[axis], len(out.shape) - 1 - axis)
        if name is not None:
            net.set_inputs(made, [*made.inputs[:2], name])
            net.merge(made, node)
            return


def _as_vector(net: Net, bias: Tensor, length: int, trailing: int) -> str | None:
    """The name of `bias` as a vector over the channels, the axis with `trailing` behind it; None if it is not one."""
    shape = bias.shape
    channel = len(shape) - 1 - trailing
    if channel < 0 or shape[channel] != length or bias.elements != length:
        return None
    if len(shape) == 1:
        return bias.name
    array = net.constant(bias.name)
    return None if array is None else net.add_constant(f"{bias.name}_vector", array.reshape(-1), dtype=bias.dtype)


def _fuse_activation(net: Net, node: Node, weights_behind: Dequantizer) -> None:
    made, bounds = _sole_producer(net, node.input(0)), clip_bounds(net, node)
    if made is None or bounds is None or made.op not in _ACTIVATED or made.domain:
        return
    if made.op == "MatMul" and not is_dense(net, made, weights_behind):
        return
    if not net.values[node.inputs[0]].dtype.is_float:
        return
    name = activation_name(bounds)
    if name is None:
        name = _implied(net, node, bounds)
    if name is not None:
        made.activation = name
        net.merge(made, node)


def _implied(net: Net, node: Node, bounds: tuple[float, float]) -> str | None:
    """What is left of a clipping whose result is quantized: NONE or RELU where the quantized range does the rest."""
    left = "NONE"
    readers = net.readers(node.outputs[0])
    if not readers or net.leaves(node.outputs[0]):
        return None
    for reader in readers:
        target = net.values[reader.outputs[0]] if reader.op == "QuantizeLinear" else None
        quantization = target.quantization if target is not None else None
        if target is None or quantization is None or quantization.per_channel:
            return None
        low, high = (
            quantization.scale[0] * (limit - quantization.zero_point[0]) for limit in INTEGER_RANGE[target.dtype]
        )
        if high > bounds[1]:
            return None
        if low < bounds[0]:
            if bounds[0] != 0.0:
                return None
            left = "RELU"
    return left
