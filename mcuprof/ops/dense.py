"""Matrix products: FULLY_CONNECTED (x · weightsᵀ + bias) and BATCH_MATMUL (x · y).

FULLY_CONNECTED: weights [out, in], or [in, out] when the attribute `transposed` is set (ONNX Gemm, MatMul).
"""

from __future__ import annotations

import numpy as np

from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops.operator import InputShapes, Operator


def fully_connected_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """[batch, out], or the input's leading dimensions + [out] with `keep_num_dims`."""
    rows, columns = inputs[1]
    out, depth = (columns, rows) if op.integer("transposed") else (rows, columns)
    x = inputs[0]
    if op.integer("keep_num_dims") or op.integer("transposed"):
        return ((*x[:-1], out),)
    return ((int(np.prod(x)) // max(1, depth), out),)


def fully_connected_macs(graph: Graph, op: Op) -> int:
    """Output elements × depth of the weights."""
    weights = graph.input(op, 1)
    depth = weights.shape[0 if op.integer("transposed") else -1] if weights.shape else 0
    return graph.output(op).elements * depth


def batch_matmul_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """Broadcast leading dimensions + [rows of x, columns of y], each side transposed first if asked."""
    x, y = inputs[0], inputs[1]
    if len(x) < 2 or len(y) < 2:
        return (tuple(np.matmul(np.empty(x, np.bool_), np.empty(y, np.bool_)).shape),)
    rows = x[-1] if op.integer("adj_x") else x[-2]
    columns = y[-2] if op.integer("adj_y") else y[-1]
    return ((*np.broadcast_shapes(x[:-2], y[:-2]), rows, columns),)


def batch_matmul_macs(graph: Graph, op: Op) -> int:
    """Output elements × inner dimension."""
    x = graph.input(op, 0)
    inner = x.shape[-2 if op.integer("adj_x") and len(x.shape) > 1 else -1] if x.shape else 1
    return graph.output(op).elements * inner


OPERATORS = (
    Operator("FULLY_CONNECTED", fully_connected_shapes, fully_connected_macs),
    Operator("BATCH_MATMUL", batch_matmul_shapes, batch_matmul_macs),
)
