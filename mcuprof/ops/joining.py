"""Operators that join or part tensors along an axis: CONCATENATION, PACK, SPLIT, SPLIT_V, UNPACK."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops.kernel import (
    Array,
    Inputs,
    Kernel,
    Prepare,
    divisor_of,
    is_float,
    is_onnx,
    plain_target,
    scale_of,
    zero_of,
)
from mcuprof.ops.operator import InputShapes, Operator, constant_integers, normalize_axis
from mcuprof.ops.rows import joined_rows


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
    if "axis" not in op.attributes:
        raise ValueError("PACK has no options, and runtimes pack nothing")
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


def prepare_concatenation(graph: Graph, op: Op) -> Kernel:
    """Joined along `axis`. Operands of another quantization than the output's: ONNX requantizes them, TFLM has none."""
    axis = op.integer("axis")
    out = graph.output(op)
    parts = [graph.tensors[index] for index in op.inputs]
    if not is_onnx(graph) or is_float(out) or all(part.quantization == out.quantization for part in parts):
        return lambda inputs: (np.concatenate(inputs, axis=axis),)
    to, scale = plain_target(out), divisor_of(out)
    rows = [(scale_of(part), zero_of(part)) for part in parts]

    def run(inputs: Inputs) -> tuple[Array, ...]:
        reals = [(x.astype(np.int32) - zero).astype(np.float32) * s for x, (s, zero) in zip(inputs, rows, strict=True)]
        q = np.rint(np.concatenate(reals, axis=axis) / scale) + to.zero
        return (np.clip(q, to.low, to.high).astype(to.dtype),)

    return run


def prepare_pack(graph: Graph, op: Op) -> Kernel:
    """Stacked along a new axis."""
    axis = op.integer("axis")
    return lambda inputs: (np.stack(inputs, axis=axis),)


def prepare_unpack(graph: Graph, op: Op) -> Kernel:
    """One output per index of `axis`."""
    axis = op.integer("axis")
    return lambda inputs: tuple(np.ascontiguousarray(part) for part in np.moveaxis(inputs[0], axis, 0))


def _parts(data: int, axis: int, ends: Callable[[Inputs, int, int], Sequence[int] | int]) -> Prepare:
    """Splits input `data` along the axis that input number `axis` holds; `ends(inputs, length, count)` says where."""

    def prepare(graph: Graph, op: Op) -> Kernel:
        def run(inputs: Inputs) -> tuple[Array, ...]:
            x, along = inputs[data], int(inputs[axis].reshape(-1)[0])
            pieces = np.split(x, ends(inputs, x.shape[along], len(op.outputs)), axis=along)
            return tuple(np.ascontiguousarray(piece) for piece in pieces)

        return run

    return prepare


def _ends(inputs: Inputs, length: int, count: int) -> Sequence[int]:
    """SPLIT_V: running sums of the lengths, of which one may be −1 for the rest."""
    lengths = inputs[1].reshape(-1).astype(int)
    lengths = np.where(lengths < 0, length - lengths[lengths >= 0].sum(), lengths)
    return [int(end) for end in np.cumsum(lengths)[:-1]]


OPERATORS = (
    Operator("CONCATENATION", concatenation_shapes, kernel=prepare_concatenation, rows=joined_rows),
    Operator("PACK", pack_shapes, kernel=prepare_pack),
    Operator("UNPACK", unpack_shapes, kernel=prepare_unpack),
    Operator("SPLIT", split_shapes, kernel=_parts(1, 0, lambda inputs, length, count: count)),
    Operator("SPLIT_V", split_v_shapes, kernel=_parts(0, 2, _ends)),
)
