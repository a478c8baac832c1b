"""Bounds of products with constant weights: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED.

Σ w·x is bounded per output channel with the sign of each weight, separately for every set of taps that padding leaves
inside the input. All sums are exact in float64 (below 2^53).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcuprof.graph import Graph, Op
from mcuprof.ops.convolve import conv_multiplier
from mcuprof.ops.dense import dense_multiplier
from mcuprof.ops.floating import is_float_island
from mcuprof.ops.geometry import Window, taps_inside, window
from mcuprof.ops.interval import MAX_ELEMENTS, Interval, Intervals, Unbounded, small
from mcuprof.ops.kernel import Array, is_onnx, rescaler, target, zero_of


def convolution(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...]:
    """CONV_2D and DEPTHWISE_CONV_2D, one bound per output channel over all positions."""
    w = window(graph, op)
    nchw = op.text("layout", "NHWC") == "NCHW"
    x, out = graph.input(op, 0), graph.output(op)
    axis = 1 if nchw else len(x.shape) - 1
    low, high = _centered(known[op.inputs[0]], axis, w.in_c, zero_of(x))
    weights = filters(graph, op, w)
    if op.kind == "DEPTHWISE_CONV_2D":
        spread = w.out_c // w.in_c
        low, high = np.repeat(low, spread), np.repeat(high, spread)
        below, above = np.minimum(weights * low, weights * high), np.maximum(weights * low, weights * high)
    else:
        parts = [
            _products(part, lo, hi)
            for part, lo, hi in zip(
                np.split(weights, w.groups, axis=-1), np.split(low, w.groups), np.split(high, w.groups), strict=True
            )
        ]
        below, above = (np.concatenate(side, axis=-1) for side in zip(*parts, strict=True))
    inside = _tap_sets(w)
    multiplier = conv_multiplier(graph, x, graph.input(op, 1), out)
    found = _requantized(graph, op, inside @ below, inside @ above, multiplier)
    shape = [1] * len(out.shape)
    shape[axis] = -1
    return (Interval(found.low.min(axis=0).reshape(shape), found.high.max(axis=0).reshape(shape)),)


def dense(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...]:
    """FULLY_CONNECTED, one bound per output over all rows."""
    x, weights, out = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    small(graph, op)
    if op.integer("weights_format"):
        raise Unbounded  # shuffled for one kernel of one runtime
    matrix = filters(graph, op)
    low, high = known[op.inputs[0]].spread(x.shape, np.dtype(np.int64))
    depth = matrix.shape[-2]
    low, high = (side.reshape(-1, depth) - zero_of(x) for side in (low, high))
    below, above = _products(matrix, low.min(axis=0), high.max(axis=0))
    found = _requantized(graph, op, below, above, dense_multiplier(graph, x, weights, out))
    shape = (*(1,) * (len(out.shape) - 1), -1)
    return (Interval(found.low.reshape(shape), found.high.reshape(shape)),)


def filters(graph: Graph, op: Op, w: Window | None = None) -> Array:
    """Constant weights less their zero points, float64 and exact: [taps, Cin / groups, Cout], depthwise [taps, Cout].

    Taps are in row-major order of the kernel; a dense layer has one. Raises Unbounded when the weights are computed.
    """
    tensor = graph.input(op, 1)
    if not tensor.is_constant or tensor.dtype.is_float:
        raise Unbounded
    weights = tensor.array().astype(np.float64)
    zeros = np.array(tensor.quantization.zero_point if tensor.quantization else (0,), np.float64)
    if w is None:
        matrix = weights if op.integer("transposed") else weights.reshape(-1, weights.shape[-1]).T
        return (matrix - (zeros if zeros.any() else 0.0))[None]
    nchw = op.text("layout", "NHWC") == "NCHW"
    depthwise = op.kind == "DEPTHWISE_CONV_2D"
    # To [rows, columns, Cin / groups, Cout] from OHWI, ONNX's OIHW, or TFLite's depthwise [1, rows, columns, C].
    if weights.ndim == 3:
        weights = weights[:, :, None] if nchw else weights[:, None]
    order = (2, 3, 1, 0) if nchw else (1, 2, 0, 3) if depthwise else (1, 2, 3, 0)
    weights = weights.transpose(order) - (zeros if zeros.any() else 0.0)
    taps = weights.reshape(-1, *weights.shape[2:])
    return taps[:, 0] if depthwise else taps


def _centered(interval: Interval, axis: int, channels: int, zero: int) -> tuple[Array, Array]:
    """Float64 bounds of x − zero point per channel."""
    low, high = interval.along(axis)
    return np.broadcast_to(low - zero, channels).astype(float), np.broadcast_to(high - zero, channels).astype(float)


def _products(weights: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Bounds of Σ over the input channels, per tap and output channel; exact in float64 below 2^53."""
    positive, negative = np.maximum(weights, 0.0), np.minimum(weights, 0.0)
    return low @ positive + high @ negative, high @ positive + low @ negative


def _tap_sets(w: Window) -> Array:
    """One row per set of taps that some position finds inside the input: float64 [sets, taps] of 0 and 1."""
    rows = _inside(w.in_h, w.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top)
    columns = _inside(w.in_w, w.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left)
    if rows.size * columns.size > MAX_ELEMENTS:
        raise Unbounded
    sets = rows[:, None, :, None] & columns[None, :, None, :]
    return sets.reshape(-1, w.kernel_h * w.kernel_w).astype(np.float64)


def _inside(size: int, outputs: int, kernel: int, stride: int, dilation: int, before: int) -> NDArray[np.bool_]:
    """The distinct sets of taps along one axis: [sets, kernel]."""
    if outputs > MAX_ELEMENTS:
        raise Unbounded
    first, end = taps_inside(size, outputs, kernel, stride, dilation, before)
    first, end = np.divmod(np.unique(first * (kernel + 1) + end), kernel + 1)
    taps = np.arange(kernel)
    inside: NDArray[np.bool_] = (taps >= first[:, None]) & (taps < end[:, None])
    return inside


def _requantized(graph: Graph, op: Op, low: Array, high: Array, multiplier: Array) -> Interval:
    """Bounds of the accumulator [sets, Cout], bias added, through requantization.

    They hold for the runtime's double rounding and for kernels that round once, halves either way. Only for 8-bit
    operands, whose accumulators are 32 bits wide in every runtime.
    """
    x, out = graph.input(op, 0), graph.output(op)
    if x.dtype.bits != 8 or (np.asarray(multiplier) < 0).any():
        raise Unbounded
    bias = graph.tensor(op, 2)
    if bias is not None:
        low, high = low + bias.array().reshape(-1), high + bias.array().reshape(-1)
    reach = float(max(np.abs(low).max(initial=0), np.abs(high).max(initial=0)))
    if reach * max(1.0, 2.0 * float(np.max(multiplier, initial=0.0))) >= 2.0**31:
        raise Unbounded  # some step of the requantization might leave 32 bits
    to = target(op, out)
    rescale = rescaler(graph, multiplier, to, reach)
    below, above = rescale(low).astype(np.int64), rescale(high).astype(np.int64)
    below = np.minimum(below, np.clip(np.ceil(low * multiplier - 0.5) + to.zero, to.low, to.high).astype(np.int64))
    above = np.maximum(above, np.clip(np.floor(high * multiplier + 0.5) + to.zero, to.low, to.high).astype(np.int64))
    if is_onnx(graph) and is_float_island(op):
        # This runtime sums in floats, which may round the other way; a sum that does not vary still gives one result,
        # and so does one that lies outside of the output's range by more than that.
        varies = low < high
        lowest, highest = np.ceil(low * multiplier - 0.5) + to.zero - 1, np.floor(high * multiplier + 0.5) + to.zero + 1
        below = np.where(varies, np.clip(lowest, to.low, to.high), below).astype(np.int64)
        above = np.where(varies, np.clip(highest, to.low, to.high), above).astype(np.int64)
    return Interval(below, above)
