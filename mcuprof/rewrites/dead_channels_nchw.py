"""Dead channels of ONNX graphs: the same analysis, on an image of the graph whose channels lie along the last axis.

Bounds are worked out on the graph as it is, with the rounding of ONNX. What the image cannot show (per-channel
operands, reshapes of whole images, transpositions of more than a vector) keeps all its channels. The graph is not
rebuilt: what the file has to lose is said, and the reader makes the new graph of the new file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np

from mcuprof.graph import ABSENT, Graph, Op, Tensor
from mcuprof.ops.activation import POINTWISE
from mcuprof.ops.elementwise import ELEMENTWISE
from mcuprof.ops.geometry import window
from mcuprof.ops.interval import Interval
from mcuprof.ops.intervals import intervals
from mcuprof.ops.kernel import Array
from mcuprof.ops.movement import VIEWS
from mcuprof.ops.narrowing import Kept, Narrowing, channel_axis
from mcuprof.ops.operator import ShapeUnknown, normalize_axis
from mcuprof.ops.reduce import reduction_axes
from mcuprof.rewrites.dead_channels import dead_channels
from mcuprof.rewrites.edit import constant


def narrowing(graph: Graph, opaque: Collection[int]) -> Narrowing:
    """The channels of an ONNX graph that can go, where the operators with the indices `opaque` stay as they are."""
    image = _Image(graph)
    for index, op in enumerate(graph.ops):
        image.put(op, whole=index in opaque)
    pictured = replace(graph, tensors=tuple(image.tensors), ops=tuple(image.ops), subgraphs=())
    known = {
        index: Interval(
            *(np.moveaxis(side, channel_axis(graph.tensors[index]), -1) for side in (found.low, found.high))
        )
        for index, found in intervals(graph).items()
        if graph.tensors[index].shape
    }
    masks, folded = dead_channels(pictured, known)
    tensors = {index: Kept(channel_axis(graph.tensors[index]), mask) for index, mask in masks.items()}
    return Narrowing(tensors, folded)


class _Image:
    """The image under construction; indices of tensors and operators are the graph's."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = [_moved(tensor) for tensor in graph.tensors]
        self.ops: list[Op] = []

    def put(self, op: Op, *, whole: bool) -> None:
        rule = _RULES.get(op.kind)
        try:
            made = None if whole or rule is None or len(op.outputs) != 1 else rule(self, op)
        except (LookupError, ValueError, ShapeUnknown, ZeroDivisionError):
            made = None
        self.ops.append(made or replace(op, kind=f"whole {op.kind}"))

    def axes(self, op: Op) -> set[int]:
        """The axes along which the operator's computed operands and its output have their channels."""
        used = (index for index in (*op.inputs, *op.outputs) if index != ABSENT)
        tensors = [self.graph.tensors[index] for index in used]
        return {channel_axis(tensor) for tensor in tensors if not tensor.is_constant}

    def add(self, tensor: Tensor, values: Array) -> int:
        self.tensors.append(constant(tensor, values))
        return len(self.tensors) - 1


def _moved(tensor: Tensor) -> Tensor:
    if tensor.is_constant or not tensor.shape:
        return tensor
    axis = channel_axis(tensor)
    return replace(tensor, shape=(*tensor.shape[:axis], *tensor.shape[axis + 1 :], tensor.shape[axis]))


# One rule per family: the operator on the image, or None where it must stay whole. ---------------------------------


def _window(image: _Image, op: Op) -> Op | None:
    """Windows over images of two axes."""
    graph = image.graph
    images = all(len(graph.tensors[index].shape) == 4 for index in (op.inputs[0], op.outputs[0]))
    if not images or op.text("layout") != "NCHW" or image.axes(op) != {1}:
        return None
    attributes = {name: value for name, value in op.attributes.items() if name != "layout"}
    if op.text("padding") == "SAME":
        w = window(graph, op)
        attributes |= {"padding": "EXPLICIT", "pads": (w.pad_top, w.pad_left, w.pad_bottom, w.pad_right)}
    inputs = op.inputs
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        weights = graph.input(op, 1)
        order = (0, 2, 3, 1) if op.kind == "CONV_2D" else (1, 2, 3, 0)
        inputs = (inputs[0], image.add(weights, weights.array().transpose(order)), *inputs[2:])
    return replace(op, inputs=inputs, attributes=attributes)


def _dense(image: _Image, op: Op) -> Op | None:
    """Rows of features."""
    graph = image.graph
    weights = graph.input(op, 1)
    if any(channel_axis(tensor) != len(tensor.shape) - 1 for tensor in (graph.input(op), graph.output(op))):
        return None
    if not op.integer("transposed"):
        return op
    attributes = {name: value for name, value in op.attributes.items() if name != "transposed"}
    turned = image.add(weights, weights.array().T)
    return replace(op, inputs=(op.inputs[0], turned, *op.inputs[2:]), attributes=attributes)


def _each(image: _Image, op: Op) -> Op | None:
    """Element by element; constants are one number."""
    tensors = [image.graph.tensors[index] for index in (*op.inputs, *op.outputs) if index != ABSENT]
    shapes = {tensor.shape for tensor in tensors if not tensor.is_constant}
    numbers = all(tensor.elements == 1 for tensor in tensors if tensor.is_constant)
    alike = all(tensor.quantization is None or not tensor.quantization.per_channel for tensor in tensors)
    return op if len(shapes) == 1 and numbers and alike else None


def _joined(image: _Image, op: Op) -> Op | None:
    """Concatenation, its axis where it went."""
    axes = image.axes(op)
    rank = len(image.graph.output(op).shape)
    if len(axes) != 1:
        return None
    (channels,) = axes
    axis = normalize_axis(op.integer("axis"), rank)
    place = rank - 1 if axis == channels else axis - (axis > channels)
    return replace(op, attributes={**op.attributes, "axis": place})


def _reduced(image: _Image, op: Op) -> Op | None:
    """Reductions of the other axes."""
    graph = image.graph
    x = graph.input(op)
    channels = channel_axis(x)
    axes = [normalize_axis(axis, len(x.shape)) for axis in reduction_axes(graph, op)]
    if channels in axes or not axes:
        return None
    places = tuple(axis - (axis > channels) for axis in axes)
    attributes = {name: value for name, value in op.attributes.items() if name != "layout"}
    return replace(op, inputs=op.inputs[:1], attributes={**attributes, "axes": places})


def _vector(image: _Image, op: Op) -> Op | None:
    """Whatever only writes the shape of a vector otherwise."""
    tensors = [image.graph.tensors[index] for index in (op.inputs[0], op.outputs[0])]
    if any(not tensor.shape or tensor.shape[channel_axis(tensor)] != tensor.elements for tensor in tensors):
        return None
    return replace(op, kind="RESHAPE", inputs=op.inputs[:1], attributes={})


_Rule = Callable[[_Image, Op], "Op | None"]
_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"), _window),
    "FULLY_CONNECTED": _dense,
    **dict.fromkeys((kind for kind in ELEMENTWISE if not kind.startswith("SELECT")), _each),
    **dict.fromkeys((*POINTWISE, "QUANTIZE", "DEQUANTIZE"), _each),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), _reduced),
    "CONCATENATION": _joined,
    **dict.fromkeys((*VIEWS, "TRANSPOSE"), _vector),
}
