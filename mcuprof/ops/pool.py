"""Pooling: AVERAGE_POOL_2D, MAX_POOL_2D, L2_POOL_2D. A window per channel, no weights, no MACs."""

from __future__ import annotations

from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops.geometry import spatial, window_size
from mcuprof.ops.operator import InputShapes, Operator


def pool_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """As a convolution with as many output as input channels. ONNX keeps the stored shape (ceil mode, dilation)."""
    if op.text("layout", "NHWC") == "NCHW":
        return (graph.output(op).shape,)
    n, h, w, c = spatial(inputs[0], False)
    padding = op.text("padding", "VALID")
    out_h = window_size(h, op.integer("filter_h", 1), op.integer("stride_h", 1), 1, padding)
    out_w = window_size(w, op.integer("filter_w", 1), op.integer("stride_w", 1), 1, padding)
    return ((n, out_h, out_w, c),)


OPERATORS = tuple(Operator(kind, pool_shapes) for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"))
