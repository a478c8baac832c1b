"""LOGISTIC and TANH on int16: one table of the sigmoid with linear interpolation.

Kernels: TFLite `reference/integer_ops/logistic.h`, `tanh.h` (int16), with the preparation of TFLM's
`logistic_common.cc` and `tanh.cc`. The LSTM's gates use the same functions.
"""

from __future__ import annotations

import math

import numpy as np

from mcuprof.graph import Tensor
from mcuprof.ops import numerics
from mcuprof.ops.kernel import Array, Kernel, NoKernel, scale_of

# `sigmoid_table_uint16` of TFLite: sigmoid(i / 24) in Q0.16. Not everywhere the nearest integer, hence written out.
# fmt: off
TABLE = (
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794, 41432, 42064, 42688,
    43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443, 48964, 49475, 49975, 50464, 50942, 51409,
    51865, 52311, 52745, 53169, 53581, 53983, 54374, 54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433,
    57724, 58007, 58280, 58544, 58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370, 60565, 60753, 60935, 61110,
    61279, 61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778, 62886, 62990, 63090, 63186,
    63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968, 64030, 64090, 64148, 64204, 64257, 64308,
    64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652, 64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900,
    64926, 64950, 64974, 64997, 65019, 65039, 65060, 65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208,
    65221, 65234, 65246, 65258, 65269, 65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360, 65367,
    65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420, 65425, 65429, 65433, 65438, 65442, 65445, 65449,
    65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476, 65479, 65481, 65483, 65485, 65488, 65489, 65491,
    65493, 65495, 65497, 65498, 65500, 65501, 65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513,
    65514, 65515, 65516, 65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524,
    65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529, 65529, 65530, 65530,
    65530, 65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532, 65532, 65532, 65532, 65533, 65533, 65533,
    65533, 65533, 65533, 65533, 65533, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65535,
)
# fmt: on


def prepare(kind: str, x: Tensor) -> Kernel:
    """LOGISTIC or TANH of an int16 tensor; the output has scale 2^-15 and zero point 0."""
    multiplier, shift = _input_multiplier(float(scale_of(x)), (0,) if kind == "LOGISTIC" else (0, 1))
    function = logistic if kind == "LOGISTIC" else tanh
    return lambda inputs: (function(inputs[0], multiplier, shift),)


def _input_multiplier(scale: float, pot_shifts: tuple[int, ...]) -> tuple[int, int]:
    """(multiplier, shift): (0, s) for a scale of 2^(s − 12), else scale · 3 · 4096 as a 15-bit number."""
    exponent = math.log2(scale)
    if abs(exponent - round(exponent)) < 1e-3 and 12 + round(exponent) in pot_shifts:
        return 0, 12 + round(exponent)
    multiplier, shift = scale * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2.0, shift + 1
    if multiplier > 2**31 - 1:
        raise NoKernel(f"a scale of {scale:g}")
    return int(multiplier), shift


def _scaled(x: Array, multiplier: int, shift: int) -> Array:
    if multiplier == 0:
        multiplier, shift = 3 << shift, 0
    return numerics.wrap32(x.astype(np.int64) * multiplier + ((1 << shift) >> 1)) >> shift


def logistic(x: Array, multiplier: int = 0, shift: int = 0) -> Array:
    """Sigmoid of int16 values (Q3.12 by default) as int16 Q0.15."""
    value = _scaled(x, multiplier, shift)
    size = np.abs(value)
    index = np.minimum(size >> 9, 254)
    table = np.array(TABLE, np.int64)
    result = (table[index] << 9) + (size & 0x1FF) * (table[index + 1] - table[index])
    result = np.where(size >> 9 >= 255, 0x7FFF << 10, result)
    result = np.where(value >= 0, result + (1 << 9), (1 << 25) - result + (1 << 9) - 1)
    return (result >> 10).astype(np.int16)


def tanh(x: Array, multiplier: int = 0, shift: int = 0) -> Array:
    """tanh of int16 values (Q3.12 by default) as int16 Q0.15: 2·sigmoid(2x) − 1 from the same table."""
    value = _scaled(x, multiplier, shift)
    size = np.abs(value)
    index = np.minimum(size >> 8, 254)
    table = np.array(TABLE, np.int64)
    result = (table[index] << 8) + (size & 0xFF) * (table[index + 1] - table[index])
    result = np.where(size >> 8 >= 255, 0xFFFF << 8, result)
    result = np.where(value >= 0, result - (1 << 23) + (1 << 7), -result + (1 << 23) + (1 << 7) - 1)
    return (result >> 8).astype(np.int16)
