"""An NCHW graph as one that stripes can be worked out on: the same operators and bytes, tensors as NHWC images.

Rows of an NCHW tensor are not one block of memory, but which rows an operator reads does not depend on the layout. The
image of a graph has its tensors and operators at the same places; contents of constants are not transposed, so it says
what needs what and how much memory that takes, and is not for execution.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from mcuprof.graph import ABSENT, Graph, Op, Tensor
from mcuprof.ops.activation import POINTWISE
from mcuprof.ops.elementwise import ELEMENTWISE
from mcuprof.ops.geometry import window

WINDOWS = frozenset(("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"))
_ELEMENTS = frozenset((*ELEMENTWISE, *POINTWISE, "LEAKY_RELU", "PRELU", "QUANTIZE", "DEQUANTIZE"))
_AXES = {1: 3, 3: 2}  # of a CONCATENATION: channels and columns


def image_of(graph: Graph, divisible: Collection[int]) -> Graph:
    """The image of `graph`, whose operators keep their indices; those not in `divisible` are opaque in it."""
    ops = tuple(
        _op(graph, op) if index in divisible and can_divide(graph, op) else replace(op, kind=f"whole {op.kind}")
        for index, op in enumerate(graph.ops)
    )
    return replace(graph, tensors=tuple(map(_tensor, graph.tensors)), ops=ops, subgraphs=())


def can_divide(graph: Graph, op: Op) -> bool:
    """Whether rows of the operator's NCHW output are those of its operands, but for windows."""
    if len(op.outputs) != 1 or op.outputs[0] == ABSENT or len(graph.output(op).shape) != 4:
        return False
    if op.kind in WINDOWS:
        # A pool over all of its image is summed by other code in ONNX Runtime, which breaks ties otherwise: a window as
        # wide as the image could come to be one of these.
        all_columns = op.kind == "AVERAGE_POOL_2D" and op.integer("filter_w") >= graph.input(op).shape[-1]
        return op.text("layout") == "NCHW" and len(graph.input(op).shape) == 4 and not all_columns
    if op.kind == "CONCATENATION":
        return op.integer("axis") % 4 in _AXES
    if op.kind not in _ELEMENTS:
        return False
    out = graph.output(op)
    operands = [graph.tensors[index] for index in op.inputs if index != ABSENT]
    return all(x.shape == out.shape or _read_whole(x) for x in operands)


def _read_whole(tensor: Tensor) -> bool:
    height = tensor.shape[-2] if len(tensor.shape) > 1 else 1
    return height == 1 and (tensor.is_constant or len(tensor.shape) == 4)


def _tensor(tensor: Tensor) -> Tensor:
    if len(tensor.shape) == 4:
        n, c, h, w = tensor.shape
        return replace(tensor, shape=(n, h, w, c))
    if len(tensor.shape) == 3:
        c, h, w = tensor.shape
        return replace(tensor, shape=(h, w, c))
    return tensor


def _op(graph: Graph, op: Op) -> Op:
    attributes = dict(op.attributes)
    if op.kind == "CONCATENATION":
        attributes["axis"] = _AXES[op.integer("axis") % 4]
    if op.kind in WINDOWS:
        del attributes["layout"]
        if op.text("padding") == "SAME":
            w = window(graph, op)
            attributes |= {"padding": "EXPLICIT", "pads": (w.pad_top, w.pad_left, w.pad_bottom, w.pad_right)}
    return replace(op, attributes=attributes)
