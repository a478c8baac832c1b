"""Matrix products: FULLY_CONNECTED (x · weightsᵀ + bias) and BATCH_MATMUL (x · y).

FULLY_CONNECTED: weights [out, in], or [in, out] when the attribute `transposed` is set (ONNX Gemm, MatMul).
Kernels: TFLite `reference/integer_ops/fully_connected.h`, `reference/batch_matmul.h`, TFLM `fully_connected_common.cc`;
ONNX Runtime QGemm, QLinearMatMul.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from mcuprof.graph import DType, Graph, Op, Shape, Tensor
from mcuprof.ops import mlas
from mcuprof.ops.convolve import conv_multiplier
from mcuprof.ops.kernel import (
    Array,
    Inputs,
    Kernel,
    NoKernel,
    Rescaler,
    as_sums,
    clamp_float,
    divisor_of,
    gives_sums,
    is_float,
    is_onnx,
    matmul_type,
    rescaler,
    scale_of,
    span,
    target,
    zero_of,
)
from mcuprof.ops.operator import InputShapes, Operator
from mcuprof.ops.sums import DEQUANTIZED, Sums, float_sums, product


def fully_connected_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """[batch, out], or the input's leading dimensions + [out] with `keep_num_dims`."""
    out, depth = weights_shape(op, inputs[1])
    x = inputs[0]
    if op.integer("keep_num_dims") or op.integer("transposed"):
        return ((*x[:-1], out),)
    return ((prod(x) // max(1, depth), out),)


def fully_connected_macs(graph: Graph, op: Op) -> int:
    """Output elements × depth of the weights."""
    _, depth = weights_shape(op, graph.input(op, 1).shape)
    return graph.output(op).elements * depth


def weights_shape(op: Op, shape: Shape) -> tuple[int, int]:
    """(out, depth) of a FULLY_CONNECTED's weights, whichever way round they are stored. Raises ValueError by rank."""
    rows, columns = shape
    return (columns, rows) if op.integer("transposed") else (rows, columns)


def batch_matmul_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """Broadcast leading dimensions + [rows of x, columns of y], each side transposed first if asked."""
    x, y = inputs[0], inputs[1]
    if len(x) < 2 or len(y) < 2:
        return (tuple(np.matmul(np.empty(x, np.bool_), np.empty(y, np.bool_)).shape),)
    rows = x[-1] if op.integer("adj_x") else x[-2]
    columns = y[-2] if op.integer("adj_y") else y[-1]
    return ((*np.broadcast_shapes(x[:-2], y[:-2]), rows, columns),)


def batch_matmul_macs(graph: Graph, op: Op) -> int:
    """Output elements × inner dimension."""
    x = graph.input(op, 0)
    inner = x.shape[-2 if op.integer("adj_x") and len(x.shape) > 1 else -1] if x.shape else 1
    return graph.output(op).elements * inner


def prepare_fully_connected(graph: Graph, op: Op) -> Kernel:
    """x [..., in] · weightsᵀ + bias. The weights may be computed by the network; a bias must be constant."""
    x, w, out = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    transposed = bool(op.integer("transposed"))
    bias_tensor = graph.tensor(op, 2)
    if is_float(x) != is_float(w):
        raise NoKernel("float activations with integer weights")
    if bias_tensor is not None and not bias_tensor.is_constant:
        raise NoKernel("a bias that is computed")
    depth = w.shape[0 if transposed else -1]
    if is_float(x):
        kind: type[Any] = np.float32
    else:
        reach = _matrix(w.array(), w, transposed, np.float64) if w.is_constant else np.full((depth, 1), float(span(w)))
        bound = float(np.abs(reach).sum(axis=0).max(initial=0.0)) * span(x)
        if bias_tensor is not None:
            bound += float(np.abs(bias_tensor.array().astype(np.float64)).max(initial=0.0))
        kind = matmul_type(bound)
        rescale = _rescale(graph, op, x, w, out, bound)
    fixed = _matrix(w.array(), w, transposed, kind) if w.is_constant else None
    bias = None if bias_tensor is None else bias_tensor.array().reshape(-1).astype(kind)
    zero = 0 if is_float(x) else zero_of(x)
    sums: Sums = float_sums(graph) if is_float(x) else "exact"
    start = bias if sums == "mlas" and op.source == "Gemm" else None  # a Gemm begins with its bias
    packed = w.is_constant and not op.integer(DEQUANTIZED)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        matrix = fixed if fixed is not None else _matrix(inputs[1], w, transposed, kind)
        rows = inputs[0].reshape(-1, depth).astype(kind)
        if zero:
            rows -= zero
        if sums == "mlas":
            acc = mlas.dense(rows, matrix, start, packed=packed, transposed=not transposed)
        else:
            acc = product(rows, matrix, sums)
        if bias is not None and start is None:
            acc += bias
        return ((clamp_float(op, acc) if is_float(x) else rescale(acc)).reshape(out.shape),)

    return run


def _rescale(graph: Graph, op: Op, x: Tensor, weights: Tensor, out: Tensor, bound: float) -> Rescaler:
    if gives_sums(x, out):
        return as_sums
    multiplier = dense_multiplier(graph, x, weights, out)
    return rescaler(graph, multiplier, target(op, out), bound, wide=x.dtype is DType.INT16)


def dense_multiplier(graph: Graph, x: Tensor, weights: Tensor, out: Tensor) -> Array:
    """As for a convolution, but TFLM multiplies the two scales in float32 when the weights have only one.

    `GetQuantizedConvolutionMultipler`: double(input scale · weight scale) / double(output scale).
    """
    if is_onnx(graph) or (weights.quantization is not None and weights.quantization.per_channel):
        return conv_multiplier(graph, x, weights, out)
    return np.float64(scale_of(x) * scale_of(weights)) / np.asarray(divisor_of(out), np.float64)


def _matrix(array: Array, tensor: Tensor, transposed: bool, kind: type[Any]) -> Array:
    """Weights as a contiguous [in, out] matrix of `kind`, zero points taken off (one, or one per output)."""
    matrix = np.ascontiguousarray(array if transposed else array.reshape(-1, array.shape[-1]).T, dtype=kind)
    zeros = tensor.quantization.zero_point if tensor.quantization else ()
    return matrix - np.array(zeros, kind) if any(zeros) else matrix


def prepare_batch_matmul(graph: Graph, op: Op) -> Kernel:
    """x · y over broadcast leading dimensions; either side may be a constant."""
    x, y, out = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    flip_x, flip_y = bool(op.integer("adj_x")), bool(op.integer("adj_y"))
    if is_float(x) != is_float(y):
        raise NoKernel("one float and one integer operand")
    if is_float(x):

        def run_float(inputs: Inputs) -> tuple[Array, ...]:
            a, b = _sides(inputs, flip_x, flip_y, np.float32)
            if is_onnx(graph):
                return (a @ b,)
            total = np.zeros(out.shape, np.float32)
            for k in range(a.shape[-1]):
                total += a[..., :, k, None] * b[..., None, k, :]
            return (total,)

        return run_float
    inner = x.shape[-2 if flip_x else -1] if len(x.shape) > 1 else x.shape[0]
    bound = float(inner) * span(x) * span(y)
    kind = matmul_type(bound)
    rescale = _rescale(graph, op, x, y, out, bound)
    zero_x, zero_y = kind(zero_of(x)), kind(zero_of(y))

    def run(inputs: Inputs) -> tuple[Array, ...]:
        a, b = _sides(inputs, flip_x, flip_y, kind)
        return (rescale(np.asarray((a - zero_x) @ (b - zero_y))).reshape(out.shape),)

    return run


def _sides(inputs: Inputs, flip_x: bool, flip_y: bool, kind: type[Any]) -> tuple[Array, Array]:
    a, b = inputs[0].astype(kind), inputs[1].astype(kind)
    return (a.swapaxes(-1, -2) if flip_x else a), (b.swapaxes(-1, -2) if flip_y else b)


OPERATORS = (
    Operator("FULLY_CONNECTED", fully_connected_shapes, fully_connected_macs, prepare_fully_connected),
    Operator("BATCH_MATMUL", batch_matmul_shapes, batch_matmul_macs, prepare_batch_matmul),
)
