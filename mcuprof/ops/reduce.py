"""Reductions along axes: MEAN, SUM, REDUCE_*, ARG_MAX, ARG_MIN, TOPK_V2.

Kernels: TFLite `reference/reduce.h` (QuantizedMeanOrSum and the float loops); ONNX Runtime QLinearGlobalAveragePool.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from mcuprof.graph import Graph, Op, Shape, Tensor
from mcuprof.ops import mlas
from mcuprof.ops.kernel import (
    Array,
    Inputs,
    Kernel,
    NoKernel,
    Rescaler,
    divisor_of,
    float_rescaler,
    is_float,
    is_onnx,
    plain_target,
    scale_of,
    storage,
    zero_of,
)
from mcuprof.ops.numerics import multiply_by_quantized_multiplier, quantize_multiplier
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


def prepare_total(graph: Graph, op: Op) -> Kernel:
    """MEAN and SUM: float32 in the order of the elements (ONNX's global pool: of MLAS); integers as stored."""
    x, out = graph.input(op, 0), graph.output(op)
    mean = op.kind == "MEAN"
    pooled = op.source == "GlobalAveragePool"

    def front(inputs: Inputs) -> Array:
        return _reduced_first(graph, op, inputs)

    if is_float(x):

        def run(inputs: Inputs) -> tuple[Array, ...]:
            rows = front(inputs)
            total = mlas.sum_of_all(rows.T) if pooled else np.add.accumulate(rows, axis=0)[-1]
            return ((total / np.float32(len(rows)) if mean else total).reshape(out.shape),)

        return run
    if x.dtype.bits >= 32:
        return lambda inputs: (_plain_total(front(inputs), mean).astype(storage(out.dtype)).reshape(out.shape),)
    count = x.elements // max(1, prod(out.shape))
    finish = onnx_total(x, out, count, mean) if is_onnx(graph) else _tflm_total(x, out, count, mean)
    return lambda inputs: (finish(front(inputs).sum(axis=0, dtype=np.int64)).reshape(out.shape),)


def _plain_total(rows: Array, mean: bool) -> Array:
    total = rows.sum(axis=0)
    return total // len(rows) if mean else total


def _tflm_total(x: Tensor, out: Tensor, count: int, mean: bool) -> Any:
    """`QuantizedMeanOrSum`: the mean's 1/count goes into the multiplier, truncated."""
    q, shift = quantize_multiplier(float(np.float64(scale_of(x)) / np.float64(divisor_of(out))))
    if mean:
        up = min(count.bit_length() - 1, 32, 31 + shift)
        q, shift = (q << up) // count, shift - up
    to, offset = plain_target(out), zero_of(x) * count

    def finish(total: Array) -> Array:
        result = multiply_by_quantized_multiplier(total - offset, q, shift) + to.zero
        return np.clip(result, to.low, to.high).astype(to.dtype)

    return finish


def onnx_total(x: Tensor, out: Tensor, count: int, mean: bool) -> Rescaler:
    """Sums of `count` stored values → output, as `QLinearGlobalAveragePool`.

    sum − zero·count, times float32(scale x / (scale out · count)).
    """
    divisor = divisor_of(out) * np.float32(count) if mean else divisor_of(out)
    rescale = float_rescaler(np.asarray(scale_of(x) / divisor, np.float32), plain_target(out))
    return lambda total: rescale(total - zero_of(x) * count)


def _reduced_first(graph: Graph, op: Op, inputs: Inputs) -> Array:
    """x as [reduced elements, kept elements], both in row-major order."""
    x = inputs[0]
    axes = op.integers("axes") or (tuple(int(a) for a in inputs[1].reshape(-1)) if len(inputs) > 1 else ())
    reduced = sorted({normalize_axis(axis, x.ndim) for axis in axes}) or list(range(x.ndim))
    kept = [axis for axis in range(x.ndim) if axis not in reduced]
    return x.transpose(*reduced, *kept).reshape(prod(x.shape[axis] for axis in reduced), -1)


_REDUCTIONS: dict[str, str] = {
    "REDUCE_MAX": "maximum",
    "REDUCE_MIN": "minimum",
    "REDUCE_PROD": "multiply",
    "REDUCE_ANY": "logical_or",
    "REDUCE_ALL": "logical_and",
}


def prepare_reduction(graph: Graph, op: Op) -> Kernel:
    """REDUCE_*: of stored values; a product only of plain ones."""
    x, out = graph.input(op, 0), graph.output(op)
    if op.kind == "REDUCE_PROD" and x.dtype.bits < 32:
        raise NoKernel(f"type {x.dtype.value}")
    combine: np.ufunc = getattr(np, _REDUCTIONS[op.kind])
    return lambda inputs: (combine.reduce(_reduced_first(graph, op, inputs), axis=0).reshape(out.shape),)


def prepare_arg(graph: Graph, op: Op) -> Kernel:
    """ARG_MAX, ARG_MIN: the first index of the extreme along the axis."""
    out = graph.output(op)
    find = np.argmax if op.kind == "ARG_MAX" else np.argmin

    def run(inputs: Inputs) -> tuple[Array, ...]:
        axis = op.integer("axis") if len(inputs) < 2 else int(inputs[1].reshape(-1)[0])
        return (find(inputs[0], axis=axis).astype(storage(out.dtype)).reshape(out.shape),)

    return run


def prepare_topk(graph: Graph, op: Op) -> Kernel:
    """TOPK_V2: the k largest of the last axis, descending, lower index first among equals; and their indices."""
    indices_type = storage(graph.output(op, 1).dtype)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        k = int(inputs[1].reshape(-1)[0])
        order = np.argsort(-inputs[0].astype(np.float64), axis=-1, kind="stable")[..., :k]
        return np.take_along_axis(inputs[0], order, axis=-1), order.astype(indices_type)

    return run


OPERATORS = (
    *(Operator(kind, reduce_shapes, kernel=prepare_total) for kind in ("MEAN", "SUM")),
    *(Operator(kind, reduce_shapes, kernel=prepare_reduction) for kind in _REDUCTIONS),
    Operator("ARG_MAX", arg_shapes, kernel=prepare_arg),
    Operator("ARG_MIN", arg_shapes, kernel=prepare_arg),
    Operator("TOPK_V2", topk_shapes, kernel=prepare_topk),
)
