"""Reductions along axes: MEAN, SUM, REDUCE_*, ARG_MAX, ARG_MIN, TOPK_V2."""

from __future__ import annotations

from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops.operator import InputShapes, Operator, constant_integers, normalize_axis


def reduce_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """The axes in `axes` or input 1 go, or become 1 with `keep_dims`; no axes means all of them."""
    x = inputs[0]
    axes = {normalize_axis(axis, len(x)) for axis in reduction_axes(graph, op)} or set(range(len(x)))
    if op.integer("keep_dims"):
        return (tuple(1 if axis in axes else size for axis, size in enumerate(x)),)
    return (tuple(size for axis, size in enumerate(x) if axis not in axes),)


def reduction_axes(graph: Graph, op: Op) -> tuple[int, ...]:
    """The axes as the file gives them (negative ones count from the end). Raises ShapeUnknown when computed."""
    return op.integers("axes") or (constant_integers(graph, op, 1) if len(op.inputs) > 1 else ())


def arg_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """The axis of input 1 (or `axis`) goes."""
    axis = op.integer("axis") if len(op.inputs) < 2 else constant_integers(graph, op, 1)[0]
    axis = normalize_axis(axis, len(inputs[0]))
    kept = (1,) if op.integer("keep_dims") else ()
    return ((*inputs[0][:axis], *kept, *inputs[0][axis + 1 :]),)


def topk_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """Values and indices: the last axis shrinks to k."""
    k = constant_integers(graph, op, 1)[0]
    return ((*inputs[0][:-1], k),) * 2


OPERATORS = (
    *(
        Operator(kind, reduce_shapes)
        for kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL")
    ),
    Operator("ARG_MAX", arg_shapes),
    Operator("ARG_MIN", arg_shapes),
    Operator("TOPK_V2", topk_shapes),
)
