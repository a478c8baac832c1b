"""Quantized ONNX operators without an integer kernel: dequantize, the float32 operator, quantize.

That is what a QDQ model says, and what ONNX Runtime does wherever it has no integer kernel of its own (QLinearSoftmax
and QLinearSigmoid work out tables in the same way). Rounding is to even.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mcuprof.graph import ABSENT, DType, Graph, Op, Tensor
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel, Prepare, limits, storage
from mcuprof.ops.quantize import along_axis
from mcuprof.ops.sums import DEQUANTIZED


def is_float_island(op: Op) -> bool:
    """True for a sum of a QDQ model: a float operator between DequantizeLinear and QuantizeLinear.

    It rounds in float32, which decides ties otherwise than an integer sum does.
    """
    return op.source in ("Conv", "ConvTranspose", "Gemm", "MatMul", "GlobalAveragePool")


def through_floats(prepare: Prepare, graph: Graph, op: Op) -> Kernel:
    """The operator's float kernel between dequantized inputs and a quantized output."""
    reals = {index for index in (*op.inputs, *op.outputs) if index != ABSENT and _is_quantized(graph.tensors[index])}
    if not reals:
        raise NoKernel("integers without quantization")
    tensors = tuple(_as_float(tensor) if index in reals else tensor for index, tensor in enumerate(graph.tensors))
    finish = _quantize_at_once if op.source.endswith("QLinearAveragePool") else quantize
    kernel = prepare(replace(graph, tensors=tensors), replace(op, attributes={**op.attributes, DEQUANTIZED: 1}))

    def run(inputs: Inputs) -> tuple[Array, ...]:
        operands = [
            dequantize(graph.tensors[index], value) if index in reals else value
            for index, value in zip(op.inputs, inputs, strict=True)
        ]
        results = zip(op.outputs, kernel(operands), strict=False)
        return tuple(finish(graph.tensors[index], value) if index in reals else value for index, value in results)

    return run


def dequantize(tensor: Tensor, q: Array) -> Array:
    """(q − zero point) · scale in float32."""
    scale, zeros = along_axis(tensor)
    return (q.astype(np.int64) - zeros).astype(np.float32) * scale


def quantize(tensor: Tensor, real: Array) -> Array:
    """Clamp(rint(real / scale) + zero point)."""
    scale, zeros = along_axis(tensor)
    low, high = limits(tensor.dtype)
    return np.clip(np.rint(real / scale).astype(np.float64) + zeros, low, high).astype(storage(tensor.dtype))


def _quantize_at_once(tensor: Tensor, real: Array) -> Array:
    """Clamp(rint(real / scale + zero point)): with an odd zero point, halves go the other way."""
    scale, zeros = along_axis(tensor)
    low, high = limits(tensor.dtype)
    return np.clip(np.rint(real / scale + np.float32(zeros)), low, high).astype(storage(tensor.dtype))


def _is_quantized(tensor: Tensor) -> bool:
    return tensor.quantization is not None and tensor.dtype.is_integer


def _as_float(tensor: Tensor) -> Tensor:
    data: Any = None
    if tensor.is_constant:
        data = memoryview(np.ascontiguousarray(dequantize(tensor, tensor.array()), np.float32).tobytes())
    return replace(tensor, dtype=DType.FLOAT32, quantization=None, data=data)
