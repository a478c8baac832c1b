"""KISS FFT's real transforms on int16, int32 and float32, operation by operation; lengths are powers of two.

Source: kissfft 1.3 (`kiss_fft.c`, `kiss_fftr.c`, `_kiss_fft_guts.h`) as TFLM builds it: FIXED_POINT 16, 32 or none. A
fixed-point transform divides by the radix before each butterfly, so its result is the transform over its length, and
every step rounds. Sums wrap around like the C type that holds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mcuprof.ops.kernel import Array

_TYPES = ("int16", "int32", "float32")


@dataclass(frozen=True, slots=True)
class _Complex:
    """An array of complex numbers as its two parts, in the type that the C code keeps them in."""

    re: Array
    im: Array

    def __add__(self, other: _Complex) -> _Complex:
        return _Complex(self.re + other.re, self.im + other.im)

    def __sub__(self, other: _Complex) -> _Complex:
        return _Complex(self.re - other.re, self.im - other.im)

    def __getitem__(self, key: Any) -> _Complex:
        return _Complex(self.re[key], self.im[key])

    def times_i(self, sign: int) -> _Complex:
        """Times i or -i."""
        return _Complex(-self.im, self.re) if sign > 0 else _Complex(self.im, -self.re)

    def map(self, change: Callable[[Array], Array]) -> _Complex:
        """Both parts changed alike."""
        return _Complex(change(self.re), change(self.im))


@dataclass(frozen=True)
class RealFft:
    """A real transform of `length` samples of `dtype`, forwards or back. Raises ValueError for other lengths or types.

    The complex one underneath has half the length: even samples are its real parts, odd ones its imaginary parts.
    """

    length: int
    dtype: np.dtype[Any]
    inverse: bool = False

    def __post_init__(self) -> None:
        if self.length < 4 or self.length & (self.length - 1):
            raise ValueError(f"an FFT of {self.length} points")
        if self.dtype not in _TYPES:
            raise ValueError(f"an FFT of {self.dtype}")

    def forward(self, x: Array) -> Array:
        """x [..., length] → [..., length + 2]: real and imaginary parts of the frequencies 0 … length / 2."""
        half = self.length // 2
        mixed = self._transform(_Complex(x[..., 0::2], x[..., 1::2]))
        ends = self._divided(mixed[..., :1], 2)
        a = self._divided(mixed[..., 1 : half // 2 + 1], 2)
        b = self._divided(mixed[..., half - 1 : half // 2 - 1 : -1], 2)
        b = _Complex(b.re, -b.im)
        even, odd = a + b, self._product(a - b, self._super_twiddles)
        low = _Complex(self._half_sum(even.re, odd.re), self._half_sum(even.im, odd.im))
        high = _Complex(self._half_sum(even.re, odd.re, -1), self._half_sum(odd.im, even.im, -1))
        out = np.zeros((*x.shape[:-1], half + 1, 2), self.dtype)
        out[..., 0, 0], out[..., half, 0] = (ends.re + ends.im)[..., 0], (ends.re - ends.im)[..., 0]
        for part, (upwards, downwards) in enumerate(((low.re, high.re), (low.im, high.im))):
            out[..., 1 : half // 2 + 1, part] = upwards
            out[..., half - 1 : half // 2 - 1 : -1, part] = downwards  # the middle is written twice: this one stays
        return out.reshape(*x.shape[:-1], self.length + 2)

    def backward(self, spectrum: Array) -> Array:
        """spectrum [..., length + 2] → samples [..., length]; not divided by the length in float."""
        half = self.length // 2
        z = _Complex(spectrum[..., 0::2], spectrum[..., 1::2])
        first, last = z.re[..., :1], z.re[..., half:]
        ends = self._divided(_Complex(first + last, first - last), 2)
        a = self._divided(z[..., 1 : half // 2 + 1], 2)
        b = z[..., half - 1 : half // 2 - 1 : -1]
        b = self._divided(_Complex(b.re, -b.im), 2)
        even, odd = a + b, self._product(a - b, self._super_twiddles)
        mixed = _Complex(*(np.zeros((*spectrum.shape[:-1], half), self.dtype) for _ in range(2)))
        low, high = even + odd, even - odd
        for into, end, upwards, downwards in (
            (mixed.re, ends.re, low.re, high.re),
            (mixed.im, ends.im, low.im, -high.im),
        ):
            into[..., :1] = end
            into[..., 1 : half // 2 + 1] = upwards
            into[..., half - 1 : half // 2 - 1 : -1] = downwards
        samples = self._transform(mixed)
        return np.stack([samples.re, samples.im], -1).reshape(*spectrum.shape[:-1], self.length)

    def _transform(self, x: _Complex) -> _Complex:
        """The complex transform over the last axis, decimated in time by 4, at the end by 2 (`kf_factor`)."""
        n = x.re.shape[-1]
        if n == 1:
            return x
        radix = 2 if n == 2 else 4
        m = n // radix
        parts = self._transform(x.map(lambda v: v.reshape(*v.shape[:-1], m, radix).swapaxes(-1, -2)))
        parts = self._divided(parts, radix)
        steps = np.outer(np.arange(1, radix), np.arange(m)) * (self.length // 2 // n)
        first, rest = parts[..., 0, :], self._product(parts[..., 1:, :], self._twiddles[steps])
        if radix == 2:
            second = rest[..., 0, :]
            return _joined(first + second, first - second)
        difference, total = first - rest[..., 1, :], first + rest[..., 1, :]
        sides, across = rest[..., 0, :] + rest[..., 2, :], rest[..., 0, :] - rest[..., 2, :]
        turned = across.times_i(1 if self.inverse else -1)
        return _joined(total + sides, difference + turned, total - sides, difference - turned)

    @cached_property
    def _twiddles(self) -> _Complex:
        half, sign = self.length // 2, 1 if self.inverse else -1
        return self._turns([sign * 2 * math.pi * i / half for i in range(half)])

    @cached_property
    def _super_twiddles(self) -> _Complex:
        half, sign = self.length // 2, 1 if self.inverse else -1
        return self._turns([sign * math.pi * ((i + 1) / half + 0.5) for i in range(half // 2)])

    def _turns(self, phases: list[float]) -> _Complex:
        """`kf_cexp`: e^(i·phase)."""
        if self.dtype == np.float32:
            return _Complex(*(np.array([f(p) for p in phases], np.float32) for f in (math.cos, math.sin)))
        top = float(np.iinfo(self.dtype).max)
        return _Complex(
            *(np.array([math.floor(0.5 + top * f(p)) for p in phases], self.dtype) for f in (math.cos, math.sin))
        )

    @property
    def _wide(self) -> type[np.signedinteger[Any]]:
        """What holds a product in fixed point."""
        return np.int32 if self.dtype == np.int16 else np.int64

    def _product(self, a: _Complex, b: _Complex) -> _Complex:
        """`C_MUL`: one rounding of the exact sum of products in fixed point, three in float."""
        if self.dtype == np.float32:
            return _Complex(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)
        wide = self._wide
        x, y = a.map(lambda v: v.astype(wide)), b.map(lambda v: v.astype(wide))
        return _Complex(self._rounded(x.re * y.re - x.im * y.im), self._rounded(x.re * y.im + x.im * y.re))

    def _divided(self, z: _Complex, by: int) -> _Complex:
        """`C_FIXDIV`: times ⌊largest / by⌋ in fixed point, nothing in float."""
        if self.dtype == np.float32:
            return z
        factor = np.iinfo(self.dtype).max // by
        return z.map(lambda v: self._rounded(v.astype(self._wide) * factor))

    def _rounded(self, wide: Array) -> Array:
        """`sround`: the upper half of a product, halves upwards."""
        bits = 8 * self.dtype.itemsize - 1
        return ((wide + (1 << (bits - 1))) >> bits).astype(self.dtype)

    def _half_sum(self, a: Array, b: Array, sign: int = 1) -> Array:
        """`HALF_OF(a ± b)`; int16 are added in C's int, int32 wrap."""
        if self.dtype == np.float32:
            return (a + sign * b) * np.float32(0.5)
        x, y = a.astype(np.int32), b.astype(np.int32)
        return ((x + y if sign > 0 else x - y) >> 1).astype(self.dtype)


def _joined(*parts: _Complex) -> _Complex:
    return _Complex(np.concatenate([p.re for p in parts], -1), np.concatenate([p.im for p in parts], -1))
