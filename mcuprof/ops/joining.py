"""Operators that join or part tensors along an axis: CONCATENATION, PACK, SPLIT, SPLIT_V, UNPACK."""

from __future__ import annotations

from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops.operator import InputShapes, Operator, constant_integers, normalize_axis


def concatenation_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """Lengths along `axis` add up; the other axes must agree."""
    first = inputs[0]
    axis = normalize_axis(op.integer("axis"), len(first))
    for shape in inputs[1:]:
        if (*shape[:axis], *shape[axis + 1 :]) != (*first[:axis], *first[axis + 1 :]):
            raise ValueError(f"CONCATENATION of {first} and {shape} along axis {axis}")
    return ((*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :]),)


def pack_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """A new axis whose length is the number of inputs."""
    axis = normalize_axis(op.integer("axis"), len(inputs[0]) + 1)
    return ((*inputs[0][:axis], len(inputs), *inputs[0][axis:]),)


def unpack_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """One output per index of `axis`, without that axis."""
    axis = normalize_axis(op.integer("axis"), len(inputs[0]))
    return ((*inputs[0][:axis], *inputs[0][axis + 1 :]),) * len(op.outputs)


def split_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """TFLite SPLIT: input 0 is the axis, input 1 the data, equal parts."""
    axis = normalize_axis(constant_integers(graph, op, 0)[0], len(inputs[1]))
    part = inputs[1][axis] // max(1, len(op.outputs))
    return ((*inputs[1][:axis], part, *inputs[1][axis + 1 :]),) * len(op.outputs)


def split_v_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """TFLite SPLIT_V: data, lengths (one may be −1), axis."""
    x = inputs[0]
    lengths = constant_integers(graph, op, 1)
    axis = normalize_axis(constant_integers(graph, op, 2)[0], len(x))
    rest = x[axis] - sum(length for length in lengths if length >= 0)
    return tuple((*x[:axis], rest if length < 0 else length, *x[axis + 1 :]) for length in lengths)


OPERATORS = (
    Operator("CONCATENATION", concatenation_shapes),
    Operator("PACK", pack_shapes),
    Operator("UNPACK", unpack_shapes),
    Operator("SPLIT", split_shapes),
    Operator("SPLIT_V", split_v_shapes),
)
