"""The fixed-point rules of TFLite Micro's reference kernels, transcribed in plain Python, one element at a time.

Sources: gemmlowp `fixedpoint/fixedpoint.h`; TFLite `kernels/internal/common.h`, `quantization_util.cc`,
`reference/integer_ops/*.h`, `reference/resize_bilinear.h`, `reference/resize_nearest_neighbor.h`; TFLM
`svdf_common.cc`, `lstm_eval.cc`. Arrays are lists; nothing here is fast or clever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

INT32 = (-(2**31), 2**31 - 1)
LIMITS = {"int4": (-8, 7), "int8": (-128, 127), "int16": (-32768, 32767)}


def c_divide(a: int, b: int) -> int:
    """C's division: towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def wrap(value: int, bits: int) -> int:
    """What a signed register of this width keeps."""
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def c_round(real: float | Fraction) -> int:
    """C's round(): halves away from zero."""
    exact = Fraction(real)
    return int(math.copysign(math.floor(abs(exact) + Fraction(1, 2)), exact))


def srdhm(a: int, b: int) -> int:
    """gemmlowp SaturatingRoundingDoublingHighMul(std::int32_t, std::int32_t)."""
    if a == b == -(2**31):
        return 2**31 - 1
    product = a * b
    nudge = 1 << 30 if product >= 0 else 1 - (1 << 30)
    return c_divide(product + nudge, 1 << 31)


def rdbpot(x: int, exponent: int) -> int:
    """gemmlowp RoundingDivideByPOT."""
    mask = (1 << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if remainder > threshold else 0)


def mbqm(x: int, q: int, shift: int) -> int:
    """TFLite MultiplyByQuantizedMultiplier(int32_t, …), double rounding."""
    left, right = max(shift, 0), max(-shift, 0)
    return rdbpot(srdhm(wrap(x << left, 32), q), right)


def mbqm_64(x: int, q: int, shift: int) -> int:
    """TFLite MultiplyByQuantizedMultiplier(int64_t, …); it returns an int32_t."""
    reduced = (q + (1 << 15)) >> 16 if q < 0x7FFF0000 else 0x7FFF
    total = 15 - shift
    return wrap((x * reduced + (1 << (total - 1))) >> total, 32)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """TFLite QuantizeMultiplier."""
    if real == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    q = c_round(Fraction(mantissa) * 2**31)
    if q == 1 << 31:
        q, shift = q // 2, shift + 1
    return (0, 0) if shift < -31 else (q, shift)


# Elementwise --------------------------------------------------------------------------------------------------------


def add(
    x: Sequence[int],
    y: Sequence[int],
    scales: tuple[np.float32, np.float32, np.float32],
    zeros: tuple[int, int, int],
    dtype: str,
    sign: int = 1,
) -> list[int]:
    """ADD, or SUB with sign −1: `AddElementwise`, `CalculateOpData`."""
    left = 15 if dtype == "int16" else 20
    a, b, c = scales
    twice = 2.0 * float(max(a, b))
    reals = (float(a) / twice, float(b) / twice, twice / ((1 << left) * float(c)))
    first, second, last = (quantize_multiplier(real) for real in reals)
    result = []
    for p, q in zip(x, y, strict=True):
        total = mbqm((p - zeros[0]) << left, *first) + sign * mbqm((q - zeros[1]) << left, *second)
        result.append(clamp(mbqm(total, *last) + zeros[2], *LIMITS[dtype]))
    return result


def mul(
    x: Sequence[int],
    y: Sequence[int],
    scales: tuple[np.float32, np.float32, np.float32],
    zeros: tuple[int, int, int],
    dtype: str,
) -> list[int]:
    """MUL: `MulElementwise`."""
    a, b, c = (float(scale) for scale in scales)
    multiplier = quantize_multiplier(a * b / c)
    products = ((p - zeros[0]) * (q - zeros[1]) for p, q in zip(x, y, strict=True))
    return [clamp(mbqm(product, *multiplier) + zeros[2], *LIMITS[dtype]) for product in products]


# Products -----------------------------------------------------------------------------------------------------------


def fully_connected(
    x: Sequence[Sequence[int]],
    weights: Sequence[Sequence[int]],
    bias: Sequence[int],
    zero: int,
    reals: Sequence[float],
    out_zero: int,
    dtype: str,
) -> list[int]:
    """`integer_ops::FullyConnected` (per channel where `reals` has several); int16 sums in 64 bits."""
    rescale = mbqm_64 if dtype == "int16" else mbqm
    result = []
    for row in x:
        for unit, taps in enumerate(weights):
            total = sum((value - zero) * tap for value, tap in zip(row, taps, strict=True)) + bias[unit]
            q, shift = quantize_multiplier(reals[unit % len(reals)])
            result.append(clamp(rescale(total, q, shift) + out_zero, *LIMITS[dtype]))
    return result


def convolution(
    image: Sequence[Sequence[Sequence[int]]],
    filters: Sequence[Sequence[Sequence[Sequence[int]]]],
    zero: int,
    reals: Sequence[float],
    out_zero: int,
    *,
    depthwise: bool,
    bias: Sequence[int],
) -> list[int]:
    """`ConvPerChannel` and `DepthwiseConvPerChannel`, stride 1, VALID; filters as stored: OHWI, or 1HWO."""
    height, width = len(image), len(image[0])
    rows, columns = len(filters[0]), len(filters[0][0])
    channels = len(filters[0][0][0]) if depthwise else len(filters)
    result = []
    for y in range(height - rows + 1):
        for x in range(width - columns + 1):
            for channel in range(channels):
                total = bias[channel]
                for row in range(rows):
                    for column in range(columns):
                        pixel = image[y + row][x + column]
                        if depthwise:
                            source = channel // (channels // len(pixel))
                            total += (pixel[source] - zero) * filters[0][row][column][channel]
                        else:
                            taps = filters[channel][row][column]
                            total += sum((v - zero) * tap for v, tap in zip(pixel, taps, strict=True))
                result.append(clamp(mbqm(total, *quantize_multiplier(reals[channel])) + out_zero, -128, 127))
    return result


def batch_matmul(
    x: Sequence[Sequence[int]],
    y: Sequence[Sequence[int]],
    zeros: tuple[int, int, int],
    real: float,
    dtype: str,
) -> list[int]:
    """`reference_ops::BatchMatMul` of one [rows, inner] with one [inner, columns]."""
    q, shift = quantize_multiplier(real)
    rescale = mbqm_64 if dtype == "int16" else mbqm
    result = []
    for row in x:
        for column in zip(*y, strict=True):
            total = sum((a - zeros[0]) * (b - zeros[1]) for a, b in zip(row, column, strict=True))
            result.append(clamp(rescale(total, q, shift) + zeros[2], *LIMITS[dtype]))
    return result


# Moving and resizing ------------------------------------------------------------------------------------------------


def pad(x: np.ndarray, paddings: Sequence[tuple[int, int]], filler: int) -> list[int]:
    """`PadImpl`: output element by output element."""
    shape = [before + size + after for (before, after), size in zip(paddings, x.shape, strict=True)]
    result = []
    for place in np.ndindex(*shape):
        source = [at - before for at, (before, _) in zip(place, paddings, strict=True)]
        inside = all(0 <= at < size for at, size in zip(source, x.shape, strict=True))
        result.append(int(x[tuple(source)]) if inside else filler)
    return result


def resize_bilinear(image: np.ndarray, rows: int, columns: int, corners: bool, centers: bool) -> list[int]:
    """`ResizeBilinearInteger` on [height, width, depth]."""
    one = 1 << 10

    def scale_10(size: int, count: int) -> int:
        if corners and count > 1:
            return c_divide(one * (size - 1) + c_divide(count - 1, 2), count - 1)
        return c_divide(one * size + c_divide(count, 2), count)

    def between(value: int, scale: int, size: int) -> tuple[int, int, int]:
        at = value * scale + c_divide(scale, 2) - (1 << 9) if centers else value * scale
        return at, max(c_divide(at, one), 0), min(c_divide(at + one - 1, one), size - 1)

    height, width, depth = image.shape
    result = []
    for y in range(rows):
        at_y, y0, y1 = between(y, scale_10(height, rows), height)
        for x in range(columns):
            at_x, x0, x1 = between(x, scale_10(width, columns), width)
            down, across = at_y - one * y0, at_x - one * x0
            for c in range(depth):
                total = int(image[y0, x0, c]) * (one - down) * (one - across)
                total += int(image[y1, x0, c]) * down * (one - across)
                total += int(image[y0, x1, c]) * (one - down) * across
                total += int(image[y1, x1, c]) * down * across
                result.append(c_divide(total + (1 << 19 if total > 0 else -(1 << 19)), 1 << 20))
    return result


def resize_nearest(image: np.ndarray, rows: int, columns: int, corners: bool, centers: bool) -> list[int]:
    """`ResizeNearestNeighbor` on [height, width, depth]; positions in float32."""

    def nearest(value: int, size: int, count: int) -> int:
        apart = corners and count > 1
        scale = np.float32(size - 1) / np.float32(count - 1) if apart else np.float32(size) / np.float32(count)
        position = (np.float32(value) + np.float32(0.5 if centers else 0.0)) * scale
        at = min(c_round(float(position)) if corners else math.floor(position), size - 1)
        return max(0, at) if centers else at

    height, width, depth = image.shape
    return [
        int(image[nearest(y, height, rows), nearest(x, width, columns), c])
        for y in range(rows)
        for x in range(columns)
        for c in range(depth)
    ]


# State --------------------------------------------------------------------------------------------------------------


def svdf(
    x: Sequence[int],
    features: Sequence[Sequence[int]],
    time: Sequence[Sequence[int]],
    bias: Sequence[int],
    state: list[list[int]],
    rank: int,
    zeros: tuple[int, int, int],
    reals: tuple[float, float],
    state_type: str,
) -> list[int]:
    """`EvalIntegerSvdfReference` for one batch; shifts `state` [filters][memory] in place. Zeros: x, state, output."""
    first, second = quantize_multiplier(reals[0]), quantize_multiplier(reals[1])
    for register, taps in zip(state, features, strict=True):
        total = sum(tap * (value - zeros[0]) for value, tap in zip(x, taps, strict=True))
        register.pop(0)
        register.append(wrap(zeros[1] + clamp(mbqm(total, *first), *LIMITS[state_type]), int(state_type[3:])))
    products = [
        sum(tap * (value - zeros[1]) for value, tap in zip(register, taps, strict=True))
        for register, taps in zip(state, time, strict=True)
    ]
    return [
        clamp(mbqm(offset + sum(products[unit * rank : (unit + 1) * rank]), *second) + zeros[2], -128, 127)
        for unit, offset in enumerate(bias)
    ]


def sigmoid_16(value: int, table: Sequence[int], multiplier: int = 3, shift: int = 0) -> int:
    """`integer_ops::Logistic` on int16, Q3.12 to Q0.15."""
    data = (value * multiplier + (1 << (shift - 1) if shift > 0 else 0)) >> shift
    magnitude = abs(data)
    high = magnitude >> 9
    result = 32767 << 10 if high >= 255 else (table[high] << 9) + (magnitude & 511) * (table[high + 1] - table[high])
    result = result + (1 << 9) if data >= 0 else (1 << 25) - result + (1 << 9) - 1
    return wrap(result >> 10, 16)


def tanh_16(value: int, table: Sequence[int], multiplier: int = 3, shift: int = 0) -> int:
    """`integer_ops::Tanh` on int16."""
    data = (value * multiplier + (1 << (shift - 1) if shift > 0 else 0)) >> shift
    magnitude = abs(data)
    high = magnitude >> 8
    result = 65535 << 8 if high >= 255 else (table[high] << 8) + (magnitude & 255) * (table[high + 1] - table[high])
    result = result - (1 << 23) + (1 << 7) if data >= 0 else -result + (1 << 23) + (1 << 7) - 1
    return wrap(result >> 8, 16)


def lstm(
    steps: Sequence[Sequence[int]],
    weights: Sequence[Sequence[Sequence[int]]],
    recurrent: Sequence[Sequence[Sequence[int]]],
    biases: Sequence[Sequence[int]],
    zeros: tuple[int, int],
    reals: Sequence[tuple[float, float]],
    scales: tuple[np.float32, np.float32],
    clip: int,
    table: Sequence[int],
    dtype: str = "int8",
) -> list[int]:
    """`EvalLstm` for one batch from a fresh state. Gates: input, forget, cell, output. Zeros: x, hidden state.

    `reals`: per gate, the multipliers of the two products; `scales`: of the hidden and of the cell state.
    """
    int16 = LIMITS["int16"]
    units = len(biases[0])
    hidden, cell = [zeros[1] if dtype == "int8" else 0] * units, [0] * units
    power = math.frexp(float(scales[1]))[1] - 1
    left = 12 + power
    multiplier, shift = (3 << left, 0) if left >= 0 else (3, -left)
    keep = quantize_multiplier(2.0**-15)
    enter = quantize_multiplier(2.0**-30 / float(scales[1]))
    leave = quantize_multiplier(2.0**-30 / float(scales[0]))
    rescale = mbqm_64 if dtype == "int16" else mbqm
    result = []

    def product(values: Sequence[int], taps: Sequence[int], zero: int, offset: int, real: float) -> int:
        total = sum((value - zero) * tap for value, tap in zip(values, taps, strict=True)) + offset
        return clamp(rescale(total, *quantize_multiplier(real)), *int16)

    for x in steps:
        gates = []
        for gate in range(4):
            sums = [
                clamp(
                    product(x, weights[gate][unit], zeros[0], biases[gate][unit], reals[gate][0])
                    + product(hidden, recurrent[gate][unit], zeros[1], 0, reals[gate][1]),
                    *int16,
                )
                for unit in range(units)
            ]
            gates.append([(tanh_16 if gate == 2 else sigmoid_16)(value, table) for value in sums])
        fresh = []
        for unit in range(units):
            old = clamp(mbqm(gates[1][unit] * cell[unit], *keep), *int16)
            new = clamp(mbqm(gates[0][unit] * gates[2][unit], *enter), *int16)
            cell[unit] = clamp(old + new, *int16)
            if clip:
                cell[unit] = clamp(cell[unit], -clip, clip)
            squashed = tanh_16(cell[unit], table, multiplier, shift)
            fresh.append(clamp(mbqm(gates[3][unit] * squashed, *leave) + zeros[1], *LIMITS[dtype]))
        hidden = fresh
        result += hidden
    return result
