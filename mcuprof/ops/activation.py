"""Unary functions of one tensor: activations and element-wise math. The output has the input's shape.

Kernels: TFLM `activations_common.cc`, `logistic_common.cc`, `tanh.cc`, `hard_swish_common.cc`,
`leaky_relu_common.cc`, `prelu_common.cc`, `elu.cc`, `elementwise.cc`. 8-bit functions are worked out once for all 256
values. Float functions are those of the C library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from mcuprof.graph import DType, Graph, Op, Tensor
from mcuprof.ops import libm, mlas, numerics, sigmoid16
from mcuprof.ops.elementwise import by_table
from mcuprof.ops.kernel import (
    Array,
    Inputs,
    Kernel,
    NoKernel,
    divisor_of,
    is_float,
    is_onnx,
    limits,
    plain_target,
    quantized,
    rescaler,
    scale_of,
    span,
    storage,
    zero_of,
)
from mcuprof.ops.operator import Operator, broadcast, same_shape
from mcuprof.ops.rows import pointwise_rows

FloatFunction = Callable[[Array], Array]
IntegerKernel = Callable[[Graph, Tensor, Tensor], Callable[[Array], Array]]


def float_logistic(x: Array) -> Array:
    """`reference/logistic.h`: exp(x) below −9, 1 above 16.619047, 1 / (1 + exp(−x)) between."""
    one = np.float32(1)
    return np.where(
        x > np.float32(16.619047164916992),
        one,
        np.where(x < -9, libm.exp(np.minimum(x, 0)), one / (one + libm.exp(-x))),
    )


def _float_hard_swish(x: Array) -> Array:
    return x * np.clip(x + np.float32(3), np.float32(0), np.float32(6)) / np.float32(6)


def _float_gelu(x: Array) -> Array:
    return np.vectorize(lambda v: 0.5 * v * (1.0 + math.erf(v / math.sqrt(2.0))), otypes=[np.float32])(x)


def _elu(x: Array) -> Array:
    return np.where(x < 0, libm.expm1(np.minimum(x, 0)), x)


_FLOAT: dict[str, FloatFunction] = {
    "RELU": lambda x: np.maximum(x, np.float32(0)),
    "RELU6": lambda x: np.clip(x, np.float32(0), np.float32(6)),
    "RELU_N1_TO_1": lambda x: np.clip(x, np.float32(-1), np.float32(1)),
    "RELU_0_TO_1": lambda x: np.clip(x, np.float32(0), np.float32(1)),
    "ELU": _elu,
    "GELU": _float_gelu,
    "HARD_SWISH": _float_hard_swish,
    "LOGISTIC": float_logistic,
    "TANH": libm.tanh,
    "ABS": lambda x: np.abs(x),
    "NEG": lambda x: np.negative(x),
    "SIGN": lambda x: np.sign(x),
    "ROUND": lambda x: np.rint(x),
    "CEIL": lambda x: np.ceil(x),
    "FLOOR": lambda x: np.floor(x),
    "EXP": libm.exp,
    "LOG": libm.log,
    "SQRT": lambda x: np.sqrt(x),
    "RSQRT": lambda x: np.float32(1) / np.sqrt(x),
    "SQUARE": lambda x: np.square(x),
    "SIN": libm.sin,
    "COS": libm.cos,
}


def _relu(graph: Graph, x: Tensor, out: Tensor) -> Callable[[Array], Array]:
    """Requantized, cut off at the output's zero point."""
    rescale = rescaler(graph, np.float64(scale_of(x)) / np.float64(divisor_of(out)), plain_target(out), float(span(x)))
    zero, floor = zero_of(x), storage(out.dtype).type(zero_of(out))
    return lambda q: np.maximum(rescale(q - zero), floor)


def _relu6(graph: Graph, x: Tensor, out: Tensor) -> Callable[[Array], Array]:
    """Clamped between the stored values of 0 and 6; not requantized (`Relu6Quantized`)."""
    return lambda q: np.clip(q, zero_of(x), min(quantized(6.0, x), np.iinfo(storage(x.dtype)).max))


def _logistic8(graph: Graph, x: Tensor, out: Tensor) -> Callable[[Array], Array]:
    """Q4.27 fixed point; the output has scale 1/256 and zero point −128."""
    return lambda q: _sigmoidal(x, q, numerics.logistic, 23, -128)


def _tanh8(graph: Graph, x: Tensor, out: Tensor) -> Callable[[Array], Array]:
    """Q4.27 fixed point; the output has scale 1/128 and zero point 0."""
    return lambda q: _sigmoidal(x, q, numerics.tanh, 24, 0)


def _sigmoidal(x: Tensor, q: Array, function: Callable[[Array, int], Array], drop: int, zero: int) -> Array:
    if x.dtype is not DType.INT8:
        raise NoKernel(f"type {x.dtype.value}")
    mantissa, shift = math.frexp(float(scale_of(x)) * (1 << 27))
    multiplier = int(numerics.round_away(mantissa * 2.0**31))
    radius = math.floor(15.0 * (1 << 27) / 2.0**shift)
    centered = q.astype(np.int64) - zero_of(x)
    inside = np.clip(centered, -radius, radius)
    value = function(numerics.multiply_by_quantized_multiplier(inside, multiplier, shift), 4)
    result = np.clip(numerics.rounding_divide_by_pot(value, drop) + zero, -128, 127)
    return np.where(centered <= -radius, -128, np.where(centered >= radius, 127, result))


def _hard_swish8(graph: Graph, x: Tensor, out: Tensor) -> Callable[[Array], Array]:
    """`reference/hard_swish.h` on 16-bit fixed point: x · relu6(x + 3) / 6 from doubling high products."""
    hires = np.float32(1.0 / 128.0) * scale_of(x)
    out_q, out_shift = numerics.quantize_multiplier(float(hires / divisor_of(out)))
    relu_q, relu_shift = numerics.quantize_multiplier(float(hires / np.float32(3.0 / 32768.0)))

    def high_product(a: Array, b: int) -> Array:
        return np.minimum((a * b + (1 << 14)) >> 15, 32767)

    def run(q: Array) -> Array:
        value = (q.astype(np.int64) - zero_of(x)) << 7
        preshift = high_product(value, _to_16_bits(out_q))
        relu = value
        if relu_shift > 0:
            relu = np.clip(relu << (relu_shift - 1), -32768, 32767)
        relu = high_product(relu, _to_16_bits(relu_q))
        if relu_shift > 0:
            relu = np.clip(relu << 1, -32768, 32767)
        relu = (_divide_16(relu, max(-relu_shift, 0)) + (1 << 15)) >> 1
        product = np.minimum(numerics.truncating_divide(relu * preshift, 1 << 15), 32767)
        result = _divide_16(product, max(-out_shift, 0)) + zero_of(out)
        return np.clip(result, -128, 127)

    return run


def _divide_16(x: Array, exponent: int) -> Array:
    """`RoundingDivideByPOT` of int16: from 2^16 on its mask overflows, and every x becomes 1 or -1."""
    return numerics.rounding_divide_by_pot(x, exponent) if exponent < 16 else np.where(x < 0, -1, 1)


def _to_16_bits(q: int) -> int:
    """`DownScaleInt32ToInt16Multiplier`."""
    return 32767 if q >= 2**31 - 1 - (1 << 15) else (q + (1 << 15)) >> 16


def _abs(graph: Graph, x: Tensor, out: Tensor) -> Callable[[Array], Array]:
    rescale = rescaler(graph, np.float64(scale_of(x)) / np.float64(divisor_of(out)), plain_target(out), float(span(x)))
    return lambda q: rescale(np.abs(q - zero_of(x)))


def _rsqrt(graph: Graph, x: Tensor, out: Tensor) -> Callable[[Array], Array]:
    """`RsqrtEvalQuantized`: fixed-point 1/√q with 20 more bits, then requantized; 0 and below give the maximum."""
    real = 1.0 / (math.sqrt(float(scale_of(x))) * float(divisor_of(out)))
    q_out, shift_out = numerics.quantize_multiplier(real)
    zero, up, (least, most) = zero_of(out), 20, limits(out.dtype)

    def one(value: int) -> int:
        if value <= 0:
            return most
        q, shift = numerics.inverse_sqrt_multiplier(value)
        root = numerics.multiply_by_quantized_multiplier(1, q, shift + up)
        return int(numerics.multiply_by_quantized_multiplier(root, q_out, shift_out - up)) + zero

    def run(q: Array) -> Array:
        found, where = np.unique(q, return_inverse=True)
        roots = np.array([one(int(value) - zero_of(x)) for value in found], np.int64)
        return np.clip(roots, least, most)[where].reshape(q.shape)

    return run


def _float_table(function: FloatFunction) -> IntegerKernel:
    """`LUTPopulate` for int8: dequantize, apply, multiply by 1 / output scale, round half away, all in float32."""

    def prepare(graph: Graph, x: Tensor, out: Tensor) -> Callable[[Array], Array]:
        inverse = np.float32(1) / divisor_of(out)

        def run(q: Array) -> Array:
            real = scale_of(x) * (q - zero_of(x)).astype(np.float32)
            result = numerics.round_away(function(real) * inverse).astype(np.int64) + zero_of(out)
            return np.clip(result, -128, 127)

        return run

    return prepare


_INTEGER: dict[str, IntegerKernel] = {
    "RELU": _relu,
    "RELU6": _relu6,
    "LOGISTIC": _logistic8,
    "TANH": _tanh8,
    "HARD_SWISH": _hard_swish8,
    "ABS": _abs,
    "RSQRT": _rsqrt,
    **{kind: _float_table(_FLOAT[kind]) for kind in ("ELU", "GELU", "EXP", "LOG", "SIN", "COS")},
}


_MLAS: Mapping[str, Callable[[Array], Array]] = {"LOGISTIC": mlas.logistic, "TANH": mlas.tanh}


def _prepare(kind: str, graph: Graph, op: Op) -> Kernel:
    x, out = graph.input(op, 0), graph.output(op)
    dtype = storage(out.dtype)
    if is_float(x):
        function = (_MLAS.get(kind) if is_onnx(graph) else None) or _FLOAT[kind]

        def run(inputs: Inputs) -> tuple[Array, ...]:
            with np.errstate(all="ignore"):
                return (np.asarray(function(inputs[0]), dtype),)

        return run
    if x.quantization is None and kind in ("ABS", "NEG", "SIGN", "SQUARE"):
        plain = _FLOAT[kind]
        return lambda inputs: (np.asarray(plain(inputs[0]), dtype),)
    if is_onnx(graph) or kind not in _INTEGER:
        raise NoKernel(f"type {x.dtype.value}")
    if x.dtype is DType.INT16 and kind in ("LOGISTIC", "TANH"):
        return sigmoid16.prepare(kind, x)
    if x.dtype.bits == 8:
        table = by_table(x, lambda q: _INTEGER[kind](graph, x, out)(q).astype(dtype))
        return lambda inputs: (table(inputs[0]),)
    if kind not in ("RELU", "RELU6", "ABS", "RSQRT"):
        raise NoKernel(f"type {x.dtype.value}")
    integer = _INTEGER[kind](graph, x, out)
    return lambda inputs: (integer(inputs[0].astype(np.int64)).astype(dtype),)


def prepare_leaky_relu(graph: Graph, op: Op) -> Kernel:
    """Identity above zero, alpha below, each with its own multiplier from products and quotients in double.

    Double as tflite-micro computes them: float32 quotients differ at ties such as 0.125 / 0.05.
    """
    x, out, alpha = graph.input(op, 0), graph.output(op), np.float32(op.number("alpha"))
    if is_float(x):
        return lambda inputs: (np.where(inputs[0] > 0, inputs[0], inputs[0] * alpha),)
    if is_onnx(graph):
        return _onnx_leaky_relu(x, out, alpha)
    to, reach = plain_target(out), float(span(x))
    scale, divisor = np.float64(scale_of(x)), np.float64(divisor_of(out))
    above = rescaler(graph, scale / divisor, to, reach)
    below = rescaler(graph, scale * np.float64(alpha) / divisor, to, reach)
    zero = zero_of(x)

    def run(q: Array) -> Array:
        centered = q.astype(np.int64) - zero
        return np.where(centered >= 0, above(centered), below(centered))

    table = by_table(x, run) if x.dtype.bits == 8 else run
    return lambda inputs: (table(inputs[0]),)


def _onnx_leaky_relu(x: Tensor, out: Tensor, alpha: np.float32) -> Kernel:
    """`QLinearLeakyRelu`: a table worked out in float32, rounded half to even."""
    to = plain_target(out)

    def run(q: Array) -> Array:
        real = (q - zero_of(x)).astype(np.float32) * scale_of(x)
        result = np.rint(np.where(real >= 0, real, real * alpha) / divisor_of(out)) + to.zero
        return np.clip(result, to.low, to.high).astype(to.dtype)

    table = by_table(x, run)
    return lambda inputs: (table(inputs[0]),)


def prepare_prelu(graph: Graph, op: Op) -> Kernel:
    """Input 1 is alpha, broadcast. Below zero x · alpha is requantized by the product of the scales."""
    x, slope, out = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    if is_float(x):
        return lambda inputs: (np.where(inputs[0] >= 0, inputs[0], inputs[0] * inputs[1]),)
    if is_onnx(graph):
        raise NoKernel(f"type {x.dtype.value}")
    a, b, c = np.float64(scale_of(x)), np.float64(scale_of(slope)), np.float64(divisor_of(out))
    to = plain_target(out)
    above = rescaler(graph, a / c, to, float(span(x)))
    below = rescaler(graph, a * b / c, to, float(span(x)) * span(slope))
    zero, slope_zero = zero_of(x), zero_of(slope)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        centered = inputs[0].astype(np.int64) - zero
        product = centered * (inputs[1].astype(np.int64) - slope_zero)
        return (np.where(centered >= 0, above(centered), below(product)),)

    return run


def prepare_cast(graph: Graph, op: Op) -> Kernel:
    """C's conversion: floats towards zero."""
    dtype = storage(graph.output(op).dtype)
    return lambda inputs: (inputs[0].astype(dtype),)


POINTWISE = (*_FLOAT, "Clip", "LEAKY_RELU", "PRELU", "CAST", "LOGICAL_NOT")


def prepare_clip(graph: Graph, op: Op) -> Kernel:
    """ONNX Clip: `min` ≤ x ≤ `max`, float32. TFLite has the bounds of its RELU kinds only."""
    if not is_float(graph.input(op)):
        raise NoKernel(f"type {graph.input(op).dtype.value}")
    low, high = np.float32(op.number("min", -math.inf)), np.float32(op.number("max", math.inf))
    return lambda inputs: (np.minimum(np.maximum(inputs[0], low), high),)


OPERATORS = (
    *(Operator(kind, same_shape, kernel=partial(_prepare, kind), rows=pointwise_rows) for kind in _FLOAT),
    Operator("Clip", same_shape, kernel=prepare_clip, rows=pointwise_rows),
    Operator("LEAKY_RELU", same_shape, kernel=prepare_leaky_relu, rows=pointwise_rows),
    Operator("PRELU", broadcast, kernel=prepare_prelu, rows=pointwise_rows),
    Operator("CAST", same_shape, kernel=prepare_cast),
    Operator("LOGICAL_NOT", same_shape, kernel=lambda graph, op: lambda inputs: (np.logical_not(inputs[0]),)),
    Operator("ZEROS_LIKE", same_shape, kernel=lambda graph, op: lambda inputs: (np.zeros_like(inputs[0]),)),
    *(Operator(kind, same_shape) for kind in ("RIGHT_SHIFT", "BITCAST")),
)
