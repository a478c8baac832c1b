"""Normalisations along an axis: SOFTMAX, LOG_SOFTMAX, L2_NORMALIZATION. The output has the input's shape.

Kernels: TFLite `reference/softmax.h`, `reference/log_softmax.h`, `reference/integer_ops/l2normalization.h`, with the
preparation of TFLM's `softmax_common.cc`, `log_softmax.cc`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops import libm, mlas, numerics
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel, is_float, is_onnx, scale_of, storage, zero_of
from mcuprof.ops.operator import Operator, same_shape

_SCALED_DIFFERENCE_BITS = 5


def _float_sum(x: Array) -> Array:
    """The sum along the last axis, one addition after the other, kept as an axis of length 1."""
    return np.add.accumulate(x, axis=-1)[..., -1:]


def prepare_softmax(graph: Graph, op: Op) -> Kernel:
    """Softmax over the last axis (ONNX: `axis`) of float32, int8 (to int8 or int16) or int16 values."""
    x, out = graph.input(op, 0), graph.output(op)
    beta = op.number("beta", 1.0)
    if is_float(x):
        axis = op.integer("axis", -1)

        def run(inputs: Inputs) -> tuple[Array, ...]:
            rows = np.moveaxis(inputs[0], axis, -1)
            if is_onnx(graph):
                return (np.ascontiguousarray(np.moveaxis(mlas.softmax(rows), -1, axis)),)
            powers = libm.exp((rows - rows.max(axis=-1, keepdims=True)) * np.float32(beta))
            return (np.ascontiguousarray(np.moveaxis(powers / _float_sum(powers), -1, axis)),)

        return run
    if is_onnx(graph):
        raise NoKernel(f"type {x.dtype.value}")
    if x.dtype is DType.INT16:
        return _softmax16(float(scale_of(x)), beta)
    multiplier, shift, least = _difference_scale(beta, float(scale_of(x)))
    bits = out.dtype.bits
    differences = np.arange(-255, 1)
    scaled = numerics.multiply_by_quantized_multiplier(differences, multiplier, shift)
    table = np.where(differences >= least, numerics.exp_on_negative_values(np.minimum(scaled, 0), 5), 0)
    sums = np.where(differences >= least, numerics.rescale(table, 0, 12), 0)
    low, dtype = -(1 << (bits - 1)), storage(out.dtype)

    def run8(inputs: Inputs) -> tuple[Array, ...]:
        rows = inputs[0].astype(np.int64)
        index = rows - rows.max(axis=-1, keepdims=True) + 255
        total = sums[index].sum(axis=-1, keepdims=True)
        headroom = numerics.count_leading_zeros(total)
        reciprocal = numerics.one_over_one_plus_x((total << headroom) - (1 << 31))
        product = numerics.srdhm(reciprocal, table[index])
        q = numerics.rounding_divide_by_pot(product, 12 - headroom + 31 - bits) + low
        return (np.clip(q, low, -low - 1).astype(dtype),)

    return run8


def _difference_scale(beta: float, scale: float) -> tuple[int, int, int]:
    """`PreprocessSoftmaxScaling`: (multiplier, shift) to Q5.26, and the least difference that still counts."""
    bits = _SCALED_DIFFERENCE_BITS
    multiplier, shift = numerics.quantize_multiplier(min(beta * scale * (1 << (31 - bits)), 2.0**31 - 1.0))
    return multiplier, shift, -math.floor(((1 << bits) - 1) * (1 << (31 - bits)) / 2.0**shift)


def _softmax16(scale: float, beta: float) -> Kernel:
    """`SoftmaxInt16`: exp and 1 / (1 + x) from tables of 513 entries, the sum normalised to [1, 2)."""
    multiplier, shift = numerics.quantize_multiplier(scale * beta / (10.0 / 65535.0))
    exponentials = _table16(np.float32(10) / 65535, 32767, np.float32(2) / 65535, lambda v: np.exp(v, dtype=np.float32))
    reciprocals = _table16(np.float32(1) / 65535, -32768, np.float32(2) / 65535, lambda v: 1 / (1 + v))

    def run(inputs: Inputs) -> tuple[Array, ...]:
        rows = inputs[0].astype(np.int64)
        difference = rows - rows.max(axis=-1, keepdims=True)
        scaled = numerics.multiply_by_quantized_multiplier(difference, multiplier, shift) + 32767
        powers = _look_up(exponentials, np.clip(scaled, -32768, 32767))
        total = powers.sum(axis=-1, keepdims=True)
        headroom = numerics.count_leading_zeros(total)
        shifted = ((total << (headroom - 1)) + (1 << 13)) >> 14
        reciprocal = _look_up(reciprocals, np.clip(shifted - (1 << 15) - (1 << 16), -32768, 32767))
        down = 31 - headroom
        result = (powers * reciprocal + (np.int64(1) << (down - 1))) >> down
        return (np.clip(result, 0, 32767).astype(np.int16),)

    return run


def _table16(scale: np.float32, zero: int, out_scale: np.float32, function: Callable[[Array], Array]) -> Array:
    """`LUTPopulate` for int16, in float32: 513 samples, each moved by half the interpolation error at the midpoint."""
    low, high = np.float32(scale * np.float32(-32768 - zero)), np.float32(scale * np.float32(32767 - zero))
    out_low, out_high = np.float32(out_scale * np.float32(-32768)), np.float32(out_scale * np.float32(32767))
    step = np.float32((high - low) / np.float32(512))
    inverse = np.float32(np.float32(65536) / np.float32(out_high - out_low))
    i = np.arange(512, dtype=np.float32)
    value, middle, following = (
        function(low + i * step) * inverse,
        function(low + i * step + step / np.float32(2)) * inverse,
        function(low + (i + np.float32(1)) * step) * inverse,
    )
    sample = numerics.round_away(value)
    error = numerics.round_away((following + sample) / np.float32(2)) - numerics.round_away(middle)
    last = numerics.round_away(function(np.array([high], np.float32)) * inverse)
    table = np.concatenate([sample - numerics.round_away(error / np.float32(2)), last])
    return np.clip(table, -32768, 32767).astype(np.int64)


def _look_up(table: Array, value: Array) -> Array:
    """`LUTLookup` for int16: 512 intervals of 128, linear between samples, rounded half up."""
    index = 256 + (value >> 7)
    slope = table[index + 1] - table[index]
    return table[index] + ((slope * (value & 0x7F) + 64) >> 7)


def prepare_log_softmax(graph: Graph, op: Op) -> Kernel:
    """Log-softmax over the last axis of float32 or int8 values (output scale 1/16, zero point 127)."""
    x = graph.input(op, 0)
    if is_float(x):

        def run(inputs: Inputs) -> tuple[Array, ...]:
            shifted = inputs[0] - inputs[0].max(axis=-1, keepdims=True)
            return (shifted - libm.log(_float_sum(libm.exp(shifted))),)

        return run
    if is_onnx(graph) or x.dtype is not DType.INT8:
        raise NoKernel(f"type {x.dtype.value}")
    multiplier, shift, least = _difference_scale(1.0, float(scale_of(x)))
    back, back_shift = numerics.quantize_multiplier(2.0 ** (31 - shift) / multiplier)

    def run8(inputs: Inputs) -> tuple[Array, ...]:
        rows = inputs[0].astype(np.int64)
        difference = rows - rows.max(axis=-1, keepdims=True)
        scaled = numerics.multiply_by_quantized_multiplier(np.maximum(difference, least), multiplier, shift)
        powers = numerics.rescale(numerics.exp_on_negative_values(np.minimum(scaled, 0), 5), 0, 12)
        total = np.where(difference >= least, powers, 0).sum(axis=-1, keepdims=True)
        log = numerics.log_of_at_least_1(total, 12, 5)
        bottom = numerics.multiply_by_quantized_multiplier(log + numerics.INT32_MIN, back, back_shift)
        q = numerics.rounding_divide_by_pot(scaled - log, 31 - 5 - 4) + 127
        return (np.where(difference > np.maximum(least - 1, bottom), np.clip(q, -128, 127), -128).astype(np.int8),)

    return run8


def prepare_l2_normalization(graph: Graph, op: Op) -> Kernel:
    """Each row of the last axis divided by its Euclidean length; int8 output has scale 1/128."""
    x = graph.input(op, 0)
    if is_float(x):

        def run(inputs: Inputs) -> tuple[Array, ...]:
            norm = np.sqrt(_float_sum(inputs[0] * inputs[0]))
            return (inputs[0] / np.maximum(norm, np.float32(1e-6)),)

        return run
    if is_onnx(graph) or x.dtype is not DType.INT8:
        raise NoKernel(f"type {x.dtype.value}")
    zero = zero_of(x)

    def run8(inputs: Inputs) -> tuple[Array, ...]:
        centered = inputs[0].astype(np.int64) - zero
        squares = (centered * centered).sum(axis=-1)
        pairs = [numerics.inverse_sqrt_multiplier(int(value)) for value in squares.reshape(-1)]
        q, shift = np.array(pairs, np.int64).T.reshape(2, *squares.shape, 1)
        result = numerics.multiply_by_quantized_multiplier(centered, q, shift + 7)
        return (np.clip(result, -128, 127).astype(np.int8),)

    return run8


OPERATORS = (
    Operator("SOFTMAX", same_shape, kernel=prepare_softmax),
    Operator("LOG_SOFTMAX", same_shape, kernel=prepare_log_softmax),
    Operator("L2_NORMALIZATION", same_shape, kernel=prepare_l2_normalization),
    Operator("LOCAL_RESPONSE_NORMALIZATION", same_shape),
)
