"""Fixed-point arithmetic of TFLite Micro's reference kernels, on whole arrays.

Values travel as int64 arrays that hold int32 (or int16) values; each function says what width its rule has. Sources:
gemmlowp `fixedpoint/fixedpoint.h`, TFLite `kernels/internal/common.h` and `quantization_util.cc`, default build (double
rounding). A name like Q5.26 says integer bits and fraction bits of a 32-bit number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Integers: TypeAlias = "NDArray[np.int64]"

INT32_MAX = 2**31 - 1
INT32_MIN = -(2**31)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """`QuantizeMultiplier`: (q, shift) with real ≈ q · 2^(shift − 31), q of 31 bits, rounded half away from zero."""
    if real == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    q = int(round_away(mantissa * 2.0**31))
    if abs(q) == 2**31:
        q, shift = q // 2, shift + 1
    return (0, 0) if shift < -31 else (q, shift)


def quantize_multipliers(reals: ArrayLike) -> tuple[Integers, Integers]:
    """`quantize_multiplier` of every element; int64 arrays of the shape of `reals`."""
    values = np.asarray(reals, np.float64)
    pairs = [quantize_multiplier(float(value)) for value in values.reshape(-1)]
    q, shift = np.array(pairs, np.int64).reshape(-1, 2).T
    return q.reshape(values.shape), shift.reshape(values.shape)


def round_away(values: Any) -> Any:
    """`TfLiteRound`, C's round(): to the nearest integer, halves away from zero; the type of `values` is kept.

    Adding 0.5 would round for 0.49999997f and above 2^23, so the fraction is compared instead.
    """
    truncated = np.trunc(values)
    away: Any = truncated + np.copysign(np.abs(values - truncated) >= 0.5, values)
    return away


def wrap32(x: Integers) -> Integers:
    """The value a 32-bit register keeps."""
    return x.astype(np.int32).astype(np.int64)


def saturate32(x: Integers) -> Integers:
    """Clamped to int32."""
    return np.clip(x, INT32_MIN, INT32_MAX)


def srdhm(a: ArrayLike, b: ArrayLike) -> Integers:
    """`SaturatingRoundingDoublingHighMul` of int32 values: (a·b + 2^30) >> 31, halves up; saturates at INT32_MAX."""
    return np.minimum((np.asarray(a, np.int64) * np.asarray(b, np.int64) + (1 << 30)) >> 31, INT32_MAX)


def rounding_divide_by_pot(x: Integers, exponent: ArrayLike) -> Integers:
    """`RoundingDivideByPOT`: x / 2^exponent, halves away from zero. `exponent` ≥ 0, scalar or array."""
    e = np.asarray(exponent, np.int64)
    half = (np.int64(1) << e) >> 1
    return (x + half - ((x < 0) & (e > 0))) >> e


def multiply_by_quantized_multiplier(x: ArrayLike, q: ArrayLike, shift: ArrayLike) -> Integers:
    """`MultiplyByQuantizedMultiplier` of int32 x, double rounding: the high product, then the right shift."""
    s = np.asarray(shift, np.int64)
    shifted = np.asarray(x, np.int64) << np.maximum(s, 0)
    return rounding_divide_by_pot(srdhm(wrap32(shifted), q), np.maximum(-s, 0))


def multiply_by_quantized_multiplier_64(x: ArrayLike, q: ArrayLike, shift: ArrayLike) -> Integers:
    """The int64 accumulator's rule (16×8 kernels): q reduced to 16 bits, one rounding, halves up; cast to int32."""
    wide = np.asarray(q, np.int64)
    reduced = np.where(wide < 0x7FFF0000, (wide + (1 << 15)) >> 16, 0x7FFF)
    total = 15 - np.asarray(shift, np.int64)
    return wrap32((np.asarray(x, np.int64) * reduced + (np.int64(1) << (total - 1))) >> total)


def saturating_rounding_multiply_by_pot(x: Integers, exponent: int) -> Integers:
    """`SaturatingRoundingMultiplyByPOT`: a saturating left shift, or a rounding right shift for exponent < 0."""
    return rounding_divide_by_pot(x, -exponent) if exponent < 0 else saturate32(x << exponent)


def rescale(x: Integers, from_bits: int, to_bits: int) -> Integers:
    """`Rescale`: the same number with `to_bits` integer bits instead of `from_bits`."""
    return saturating_rounding_multiply_by_pot(x, from_bits - to_bits)


def rounding_half_sum(a: Integers, b: int) -> Integers:
    """`RoundingHalfSum`: (a + b) / 2, halves away from zero, truncating division as in C."""
    total = a + b
    return truncating_divide(total + np.where(total >= 0, 1, -1), 2)


def truncating_divide(a: ArrayLike, b: ArrayLike) -> Integers:
    """C's integer division: towards zero; `b` > 0."""
    numerator = np.asarray(a, np.int64)
    return np.sign(numerator) * (np.abs(numerator) // b)


def count_leading_zeros(x: Integers) -> Integers:
    """`CountLeadingZeros` of 32-bit values, 32 for 0: frexp's exponent is the bit length of what float64 holds."""
    return 32 - np.frexp((x & 0xFFFFFFFF).astype(np.float64))[1].astype(np.int64)


def exp_on_interval_between_negative_one_quarter_and_0_excl(a: Integers) -> Integers:
    """exp(a) for a in [−1/4, 0), Q0.31 to Q0.31: a Taylor polynomial about −1/8."""
    constant_term, one_third = 1895147668, 715827883
    x = a + (1 << 28)
    x2 = srdhm(x, x)
    x3 = srdhm(x2, x)
    x4_over_4 = rounding_divide_by_pot(srdhm(x2, x2), 2)
    tail = rounding_divide_by_pot(srdhm(x4_over_4 + x3, one_third) + x2, 1)
    return saturate32(constant_term + srdhm(constant_term, x + tail))


# exp(−2^k) in Q0.31 for k = −2 … 4 (gemmlowp GEMMLOWP_EXP_BARREL_SHIFTER).
_EXP_BARREL = (
    *((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308)),
    *((2, 39332535), (3, 720401), (4, 242)),
)


def exp_on_negative_values(a: Integers, integer_bits: int) -> Integers:
    """exp(a) for a ≤ 0 with `integer_bits` integer bits; the result is Q0.31."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    a_mod = (a & (quarter - 1)) - quarter
    result = exp_on_interval_between_negative_one_quarter_and_0_excl(rescale(a_mod, integer_bits, 0))
    remainder = wrap32(a_mod - a)
    for exponent, factor in _EXP_BARREL:
        if integer_bits > exponent:
            bit = fraction_bits + exponent
            result = np.where(remainder & (1 << bit), srdhm(result, factor), result)
    if integer_bits > 5:
        result = np.where(a < -(1 << (fraction_bits + 5)), 0, result)
    return np.where(a == 0, INT32_MAX, result)


def one_over_one_plus_x(a: Integers) -> Integers:
    """1 / (1 + a) for a in [0, 1], Q0.31: three Newton-Raphson steps on the half denominator in Q2.29."""
    half_denominator = rounding_half_sum(a, INT32_MAX)
    x = _newton_seed(half_denominator)
    for _ in range(3):
        product = srdhm(half_denominator, x)
        x = wrap32(x + rescale(srdhm(x, (1 << 29) - product), 4, 2))
    return rescale(x, 1, 0)


def one_minus_x_over_one_plus_x(a: Integers) -> Integers:
    """(1 − a) / (1 + a) for a in [0, 1], Q0.31."""
    half_denominator = rounding_half_sum(a, INT32_MAX)
    x = _newton_seed(half_denominator)
    for _ in range(3):
        product = srdhm(half_denominator, x)
        x = wrap32(x + rescale(srdhm(x, (1 << 29) - product), 4, 2))
    return rescale(x - (1 << 29), 2, 0)


def _newton_seed(half_denominator: Integers) -> Integers:
    """48/17 − 32/17 · d in Q2.29."""
    return 1515870810 + srdhm(half_denominator, -1010580540)


def logistic(a: Integers, integer_bits: int) -> Integers:
    """1 / (1 + exp(−a)): `integer_bits` integer bits to Q0.31."""
    positive = one_over_one_plus_x(exp_on_negative_values(np.minimum(a, -a), integer_bits))
    result = np.where(a > 0, positive, INT32_MAX - positive)
    return np.where(a == 0, 1 << 30, result)


def tanh(a: Integers, integer_bits: int) -> Integers:
    """tanh(a): `integer_bits` integer bits to Q0.31. The doubling is a reinterpretation with one more integer bit."""
    result = one_minus_x_over_one_plus_x(exp_on_negative_values(np.minimum(a, -a), integer_bits + 1))
    return np.where(a == 0, 0, np.where(a < 0, -result, result))


def log_of_at_least_1(a: Integers, integer_bits: int, out_bits: int) -> Integers:
    """`log_x_for_x_greater_than_or_equal_to_1_impl`: ln(a) for a ≥ 1, `integer_bits` to `out_bits` integer bits.

    A Padé-like quotient around the nearer of two powers of two, chosen by the smaller mantissa.
    """
    bits = out_bits + 1
    sqrt_half, sqrt_sqrt_half, log_2 = 1518500250, 1805811301, 1488522236
    alpha_n, alpha_d, alpha_i, alpha_f = 117049297, 127690142, 1057819769, 638450708
    quarter = rescale(np.int64(1 << 29), 0, bits)

    headroom_a = count_leading_zeros(a)
    r_a = saturate32(srdhm(saturate32(a << (headroom_a - 1)), sqrt_half) << 1)
    power_a = saturate32(saturate32((integer_bits - headroom_a) << (31 - bits)) + quarter)
    headroom_b = count_leading_zeros(srdhm(a, sqrt_half)) - 1
    r_b = saturate32(a << headroom_b)
    power_b = saturate32(saturate32((integer_bits - headroom_b) << (31 - bits)) - quarter)
    r, power = np.minimum(r_a, r_b), np.maximum(power_a, power_b)

    p = rounding_half_sum(r, sqrt_sqrt_half)
    q = 2 * (r - sqrt_sqrt_half)
    square = srdhm(q, q)
    numerator = srdhm(q, r) + srdhm(srdhm(q, square), alpha_n)
    denominator = srdhm(p, alpha_i + q + srdhm(alpha_d, square)) + srdhm(alpha_f, q)
    quotient = srdhm(rescale(numerator, 0, bits), one_over_one_plus_x(denominator))
    return rescale(srdhm(power, log_2) + quotient, bits, out_bits)


def inverse_sqrt_multiplier(value: int) -> tuple[int, int]:
    """`GetInvSqrtQuantizedMultiplierExp`: (q, shift) with 1/√value ≈ q · 2^(shift − 31); 5 Newton steps in Q3.28."""
    if value <= 1:
        return INT32_MAX, 0
    right_shift = 11
    while value >= 1 << 29:
        value //= 4
        right_shift += 1
    pairs = (32 - value.bit_length() - 1) // 2 - 1
    right_shift -= pairs
    half = np.int64((value << (2 * pairs)) >> 1)
    half_input = rounding_divide_by_pot(half, 1)
    x = np.int64(1 << 28)
    for _ in range(5):
        cube = rescale(srdhm(srdhm(x, x), x), 9, 3)
        x = rescale(srdhm((1 << 28) + (1 << 27), x) - srdhm(half_input, cube), 6, 3)
    q = int(srdhm(x, 1518500250))
    return (q << -right_shift, 0) if right_shift < 0 else (q, -right_shift)
