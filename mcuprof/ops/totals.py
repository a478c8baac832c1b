"""Sums of elements that share one quantization: CUMSUM along an axis, ADD_N over tensors.

Kernels: TFLM `cumsum.cc`, `add_n.cc`; TFLite `reference/cumsum.h`, `reference/add_n.h`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from mcuprof.graph import DType, Graph, Op, Tensor
from mcuprof.ops import numerics
from mcuprof.ops.kernel import (
    Array,
    Inputs,
    Kernel,
    NoKernel,
    divisor_of,
    is_float,
    is_onnx,
    plain_target,
    scale_of,
    zero_of,
)
from mcuprof.ops.operator import Operator, same_shape

_LEFT_SHIFT = 20


def prepare_add_n(graph: Graph, op: Op) -> Kernel:
    """ADD_N: one after the other; float32, int8, plain integers."""
    x = graph.input(op, 0)
    if is_float(x) or x.dtype.bits >= 32:
        return lambda inputs: (reduce(np.add, inputs),)
    enter, finish = _at_one_scale(graph, x, graph.output(op))
    offset = enter(np.int64(0))

    def run(inputs: Inputs) -> tuple[Array, ...]:
        total = np.sum([enter(q.astype(np.int64)) for q in inputs], axis=0)
        return (finish(total + offset),)

    return run


def prepare_cumsum(graph: Graph, op: Op) -> Kernel:
    """CUMSUM: along the axis in input 1; float32, int8."""
    x = graph.input(op, 0)
    exclusive, reverse = op.integer("exclusive"), op.integer("reverse")

    def sums(values: Array, axis: int, start: Array) -> Array:
        """`start` plus all elements up to each one; without itself where `exclusive`."""
        values = np.flip(values, axis) if reverse else values
        first = np.broadcast_to(start, values.take([0], axis).shape).astype(values.dtype)
        total = np.add.accumulate(np.concatenate([first, values], axis), axis)
        total = total.take(range(values.shape[axis]) if exclusive else range(1, values.shape[axis] + 1), axis)
        return np.flip(total, axis) if reverse else total

    if is_float(x):
        return lambda inputs: (np.ascontiguousarray(sums(inputs[0], _axis(inputs), np.float32(0))),)
    enter, finish = _at_one_scale(graph, x, graph.output(op))
    offset = enter(np.int64(0))
    return lambda inputs: (finish(sums(enter(inputs[0].astype(np.int64)), _axis(inputs), offset)),)


def _axis(inputs: Inputs) -> int:
    return int(inputs[1].reshape(-1)[0])


def _at_one_scale(graph: Graph, x: Tensor, out: Tensor) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """(stored value → addend of 20 more bits, sum of addends → output): 2·scale of x is the scale between them.

    Both kernels start from the addend of the stored value 0, as if the zero point were a number.
    """
    if is_onnx(graph) or x.dtype is not DType.INT8:
        raise NoKernel(f"type {x.dtype.value}")
    twice = 2.0 * float(scale_of(x))
    first = numerics.quantize_multiplier(float(scale_of(x)) / twice)
    last = numerics.quantize_multiplier(twice / ((1 << _LEFT_SHIFT) * float(divisor_of(out))))
    zero, to = zero_of(x), plain_target(out)

    def enter(q: Array) -> Array:
        return numerics.multiply_by_quantized_multiplier((q - zero) << _LEFT_SHIFT, *first)

    def finish(total: Array) -> Array:
        result = numerics.multiply_by_quantized_multiplier(numerics.wrap32(total), *last) + to.zero
        return np.clip(result, to.low, to.high).astype(to.dtype)

    return enter, finish


OPERATORS = (Operator("CUMSUM", same_shape, kernel=prepare_cumsum),)
