"""Operators whose weights, scales or zero points are computed by the network: known only when they run.

They are prepared anew for every inference, with what has arrived. ONNX's QuantizeLinear and DequantizeLinear broadcast
their scales (one, one per index of an axis, or one per block).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mcuprof.graph import ABSENT, Graph, Op, Quantization, Tensor
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel, Prepare, limits, storage

# Positions of (scale, zero point) for x, weights and output among the inputs, and of the constants a kernel needs.
_PARAMETERS = {"QLinearConv": ((3, 4), (5, 6), (7, 8)), "QLinearMatMul": ((3, 4), (5, 6), (7, 8))}


def with_computed_weights(prepare: Prepare, graph: Graph, op: Op, positions: tuple[int, ...]) -> Kernel:
    """A kernel for an operator that wants constants at these input positions, where they are not."""

    def run(inputs: Inputs) -> tuple[Array, ...]:
        return prepare(_with_constants(graph, op, inputs, positions), op)(inputs)

    return run


def _with_constants(graph: Graph, op: Op, inputs: Inputs, positions: tuple[int, ...]) -> Graph:
    tensors = list(graph.tensors)
    for position in positions:
        if position < len(op.inputs) and op.inputs[position] != ABSENT:
            tensors[op.inputs[position]] = _constant(tensors[op.inputs[position]], inputs[position])
    return replace(graph, tensors=tuple(tensors))


def at_run_time(prepare: Prepare, graph: Graph, op: Op) -> Kernel:
    """A kernel that takes its quantization from its inputs. Raises NoKernel for operators without such inputs."""
    if op.source in ("QuantizeLinear", "DequantizeLinear"):
        if not graph.input(op, 1).dtype.is_float:
            raise NoKernel(f"a scale of type {graph.input(op, 1).dtype.value}")
        return _dequantize(graph, op) if op.source == "DequantizeLinear" else _quantize(graph, op)
    if op.source in ("ConvInteger", "MatMulInteger"):
        return _whole_sums(prepare, graph, op)
    needed = [position for pair in _PARAMETERS.get(op.source, ()) for position in pair]
    if not needed or any(graph.tensor(op, position) is None for position in (0, *needed)):
        raise NoKernel("integers without quantization")

    def run(inputs: Inputs) -> tuple[Array, ...]:
        tensors = list(graph.tensors)
        for tensor, (scale, zero) in zip((*op.inputs[:2], op.outputs[0]), _PARAMETERS[op.source], strict=True):
            tensors[tensor] = replace(tensors[tensor], quantization=_quantization(inputs[scale], inputs[zero]))
        quantized = replace(graph, tensors=tuple(tensors))
        if op.source == "QLinearConv":
            quantized = _with_constants(quantized, op, inputs, (1, 2))
        return prepare(quantized, op)(inputs)

    return run


def _whole_sums(prepare: Prepare, graph: Graph, op: Op) -> Kernel:
    """ConvInteger, MatMulInteger: int32 sums, (x − zero point) · (w − zero point); the zero points are inputs 3 and 4.

    Quantized with a scale of 1, the operators' kernels give the sums as they are to an int32 output without scale.
    """

    def run(inputs: Inputs) -> tuple[Array, ...]:
        tensors = list(graph.tensors)
        for position in (0, 1):
            zero = inputs[3 + position] if len(inputs) > 3 + position else None
            zeros = (0,) if zero is None else tuple(int(value) for value in zero.reshape(-1))
            known = Quantization((1.0,) * len(zeros), zeros)
            tensors[op.inputs[position]] = replace(tensors[op.inputs[position]], quantization=known)
        operands = replace(op, inputs=op.inputs[:2])
        constants = (1,) if op.source == "ConvInteger" else ()
        quantized = _with_constants(replace(graph, tensors=tuple(tensors)), operands, inputs, constants)
        return prepare(quantized, operands)(inputs[:2])

    return run


def _quantization(scale: Array, zero: Any) -> Quantization:
    zeros = () if zero is None else tuple(int(value) for value in zero.reshape(-1))
    return Quantization(tuple(float(value) for value in scale.reshape(-1)), zeros)


def _constant(tensor: Tensor, content: Array) -> Tensor:
    return replace(tensor, data=memoryview(np.ascontiguousarray(content).tobytes()))


def _quantize(graph: Graph, op: Op) -> Kernel:
    low, high = limits(graph.output(op).dtype)
    dtype = storage(graph.output(op).dtype)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        scale, zero = _spread(op, inputs)
        return (np.clip(np.rint(inputs[0] / scale).astype(np.float64) + zero, low, high).astype(dtype),)

    return run


def _dequantize(graph: Graph, op: Op) -> Kernel:
    if not graph.input(op).dtype.is_integer:
        raise NoKernel(f"type {graph.input(op).dtype.value}")

    def run(inputs: Inputs) -> tuple[Array, ...]:
        scale, zero = _spread(op, inputs)
        return ((inputs[0].astype(np.int64) - zero).astype(np.float32) * scale,)

    return run


def _spread(op: Op, inputs: Inputs) -> tuple[Array, Array]:
    """Scale and zero point (int64), shaped to broadcast with x: along `axis` (ONNX's default is 1), or by blocks."""
    x, scale = inputs[0], inputs[1]
    zero = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros(scale.shape, np.int64)
    return _along(op, x, scale), _along(op, x, zero.astype(np.int64))


def _along(op: Op, x: Array, values: Array) -> Array:
    if values.size == 1:
        return values.reshape(())
    if values.ndim == x.ndim:
        for axis, (size, blocks) in enumerate(zip(x.shape, values.shape, strict=True)):
            values = np.repeat(values, -(-size // blocks), axis=axis)
        return values[tuple(slice(size) for size in x.shape)]
    shape = [1] * x.ndim
    shape[op.integer("axis", 1)] = -1
    return values.reshape(shape)
