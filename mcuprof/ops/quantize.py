"""Changes of representation: QUANTIZE (also requantization), DEQUANTIZE, FAKE_QUANT, DynamicQuantizeLinear.

Kernels: TFLite `reference/quantize.h`, `reference/requantize.h`, `reference/dequantize.h`; ONNX QuantizeLinear rounds
halves to even.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mcuprof.graph import DType, Graph, Op, Shape, Tensor
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
    rescaler,
    scale_of,
    scales_of,
    span,
    storage,
    zero_of,
)
from mcuprof.ops.numerics import round_away
from mcuprof.ops.operator import InputShapes, Operator, same_shape
from mcuprof.ops.rows import pointwise_rows


def prepare_quantize(graph: Graph, op: Op) -> Kernel:
    """float32 → integers: round(x / scale) + zero point, the quotient in float32. Integers: requantization."""
    x, out = graph.input(op, 0), graph.output(op)
    if not is_float(x):
        multiplier = np.float64(scale_of(x)) / np.float64(divisor_of(out))
        rescale = rescaler(graph, multiplier, plain_target(out), float(span(x)))
        zero = zero_of(x)
        return lambda inputs: (rescale(inputs[0].astype(np.int32) - zero),)
    scale, zeros = along_axis(out)
    low, high = limits(out.dtype)
    kind = storage(out.dtype)
    to_integer = np.rint if is_onnx(graph) else round_away

    def run(inputs: Inputs) -> tuple[Array, ...]:
        # Clamped before the cast: a float beyond int32 has no defined integer in C; the kernels saturate.
        q = to_integer(inputs[0] / scale).astype(np.float64) + zeros
        return (np.clip(q, low, high).astype(kind),)

    return run


def prepare_dequantize(graph: Graph, op: Op) -> Kernel:
    """Integers (or float16) → float32: scale · (q − zero point).

    TFLM's kernel (`DequantizePrepare`) knows one scale: of weights quantized per channel it takes the first for all,
    which is wrong and what the device will do.
    """
    x = graph.input(op, 0)
    if x.dtype is DType.FLOAT16 and not is_onnx(graph):
        return lambda inputs: (inputs[0].astype(np.float32),)
    if not x.dtype.is_integer:
        raise NoKernel(f"type {x.dtype.value}")
    scale, zeros = along_axis(x) if is_onnx(graph) else (scales_of(x)[0], zero_of(x))
    return lambda inputs: ((inputs[0].astype(np.int64) - zeros).astype(np.float32) * scale,)


def prepare_dynamic_quantize(graph: Graph, op: Op) -> Kernel:
    """ONNX DynamicQuantizeLinear: float32 → (uint8, scale, zero point) so that the range with 0 in it is used up."""

    def run(inputs: Inputs) -> tuple[Array, ...]:
        q, scale, zero = quantize_dynamically(inputs[0])
        return q, np.asarray(scale), np.asarray(zero, np.uint8)

    return run


def quantize_dynamically(x: Array) -> tuple[Array, np.float32, int]:
    """x as uint8, its scale and its zero point: the range with 0 in it is used up. Raises NoKernel where it is none."""
    low, high = np.minimum(x.min(), np.float32(0)), np.maximum(x.max(), np.float32(0))
    if not np.isfinite(high - low):
        raise NoKernel(f"values from {low:g} to {high:g} cannot be quantized")
    scale = (high - low) / np.float32(255) if high > low else np.float32(1)
    zero = np.rint(np.clip(np.float32(0) - low / scale, 0, 255))
    q = np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8)
    return q, scale, int(zero)


def _dynamic_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    return inputs[0], (), ()


def along_axis(tensor: Tensor) -> tuple[Any, Any]:
    """(float32 scales, int64 zero points), shaped to broadcast along the tensor's quantized axis."""
    scales = scales_of(tensor)
    q = tensor.quantization
    zeros = np.array(q.zero_point if q and q.zero_point else (0,), np.int64)
    if len(scales) == 1 or q is None:
        return scales[0], zeros[0]
    shape = [1] * len(tensor.shape)
    shape[q.axis] = -1
    return scales.reshape(shape), zeros.reshape(shape) if len(zeros) > 1 else zeros[0]


OPERATORS = (
    Operator("QUANTIZE", same_shape, kernel=prepare_quantize, rows=pointwise_rows),
    Operator("DEQUANTIZE", same_shape, kernel=prepare_dequantize, rows=pointwise_rows),
    Operator("FAKE_QUANT", same_shape),
    Operator("DynamicQuantizeLinear", _dynamic_shapes, kernel=prepare_dynamic_quantize),
)
