"""Converters for convolutions, pools, matrix products, element-wise operators and activations.

Layouts stay as in the file: NCHW activations, OIHW weights. Padding: ONNX's `pads` and `auto_pad` (operator
specification of Conv; SAME_UPPER is TFLite's SAME, SAME_LOWER puts the odd cell in front).
"""

from __future__ import annotations

from math import prod

from mcuprof.errors import ModelError
from mcuprof.graph import Attribute
from mcuprof.readers.onnx.call import Call, Converter, Table, axis_of, first_input, listed, need, renamed
from mcuprof.readers.onnx.net import Net, Node
from mcuprof.readers.onnx.simplify import activation_name, clip_bounds, is_dense

Attributes = dict[str, Attribute]


def _pair(node: Node, name: str, rank: int) -> tuple[int, int]:
    """A per-axis attribute as (height, width); 1-D operators have height 1. Raises ModelError unless all are ≥ 1."""
    values = node.integers(name) or (1,) * rank
    if len(values) != rank or min(values) < 1:
        raise ModelError(f"{node} has the {name} {values} for {rank} spatial dimensions")
    return (1, values[0]) if rank == 1 else (values[0], values[1])


def _height_width(shape: tuple[int, ...]) -> tuple[int, int]:
    """Spatial sizes of an NCHW shape; (1, width) for NCW."""
    return (1, shape[2]) if len(shape) == 3 else (shape[2], shape[3])


def _pads(node: Node, rank: int) -> tuple[int, int, int, int]:
    values = node.integers("pads") or (0,) * (2 * rank)
    if len(values) != 2 * rank or min(values) < 0:
        raise ModelError(f"{node} has the pads {values} for {rank} spatial dimensions")
    return (0, values[0], 0, values[1]) if rank == 1 else (values[0], values[1], values[2], values[3])


def _window(node: Node, net: Net, kernel: tuple[int, int]) -> Attributes:
    """Strides, dilations and padding of a convolution or pool whose shapes are known."""
    x, y = net.values[need(node, 0)].shape, net.values[node.outputs[0]].shape
    stride, dilation = _pair(node, "strides", len(x) - 2), _pair(node, "dilations", len(x) - 2)
    found: Attributes = {
        "layout": "NCHW",
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h": dilation[0],
        "dilation_w": dilation[1],
    }
    automatic = node.text("auto_pad", "NOTSET")
    if automatic == "SAME_UPPER":
        return {**found, "padding": "SAME"}
    sizes = zip(_height_width(x), _height_width(y), kernel, stride, dilation, strict=True)
    needed = [max(0, (out - 1) * step + (cells - 1) * gap + 1 - size) for size, out, cells, step, gap in sizes]
    if automatic == "SAME_LOWER":
        top, left = -(-needed[0] // 2), -(-needed[1] // 2)
        pads = (top, left, needed[0] - top, needed[1] - left)
    else:
        pads = (0, 0, 0, 0) if automatic == "VALID" else _pads(node, len(x) - 2)
    if node.integer("ceil_mode"):  # the last window may reach further than the pads: let them say so
        pads = (*pads[:2], max(pads[2], needed[0] - pads[0]), max(pads[3], needed[1] - pads[1]))
    if not any(pads):
        return {**found, "padding": "VALID"}
    return {**found, "padding": "EXPLICIT", "pads": pads}


def _spatial(node: Node, net: Net) -> bool:
    """True when input and output are NCW or NCHW."""
    rank = len(net.values[need(node, 0)].shape)
    return rank in (3, 4) and len(net.values[node.outputs[0]].shape) == rank


def _activated(node: Node, attributes: Attributes) -> Attributes:
    return attributes if node.activation == "NONE" else {**attributes, "activation": node.activation}


def _conv(node: Node, net: Net) -> Call | None:
    x, weights = net.values[need(node, 0)].shape, net.values[need(node, 1)].shape
    if not _spatial(node, net) or len(weights) != len(x):
        return None
    groups = node.integer("group", 1)
    if groups < 1 or weights[1] * groups != x[1] or weights[0] % groups:
        raise ModelError(f"{node} has weights {weights} and {groups} groups for {x[1]} channels")
    attributes = _activated(node, _window(node, net, _height_width(weights)))
    # ConvInteger names zero points instead of scales: inputs 3 and 4.
    inputs = node.inputs if node.op == "Conv" else [*node.inputs[:2], "", *node.inputs[2:4]]
    if groups == x[1] and groups > 1:
        return Call("DEPTHWISE_CONV_2D", inputs, {**attributes, "multiplier": weights[0] // groups})
    return Call("CONV_2D", inputs, {**attributes, "groups": groups})


def _conv_transpose(node: Node, net: Net) -> Call | None:
    """Pads follow from the output: stride·(in − 1) + extent + output_padding − out cells, split as `auto_pad` says."""
    x, y = net.values[need(node, 0)].shape, net.values[node.outputs[0]].shape
    weights = net.values[need(node, 1)].shape
    if not _spatial(node, net) or len(weights) != len(x):
        return None
    rank = len(x) - 2
    stride, dilation = _pair(node, "strides", rank), _pair(node, "dilations", rank)
    extra = node.integers("output_padding") or (0,) * rank
    extra = (0, *extra) if rank == 1 else extra
    lower = node.text("auto_pad", "NOTSET") == "SAME_LOWER"
    before, after = [], []
    for axis in range(2):
        size, out, cells = (_height_width(shape)[axis] for shape in (x, y, weights))
        total = max(0, stride[axis] * (size - 1) + (cells - 1) * dilation[axis] + 1 + extra[axis] - out)
        begin = -(-total // 2) if lower else total // 2
        before.append(begin)
        after.append(total - begin)
    if node.text("auto_pad", "NOTSET") == "NOTSET" and not node.integers("output_shape"):
        top, left, bottom, right = _pads(node, rank)
        before, after = [top, left], [bottom, right]
    attributes: Attributes = {
        "layout": "NCHW",
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h": dilation[0],
        "dilation_w": dilation[1],
        "groups": node.integer("group", 1),
        "padding": "EXPLICIT" if any((*before, *after)) else "VALID",
    }
    if any((*before, *after)):
        attributes["pads"] = (*before, *after)
    return Call("TRANSPOSE_CONV", node.inputs[:3], _activated(node, attributes))


def _pool(kind: str) -> Converter:
    def convert(node: Node, net: Net) -> Call | None:
        if not _spatial(node, net) or any(node.outputs[1:]):
            return None
        rank = len(net.values[node.inputs[0]].shape) - 2
        kernel = _pair(node, "kernel_shape", rank)
        if max(_pair(node, "dilations", rank)) > 1 or "kernel_shape" not in node.attributes:
            return None
        attributes = _window(node, net, kernel)
        del attributes["dilation_h"], attributes["dilation_w"]
        attributes |= {"filter_h": kernel[0], "filter_w": kernel[1]}
        if node.integer("count_include_pad") and attributes["padding"] != "VALID":
            attributes["count_include_pad"] = True
        return Call(kind, node.inputs[:1], attributes)

    return convert


def _global_pool(kind: str) -> Converter:
    def convert(node: Node, net: Net) -> Call:
        rank = len(net.values[need(node, 0)].shape)
        return Call(kind, node.inputs[:1], {"axes": tuple(range(2, rank)), "keep_dims": True})

    return convert


def _reduce(kind: str) -> Converter:
    def convert(node: Node, net: Net) -> Call | None:
        rank = len(net.values[need(node, 0)].shape)
        axes = listed(node, net, 1, "axes")
        if axes is None or (not axes and node.integer("noop_with_empty_axes")):
            return None
        axes = tuple(sorted(axis % rank for axis in axes)) if rank and axes else tuple(range(rank))
        return Call(kind, node.inputs[:1], {"axes": axes, "keep_dims": bool(node.integer("keepdims", 1))})

    return convert


def _gemm(node: Node, net: Net) -> Call | None:
    weights = net.values[need(node, 1)].shape
    bias = net.values[node.input(2)] if node.input(2) else None
    scaled = node.number("alpha", 1.0) != 1.0 or (bias is not None and node.number("beta", 1.0) != 1.0)
    if node.integer("transA") or scaled or len(weights) != 2:
        return None
    inputs = node.inputs
    if bias is not None:
        out = weights[0 if node.integer("transB") else 1]
        if bias.elements != out or (bias.shape and bias.shape[-1] != out):
            return None
        array = net.constant(bias.name) if len(bias.shape) != 1 else None
        if array is not None:
            name = net.add_constant(f"{bias.name}_vector", array.reshape(-1), bias.quantization, bias.dtype)
            inputs = [*inputs[:2], name, *inputs[3:]]
    attributes: Attributes = {} if node.integer("transB") else {"transposed": True}
    return Call("FULLY_CONNECTED", inputs, _activated(node, attributes))


def _matmul(node: Node, net: Net) -> Call:
    x = net.values[need(node, 0)].shape
    need(node, 1)
    # MatMulInteger names zero points instead of scales: inputs 3 and 4.
    inputs = node.inputs if node.op == "MatMul" else [*node.inputs[:2], "", *node.inputs[2:4]]
    dense = net.values[node.inputs[1]].is_constant and len(net.values[node.inputs[1]].shape) == 2
    if dense or is_dense(net, node, lambda name: None):
        attributes: Attributes = {"transposed": True}
        if len(x) != 2:
            attributes["keep_num_dims"] = True
        return Call("FULLY_CONNECTED", inputs, _activated(node, attributes))
    return Call("BATCH_MATMUL", inputs, {"adj_x": False, "adj_y": False})


def _binary(kind: str) -> Converter:
    """Element-wise operators; Sum, Max and Min may have any number of inputs in ONNX and two in TFLite."""
    return lambda node, net: Call(kind, node.inputs, _activated(node, {})) if len(node.inputs) == 2 else None


def _softmax(kind: str) -> Converter:
    """Before opset 13 the trailing axes were flattened into one: only equal where the axis is the last that matters."""

    def convert(node: Node, net: Net) -> Call | None:
        flattens = node.integer("opset", net.opsets.get("", 13)) < 13
        axis = axis_of(node, net, 1 if flattens else -1)
        shape = net.values[node.inputs[0]].shape
        if flattens and prod(shape[axis + 1 :]) != 1:
            return None
        attributes: Attributes = {"axis": axis, **({"beta": 1.0} if kind == "SOFTMAX" else {})}
        return Call(kind, node.inputs[:1], attributes)

    return convert


def _clip(node: Node, net: Net) -> Call | None:
    bounds = clip_bounds(net, node)
    kind = activation_name(bounds)
    if kind is not None:
        return Call(kind, [need(node, 0)])
    return None if bounds is None else Call("Clip", [need(node, 0)], {"min": bounds[0], "max": bounds[1]})


def _leaky_relu(node: Node, net: Net) -> Call:
    return Call("LEAKY_RELU", [need(node, 0)], {"alpha": node.number("alpha", 0.01)})


def _elu(node: Node, net: Net) -> Call | None:
    return Call("ELU", [need(node, 0)]) if node.number("alpha", 1.0) == 1.0 else None


_UNARY = {
    "Relu": "RELU",
    "Sigmoid": "LOGISTIC",
    "Tanh": "TANH",
    "HardSwish": "HARD_SWISH",
    "Abs": "ABS",
    "Neg": "NEG",
    "Sign": "SIGN",
    "Round": "ROUND",
    "Ceil": "CEIL",
    "Floor": "FLOOR",
    "Exp": "EXP",
    "Log": "LOG",
    "Sqrt": "SQRT",
    "Sin": "SIN",
    "Cos": "COS",
    "Not": "LOGICAL_NOT",
    "Cast": "CAST",
}
_BINARY = {
    "Add": "ADD",
    "Sub": "SUB",
    "Mul": "MUL",
    "Div": "DIV",
    "Sum": "ADD",
    "Max": "MAXIMUM",
    "Min": "MINIMUM",
    "Pow": "POW",
    "PRelu": "PRELU",
    "Equal": "EQUAL",
    "Less": "LESS",
    "LessOrEqual": "LESS_EQUAL",
    "Greater": "GREATER",
    "GreaterOrEqual": "GREATER_EQUAL",
    "And": "LOGICAL_AND",
    "Or": "LOGICAL_OR",
}

COMPUTE: Table = {
    "Conv": _conv,
    "ConvInteger": _conv,
    "ConvTranspose": _conv_transpose,
    "AveragePool": _pool("AVERAGE_POOL_2D"),
    "MaxPool": _pool("MAX_POOL_2D"),
    "LpPool": lambda node, net: _pool("L2_POOL_2D")(node, net) if node.integer("p", 2) == 2 else None,
    "GlobalAveragePool": _global_pool("MEAN"),
    "GlobalMaxPool": _global_pool("REDUCE_MAX"),
    "ReduceMean": _reduce("MEAN"),
    "ReduceSum": _reduce("SUM"),
    "ReduceMax": _reduce("REDUCE_MAX"),
    "ReduceMin": _reduce("REDUCE_MIN"),
    "ReduceProd": _reduce("REDUCE_PROD"),
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "BatchNormalization": renamed("BATCH_NORMALIZATION", "epsilon"),
    "LRN": first_input("LOCAL_RESPONSE_NORMALIZATION"),
    "Softmax": _softmax("SOFTMAX"),
    "LogSoftmax": _softmax("LOG_SOFTMAX"),
    "Clip": _clip,
    "LeakyRelu": _leaky_relu,
    "Elu": _elu,
    "Gelu": lambda node, net: Call("GELU", [need(node, 0)], {"approximate": node.text("approximate") == "tanh"}),
    "Where": renamed("SELECT_V2"),
    "QuantizeLinear": renamed("QUANTIZE", "axis"),
    "DequantizeLinear": renamed("DEQUANTIZE", "axis"),
    **{name: first_input(kind) for name, kind in _UNARY.items()},
    **{name: _binary(kind) for name, kind in _BINARY.items()},
}
