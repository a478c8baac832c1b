"""LOGISTIC and TANH on int16: one table of the sigmoid with linear interpolation.

Kernels: TFLite `reference/integer_ops/logistic.h`, `tanh.h` (int16), with the preparation of TFLM's `logistic_common.cc`
and `tanh.cc`. The LSTM's gates use the same functions.
"""

from __future__ import annotations

import math

import numpy as np

from mcuprof.graph import Tensor
from mcuprof.ops.kernel import Array, Kernel, scale_of
from mcuprof.ops.numerics import round_away

# sigmoid(i / 24) in Q0.16, the kernels' `sigmoid_table_uint16`; 24 = 3 · 2^3 stretches the table to ±10.7.
TABLE = np.minimum(np.floor(65536.0 / (1.0 + np.exp(-np.arange(256) / 24.0)) + 0.5), 65535).astype(np.int64)


def prepare(kind: str, x: Tensor) -> Kernel:
    """LOGISTIC or TANH of an int16 tensor; the output has scale 2^-15 and zero point 0."""
    multiplier, shift = _input_multiplier(float(scale_of(x)), (0,) if kind == "LOGISTIC" else (0, 1))
    function = logistic if kind == "LOGISTIC" else tanh
    return lambda inputs: (function(inputs[0], multiplier, shift),)


def _input_multiplier(scale: float, pot_shifts: tuple[int, ...]) -> tuple[int, int]:
    """(multiplier, shift): (0, s) for a power of two within s bits of 2^-12, else scale · 3 · 4096 as a 15-bit number."""
    exponent = math.log2(scale)
    if abs(exponent - round(exponent)) < 1e-3 and 12 + round(exponent) in pot_shifts:
        return 0, 12 + round(exponent)
    multiplier, shift = scale * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2.0, shift + 1
    return int(round_away(multiplier)), shift


def _scaled(x: Array, multiplier: int, shift: int) -> Array:
    if multiplier == 0:
        multiplier, shift = 3 << shift, 0
    return (x.astype(np.int64) * multiplier + ((1 << shift) >> 1)) >> shift


def logistic(x: Array, multiplier: int = 0, shift: int = 0) -> Array:
    """Sigmoid of int16 values (Q3.12 by default) as int16 Q0.15."""
    value = _scaled(x, multiplier, shift)
    size = np.abs(value)
    index = np.minimum(size >> 9, 254)
    result = (TABLE[index] << 9) + (size & 0x1FF) * (TABLE[index + 1] - TABLE[index])
    result = np.where(size >> 9 >= 255, 0x7FFF << 10, result)
    result = np.where(value >= 0, result + (1 << 9), (1 << 25) - result + (1 << 9) - 1)
    return (result >> 10).astype(np.int16)


def tanh(x: Array, multiplier: int = 0, shift: int = 0) -> Array:
    """tanh of int16 values (Q3.12 by default) as int16 Q0.15: 2·sigmoid(2x) − 1 from the same table."""
    value = _scaled(x, multiplier, shift)
    size = np.abs(value)
    index = np.minimum(size >> 8, 254)
    result = (TABLE[index] << 8) + (size & 0xFF) * (TABLE[index + 1] - TABLE[index])
    result = np.where(size >> 8 >= 255, 0xFFFF << 8, result)
    result = np.where(value >= 0, result - (1 << 23) + (1 << 7), -result + (1 << 23) + (1 << 7) - 1)
    return (result >> 8).astype(np.int16)
