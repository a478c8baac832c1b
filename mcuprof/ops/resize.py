"""Resizing: RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR. Input 1 is the new [height, width]."""

from __future__ import annotations

from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops.operator import InputShapes, Operator, as_stored, constant_integers


def resize_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """NHWC: height and width from input 1; NCHW (ONNX) as stored."""
    if op.text("layout", "NHWC") == "NCHW":
        return as_stored(graph, op, inputs)
    height, width = constant_integers(graph, op, 1)
    n, _, _, c = inputs[0]
    return ((n, height, width, c),)


OPERATORS = tuple(Operator(kind, resize_shapes) for kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"))
