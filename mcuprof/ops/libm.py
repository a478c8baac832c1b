"""The C library's float functions, operation by operation, so that float operators give the bits that C code gives.

`exp`, `log`, `sin`, `cos`: ARM Optimized Routines' expf, logf, sinf and cosf, in newlib (the library of bare-metal
toolchains) and glibc alike. Products and sums in double are rounded one by one, as microcontrollers do in software; a
processor that fuses them differs in last bits of sin and cos very close to their zeros.
`expm1`, `tanh`: fdlibm's, in the same two (glibc up to 2.40).
"""

from __future__ import annotations

import numpy as np

from mcuprof.ops.kernel import Array

_STEPS = 32
_EXP_POLYNOMIAL = (
    float.fromhex("0x1.c6af84b912394p-5") / _STEPS**3,
    float.fromhex("0x1.ebfce50fac4f3p-3") / _STEPS**2,
    float.fromhex("0x1.62e42ff0c52d6p-1") / _STEPS,
)


def _f32(value: float) -> np.float32:
    return np.float32(value)


def exp(x: Array) -> Array:
    """expf: 2^(k/32) from a table times a cubic, in float64."""
    z = x.astype(np.float64) * (float.fromhex("0x1.71547652b82fep+0") * _STEPS)
    z = np.clip(z, -1.0e6, 1.0e6)  # far beyond overflow and underflow, near enough for integers
    k = np.rint(z)
    r = z - k
    c0, c1, c2 = _EXP_POLYNOMIAL
    y = (c0 * r + c1) * (r * r) + (c2 * r + 1.0)
    whole = np.nan_to_num(k).astype(np.int64)
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(y * np.exp2(np.arange(_STEPS) / _STEPS)[whole % _STEPS], whole // _STEPS).astype(np.float32)


def expm1(x: Array) -> Array:
    """expm1f: x = k·ln2 + r, a rational function of r, put together again by the size of k."""
    high, low = _f32(6.9313812256e-01), _f32(9.0580006145e-06)
    inverse = _f32(1.4426950216e00)
    size = np.abs(x)
    sign = np.where(x < 0, _f32(-1), _f32(1))
    overflow = x >= _f32(88.72283935546875)
    x = np.clip(x, _f32(-30), _f32(88.72283))
    k = np.trunc(inverse * x + np.where(sign < 0, _f32(-0.5), _f32(0.5)))
    k = np.where(size < _f32(1.5 * np.log(2)), sign, k)
    k = np.where(size > _f32(0.5 * np.log(2)), k, _f32(0))
    top, bottom = x - k * high, k * low
    r = top - bottom
    c = (top - r) - bottom
    half = _f32(0.5) * r
    square = r * half
    r1 = _rational(square)
    t = _f32(3) - r1 * half
    e = square * ((r1 - t) / (_f32(6) - r * t))
    unscaled = r - (r * e - square)
    e = r * (e - c) - c - square
    power = k.astype(np.int32)
    tail = np.ldexp(_f32(1), -np.clip(k, 0, 126).astype(np.int32))
    middle = np.ldexp((_f32(1) - tail) - (e - r), power)
    large = np.ldexp((r - (e + tail)) + _f32(1), power)
    result = np.where(k < 23, middle, large)
    result = np.where((k <= -2) | (k > 56), np.ldexp(_f32(1) - (e - r), power) - _f32(1), result)
    one = np.where(r < _f32(-0.25), _f32(-2) * (e - (r + _f32(0.5))), _f32(1) + _f32(2) * (r - e))
    result = np.where(k == 1, one, result)
    result = np.where(k == -1, _f32(0.5) * (r - e) - _f32(0.5), result)
    return np.where(overflow, _f32(np.inf), np.where(k == 0, unscaled, result)).astype(np.float32)


def _rational(square: Array) -> Array:
    """1 + Q1·s + … + Q5·s⁵, by Horner's rule."""
    q1, q2, q3, q4, q5 = (
        *(_f32(-3.3333335072e-02), _f32(1.5873016091e-03), _f32(-7.9365076090e-05)),
        *(_f32(4.0082177293e-06), _f32(-2.0109921195e-07)),
    )
    return _f32(1) + square * (q1 + square * (q2 + square * (q3 + square * (q4 + square * q5))))


def tanh(x: Array) -> Array:
    """tanhf: from expm1f of ±2|x|; 1 from 22 on."""
    size = np.minimum(np.abs(x), _f32(22))
    below, above = expm1(_f32(-2) * size), expm1(_f32(2) * size)
    two = _f32(2)
    result = np.where(size >= 1, _f32(1) - two / (above + two), -below / (below + two))
    return np.copysign(result, x).astype(np.float32)


# 1/c and ln c for sixteen c across [0.7, 1.4), and the polynomial of ln(1 + r) (`logf_data.c`).
_LOG_TABLE = tuple(
    (float.fromhex(inverse), float.fromhex(logarithm))
    for inverse, logarithm in (
        ("0x1.661ec79f8f3bep+0", "-0x1.57bf7808caadep-2"),
        ("0x1.571ed4aaf883dp+0", "-0x1.2bef0a7c06ddbp-2"),
        ("0x1.49539f0f010bp+0", "-0x1.01eae7f513a67p-2"),
        ("0x1.3c995b0b80385p+0", "-0x1.b31d8a68224e9p-3"),
        ("0x1.30d190c8864a5p+0", "-0x1.6574f0ac07758p-3"),
        ("0x1.25e227b0b8eap+0", "-0x1.1aa2bc79c81p-3"),
        ("0x1.1bb4a4a1a343fp+0", "-0x1.a4e76ce8c0e5ep-4"),
        ("0x1.12358f08ae5bap+0", "-0x1.1973c5a611cccp-4"),
        ("0x1.0953f419900a7p+0", "-0x1.252f438e10c1ep-5"),
        ("0x1p+0", "0x0p+0"),
        ("0x1.e608cfd9a47acp-1", "0x1.aa5aa5df25984p-5"),
        ("0x1.ca4b31f026aap-1", "0x1.c5e53aa362eb4p-4"),
        ("0x1.b2036576afce6p-1", "0x1.526e57720db08p-3"),
        ("0x1.9c2d163a1aa2dp-1", "0x1.bc2860d22477p-3"),
        ("0x1.886e6037841edp-1", "0x1.1058bc8a07ee1p-2"),
        ("0x1.767dcf5534862p-1", "0x1.4043057b6ee09p-2"),
    )
)
_LOG_POLYNOMIAL = tuple(map(float.fromhex, ("-0x1.00ea348b88334p-2", "0x1.5575b0be00b6ap-2", "-0x1.ffffef20a4123p-2")))


def log(x: Array) -> Array:
    """logf: ln(z/c) + ln c + k·ln2 with x = 2^k·z, in float64; the ends of the range go through float64's ln."""
    bits = np.ascontiguousarray(x, np.float32).view(np.int32).astype(np.int64)
    above = bits - 0x3F330000
    row = np.array(_LOG_TABLE)[(above >> 19) % 16]
    inverse, logarithm = row[..., 0], row[..., 1]
    k = above >> 23
    z = (bits - (k << 23)).astype(np.int32).view(np.float32).astype(np.float64)
    a0, a1, a2 = _LOG_POLYNOMIAL
    with np.errstate(all="ignore"):
        r = z * inverse - 1.0
        y = (a0 * (r * r) + (a1 * r + a2)) * (r * r) + ((logarithm + k * float.fromhex("0x1.62e42fefa39efp-1")) + r)
        normal = (x >= np.finfo(np.float32).tiny) & np.isfinite(x)
        return np.where(normal, y, np.log(x.astype(np.float64))).astype(np.float32)


# Polynomials of sin x / x and cos x on [−π/4, π/4] in powers of x² (`sincosf_data.c`).
_SIN = tuple(map(float.fromhex, ("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13")))
_COS = tuple(
    map(
        float.fromhex,
        ("-0x1.ffffffd0c621cp-2", "0x1.55553e1068f19p-5", "-0x1.6c087e89a359dp-10", "0x1.99343027bf8c3p-16"),
    )
)
# 192 bits of 2/π, and all of its windows of 32 bits that end at a byte.
_TWO_OVER_PI = 0xA2F9836E4E441529FC2757D1F534DDC0DB6295993C439041
_WINDOWS = tuple((_TWO_OVER_PI >> (8 * place)) & 0xFFFFFFFF for place in reversed(range(24)))


def sin(x: Array) -> Array:
    """sinf: x reduced to [−π/4, π/4] and a quadrant, then a polynomial of sine or cosine, in float64."""
    return _of_quadrant(x, 0, np.asarray(x, np.float32))


def cos(x: Array) -> Array:
    """cosf: as `sin`, one quadrant on."""
    return _of_quadrant(x, 1, np.ones_like(x, np.float32))


def _of_quadrant(x: Array, turn: int, where_tiny: Array) -> Array:
    """sin(x + turn·π/2); the result is given where |x| < 2^−12. Bounds are compared by sign-less top bits, as there."""
    x = np.ascontiguousarray(x, np.float32)
    size = (x.view(np.uint32) & 0x7FFFFFFF) >> 20
    tiny, small, medium = (size < (_f32(bound).view(np.uint32) >> 20) for bound in (2.0**-12, np.pi / 4, 120.0))
    reduced, quadrant = _reduced(np.where(medium, x, _f32(0)))
    far, far_quadrant = _reduced_far(x)
    # The sign is that of the quadrant of x, the polynomial that of the quadrant of |x|; they differ for negative x.
    angle = np.where(small, x.astype(np.float64), np.where(medium, reduced, far))
    signed = np.where(small, 0, np.where(medium, quadrant, far_quadrant + np.signbit(x)))
    which = np.where(small, 0, np.where(medium, quadrant, far_quadrant)) + turn

    square = angle * angle
    fourth = square * square
    s1, s2, s3 = _SIN
    angle = angle * np.array((1.0, -1.0, -1.0, 1.0))[signed & 3]
    cube = angle * square
    sine = (angle + cube * s1) + (cube * square) * (s2 + square * s3)
    c1, c2, c3, c4 = _COS
    cosine = ((1.0 + square * c1) + fourth * c2) + (fourth * square) * (c3 + square * c4)
    result = np.where(which & 1, np.where(signed & 2, -cosine, cosine), sine).astype(np.float32)
    return np.where(np.isfinite(x), np.where(tiny, where_tiny, result), _f32(np.nan))


def _reduced(x: Array) -> tuple[Array, Array]:
    """`reduce_fast`: x minus its nearest multiple of π/2, and which multiple; |x| < 128."""
    wide = x.astype(np.float64)
    n = (np.trunc(wide * float.fromhex("0x1.45F306DC9C883p+23")).astype(np.int64) + 0x800000) >> 24
    return wide - n * float.fromhex("0x1.921FB54442D18p0"), n


def _reduced_far(x: Array) -> tuple[Array, Array]:
    """`reduce_large`: |x| times 96 bits of 2/π around its exponent, in 64-bit registers that overflow."""
    bits = x.view(np.uint32).astype(np.uint64)
    row, low, two = (bits >> np.uint64(26)) & np.uint64(15), np.uint64(0xFFFFFFFF), np.uint64(62)
    mantissa = (bits & np.uint64(0xFFFFFF) | np.uint64(0x800000)) << ((bits >> np.uint64(23)) & np.uint64(7))
    table = np.array(_WINDOWS, np.uint64)
    first, second, third = (mantissa * table[row.astype(np.int64) + ahead] for ahead in (0, 4, 8))
    total = ((third >> np.uint64(32)) | ((first & low) << np.uint64(32))) + second
    n = (total + np.uint64(1 << 61)) >> two
    return (total - (n << two)).view(np.int64) * float.fromhex("0x1.921FB54442D18p-62"), n.astype(np.int64)
