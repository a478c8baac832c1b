"""Pooling: AVERAGE_POOL_2D, MAX_POOL_2D, L2_POOL_2D. A window per channel, no weights, no MACs.

Kernels: TFLite `reference/integer_ops/pooling.h`, `reference/pooling.h`. Only cells inside the input count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mcuprof.graph import Graph, Op, Shape, Tensor
from mcuprof.ops import mlas
from mcuprof.ops.geometry import Window, framed, spatial, taps_inside, window, window_size
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel, clamp_float, fused_range, is_float, is_onnx, storage
from mcuprof.ops.numerics import truncating_divide
from mcuprof.ops.operator import InputShapes, Operator
from mcuprof.ops.reduce import onnx_total
from mcuprof.ops.rows import window_rows

_COLUMN_BUFFER = 2048 - 3  # MLAS_POOL_REDUCTION_BUFFER_STACK − MLAS_POOL_REDUCTION_BUFFER_PADDING


def pool_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """As a convolution with as many output as input channels. ONNX keeps the stored shape (ceil mode, dilation)."""
    if op.text("layout", "NHWC") == "NCHW":
        return (graph.output(op).shape,)
    n, h, w, c = spatial(inputs[0], False)
    padding = op.text("padding", "VALID")
    out_h = window_size(h, op.integer("filter_h", 1), op.integer("stride_h", 1), 1, padding)
    out_w = window_size(w, op.integer("filter_w", 1), op.integer("stride_w", 1), 1, padding)
    return ((n, out_h, out_w, c),)


def prepare_pool(graph: Graph, op: Op) -> Kernel:
    """x [N, H, W, C] or [N, W, C] (ONNX: channels second); the quantization of the output is the input's."""
    w = window(graph, op)
    x, out = graph.input(op, 0), graph.output(op)
    nchw = op.text("layout", "NHWC") == "NCHW"
    if op.source.endswith("QLinearAveragePool") and not is_float(x) and _covers(w):
        return _global_average(w, x, out)
    if not is_float(x) and (op.kind == "L2_POOL_2D" or (is_onnx(graph) and op.kind == "AVERAGE_POOL_2D")):
        raise NoKernel(f"type {x.dtype.value} under this runtime")
    kind = storage(x.dtype)
    lowest: Any = 0
    if op.kind == "MAX_POOL_2D":
        lowest = -np.inf if is_float(x) else np.iinfo(kind).min
    height, width = framed(w)
    every_cell = bool(op.integer("count_include_pad"))
    cells = np.array(w.kernel_h * w.kernel_w) if every_cell else _valid_cells(w)

    add = _float_sums(graph, op, w)

    def pool(frame: Array) -> Array:
        if op.kind == "MAX_POOL_2D":
            return _separable(w, frame, np.maximum)
        if not is_float(x):
            total = _separable(w, frame.astype(np.int32), np.add)
            return truncating_divide(total + np.sign(total) * (cells // 2), cells)
        if op.kind == "L2_POOL_2D":
            return np.sqrt(_in_order(w, frame * frame) / cells.astype(np.float32))
        return add(w, frame) / cells.astype(np.float32)

    def clamp(values: Array) -> Array:
        return clamp_float(op, values) if is_float(x) else np.clip(values, *fused_range(op, out)).astype(kind)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        image = inputs[0]
        if nchw:
            image = np.moveaxis(image, 1, -1)
        image = image.reshape(w.batch, w.in_h, w.in_w, w.in_c)
        frame = np.full((w.batch, height, width, w.in_c), lowest, kind)
        frame[:, w.pad_top : w.pad_top + w.in_h, w.pad_left : w.pad_left + w.in_w] = image
        result = clamp(pool(frame))
        return (np.ascontiguousarray(np.moveaxis(result, -1, 1) if nchw else result).reshape(out.shape),)

    return run


def _valid_cells(w: Window) -> Array:
    """How many cells of each window lie inside the input: [out_h, out_w, 1]."""
    top, bottom = taps_inside(w.in_h, w.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top)
    left, right = taps_inside(w.in_w, w.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left)
    return np.maximum((bottom - top)[:, None, None] * (right - left)[:, None], 1)


def _separable(w: Window, frame: Array, combine: np.ufunc) -> Array:
    """Rows first, then columns: for integers and maxima, which any order serves, and where it is MLAS's order."""
    rows = [_every(frame, k * w.dilation_h, w.out_h, w.stride_h, 1) for k in range(w.kernel_h)]
    tall = _reduce(combine, rows)
    return _reduce(combine, [_every(tall, k * w.dilation_w, w.out_w, w.stride_w, 2) for k in range(w.kernel_w)])


def _in_order(w: Window, frame: Array) -> Array:
    """The sum of each window cell by cell, row by row, as the reference loop adds floats."""
    rows = [_every(frame, k * w.dilation_h, w.out_h, w.stride_h, 1) for k in range(w.kernel_h)]
    return _reduce(
        np.add, [_every(r, k * w.dilation_w, w.out_w, w.stride_w, 2) for r in rows for k in range(w.kernel_w)]
    )


def _float_sums(graph: Graph, op: Op, w: Window) -> Callable[[Window, Array], Array]:
    """In which order the model's runtime adds the floats of a window.

    ONNX Runtime leaves AveragePool to MLAS below opset 19, when it gained dilations and another kernel. `MlasPool` has
    one kernel for windows of the whole input, and one that first adds columns, in a buffer, for strides up to 2.
    """
    if not is_onnx(graph) or op.source != "AveragePool" or op.version >= 19:
        return _in_order
    if _covers(w) and (w.stride_h, w.stride_w) == (1, 1):
        return lambda w, frame: mlas.sum_of_all(frame.transpose(0, 3, 1, 2).reshape(w.batch, w.in_c, -1))[:, None, None]
    if w.stride_w <= 2 and w.in_w <= _COLUMN_BUFFER:
        return lambda w, frame: _separable(w, frame, np.add)
    return _in_order


def _covers(w: Window) -> bool:
    """True when the only window is the whole input."""
    return (w.kernel_h, w.kernel_w) == (w.in_h, w.in_w) and not w.padded


def _global_average(w: Window, x: Tensor, out: Tensor) -> Kernel:
    """ONNX Runtime's QLinearAveragePool hands such a window to QLinearGlobalAveragePool, which sums integers."""
    finish = onnx_total(x, out, w.kernel_h * w.kernel_w, True)
    return lambda inputs: (
        finish(inputs[0].reshape(w.batch, w.in_c, -1).sum(axis=-1, dtype=np.int64)).reshape(out.shape),
    )


def _every(frame: Array, start: int, count: int, stride: int, axis: int) -> Array:
    index = [slice(None)] * frame.ndim
    index[axis] = slice(start, start + (count - 1) * stride + 1, stride)
    return frame[tuple(index)]


def _reduce(combine: np.ufunc, parts: list[Array]) -> Array:
    total = parts[0].copy()
    for part in parts[1:]:
        combine(total, part, out=total)
    return total


OPERATORS = tuple(
    Operator(kind, pool_shapes, kernel=prepare_pool, rows=window_rows)
    for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
)
