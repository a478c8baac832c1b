"""DIV: quotients, with broadcasting. Kernels: TFLM `div.cc`, TFLite `reference/div.h`."""

from __future__ import annotations

import numpy as np

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops import numerics
from mcuprof.ops.kernel import (
    Array,
    Inputs,
    Kernel,
    NoKernel,
    clamp_float,
    clamp_plain,
    divisor_of,
    is_float,
    is_onnx,
    scale_of,
    storage,
    target,
    zero_of,
)


def prepare_division(graph: Graph, op: Op) -> Kernel:
    """DIV: of float32 and of plain integers (towards zero) as C divides them; int8 by `_quotient`."""
    x, y, out = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    if is_float(x) or x.dtype.bits >= 32:
        dtype = storage(out.dtype)

        def run(inputs: Inputs) -> tuple[Array, ...]:
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                values = np.asarray(np.divide(inputs[0], inputs[1]), dtype)
            return (clamp_float(op, values) if is_float(x) else clamp_plain(op, values),)

        return run
    if is_onnx(graph) or x.dtype is not DType.INT8:
        raise NoKernel(f"type {x.dtype.value}")
    real = np.float64(scale_of(x)) / (np.float64(divisor_of(y)) * np.float64(divisor_of(out)))
    q, shift = numerics.quantize_multiplier(float(real))
    zero_x, zero_y, to = zero_of(x), zero_of(y), target(op, out)

    def run8(inputs: Inputs) -> tuple[Array, ...]:
        x, y = np.broadcast_arrays(inputs[0].astype(np.int64) - zero_x, inputs[1].astype(np.int64) - zero_y)
        return (np.clip(_quotient(x, y, q, shift) + to.zero, to.low, to.high).astype(to.dtype),)

    return run8


def _quotient(x: Array, y: Array, q: int, shift: int) -> Array:
    """`DivElementwise`: x · (1/y) · multiplier, where 1/y is one over a mantissa in [1, 2) in Q0.31 and a shift.

    Raises NoKernel for values on which the runtime's result is undefined: small x, large y, coarse output scale.
    """
    x, y = np.where(y < 0, -x, x), np.abs(y)
    leading = numerics.count_leading_zeros(y)
    inverse = numerics.one_over_one_plus_x(((y << leading) & 0xFFFFFFFF) - (1 << 31))
    headroom = numerics.count_leading_zeros(np.where(x < 0, ~x, x)) - 1
    quotient = numerics.srdhm(x << headroom, inverse)
    right = headroom + (31 - leading) - shift
    if ((right < 0) | (right > 31)).any():
        # Where 0 / y should be 0, it is 1 on one processor and -128 on the next.
        raise NoKernel("the runtime shifts a quotient of its operands by more than 31 bits, which C does not define")
    return numerics.rounding_divide_by_pot(numerics.srdhm(quotient, q), right)
