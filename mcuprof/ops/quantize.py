"""Changes of representation: QUANTIZE (also requantization), DEQUANTIZE, FAKE_QUANT."""

from __future__ import annotations

from mcuprof.ops.operator import Operator, same_shape

OPERATORS = tuple(Operator(kind, same_shape) for kind in ("QUANTIZE", "DEQUANTIZE", "FAKE_QUANT"))
