"""Which integers each part of each tensor can hold: interval analysis of the quantized graph, rounding included.

Inputs may hold every value of their type. From there bounds follow the operators:

- operators that do not decrease in any operand (copies, pools, sums, requantization) are run by their own kernel on the
  lower and on the upper bounds, so that rounding is the runtime's;
- 8-bit functions of one operand are looked up for all 256 values; products are taken at the corners;
- convolutions and dense layers bound Σ w·x per output channel with the sign of each weight, separately for every set of
  taps that padding leaves inside the input, and pass the bounds through requantization, which is monotone because
  multipliers are not negative.

What is not known to be monotone, wider than 16 bits, float or stateful is left unbounded (type's range, or absent), so
an interval never excludes a value that can occur. Correlation between operands is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcuprof.graph import ABSENT, Graph, Op, Shape, Tensor
from mcuprof.ops import OPERATORS
from mcuprof.ops.activation import POINTWISE
from mcuprof.ops.convolve import conv_multiplier
from mcuprof.ops.dense import dense_multiplier
from mcuprof.ops.floating import is_float_island
from mcuprof.ops.geometry import Window, window
from mcuprof.ops.kernel import Array, Kernel, NoKernel, is_onnx, limits, rescaler, storage, target, zero_of

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """`low` ≤ value ≤ `high`, inclusive. Both have the tensor's rank; an axis of length 1 holds for the whole axis."""

    low: Integers
    high: Integers

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Where the value is the same for every input of the network."""
        return self.low == self.high

    def along(self, axis: int) -> tuple[Integers, Integers]:
        """Bounds per index of `axis` over all positions; length 1 where they are alike."""
        others = tuple(other for other in range(self.low.ndim) if other != axis % self.low.ndim)
        return self.low.min(axis=others), self.high.max(axis=others)

    def spread(self, shape: Shape, dtype: np.dtype[Any]) -> tuple[Array, Array]:
        """Both bounds for every element of a tensor of this shape."""
        low, high = np.broadcast_to(self.low, shape), np.broadcast_to(self.high, shape)
        return np.ascontiguousarray(low, dtype), np.ascontiguousarray(high, dtype)


Intervals = Mapping[int, Interval]
Rule = Callable[[Graph, Op, Intervals], tuple[Interval, ...]]


# Positions that are worth following one by one; the largest activation of an MCU model has about a million.
MAX_ELEMENTS = 1 << 23


class Unbounded(Exception):
    """No bound follows from this operator."""


def intervals(graph: Graph) -> dict[int, Interval]:
    """Bounds of all integer tensors of up to 16 bits that the main graph reads or computes, by tensor index."""
    found: dict[int, Interval] = {}
    for index in {*graph.inputs, *(index for op in graph.ops for index in op.inputs if index != ABSENT)}:
        if index not in graph.producer and bounded(graph.tensors[index]):
            found[index] = _given(graph.tensors[index])
    for op in graph.ops:
        outputs = [index for index in op.outputs if index != ABSENT]
        derived = _derived(graph, op, found)
        for position, index in enumerate(outputs):
            if bounded(graph.tensors[index]):
                found[index] = derived[position] if derived else full_range(graph.tensors[index])
    return found


def bounded(tensor: Tensor) -> bool:
    """True for the types that the analysis follows."""
    return tensor.dtype.is_integer and tensor.dtype.bits <= 16


def _given(tensor: Tensor) -> Interval:
    if not tensor.is_constant:
        return full_range(tensor)
    values = tensor.array().astype(np.int64)
    return Interval(values, values)


def full_range(tensor: Tensor) -> Interval:
    """Everything that the tensor's type can hold."""
    low, high = limits(tensor.dtype)
    shape = (1,) * len(tensor.shape)
    return Interval(np.full(shape, low, np.int64), np.full(shape, high, np.int64))


def _derived(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...] | None:
    """Bounds of all outputs; None where the operator's rule gives none."""
    rule = _RULES.get(op.kind)
    if rule is None or not all(index != ABSENT and bounded(graph.tensors[index]) for index in op.outputs):
        return None
    try:
        results = rule(graph, op, known)
    except (Unbounded, NoKernel, LookupError, ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None
    if len(results) != len(op.outputs) or any((found.low > found.high).any() for found in results):
        return None  # an overflow in the bounds' own arithmetic, as hostile scales can bring about
    return tuple(_compact(found) for found in results)


def _compact(interval: Interval) -> Interval:
    """The same bounds, with length 1 for every axis along which they do not change."""
    low, high = interval.low, interval.high
    for axis in range(low.ndim):
        if low.shape[axis] > 1:
            first = (slice(None),) * axis + (slice(0, 1),)
            if (low == low[first]).all() and (high == high[first]).all():
                low, high = low[first], high[first]
    return Interval(low, high)


# Operators whose own kernel gives the bounds ------------------------------------------------------------------------


def _kernel(graph: Graph, op: Op) -> Kernel:
    operator = OPERATORS[op.kind]
    if operator.kernel is None:
        raise Unbounded
    return operator.kernel(graph, op)


def _operand(graph: Graph, index: int, known: Intervals, *, whole: bool) -> tuple[Any, Any]:
    """Lower and upper bound of an operand as a kernel takes it; of `whole` shape or as compact as they are."""
    if index == ABSENT:
        return None, None
    tensor = graph.tensors[index]
    if tensor.is_constant:
        return tensor.array(), tensor.array()
    if index not in known:
        raise Unbounded
    shape = tensor.shape if whole else known[index].low.shape
    return known[index].spread(shape, storage(tensor.dtype))


def _small(graph: Graph, op: Op) -> None:
    """Raises Unbounded when spreading the bounds over all elements would take too much memory."""
    if sum(graph.tensors[index].elements for index in (*op.inputs, *op.outputs) if index != ABSENT) > MAX_ELEMENTS:
        raise Unbounded


def _run(kernel: Kernel, low: Sequence[Any], high: Sequence[Any]) -> tuple[Interval, ...]:
    pairs = zip(kernel(low), kernel(high), strict=True)
    return tuple(Interval(below.astype(np.int64), above.astype(np.int64)) for below, above in pairs)


def _whole(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...]:
    """Never decreasing in any operand, each element from wherever: run on all elements."""
    _small(graph, op)
    operands = [_operand(graph, index, known, whole=True) for index in op.inputs]
    return _run(_kernel(graph, op), [low for low, _ in operands], [high for _, high in operands])


def _elementwise(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...]:
    """Never decreasing in any operand, element by element: compact bounds broadcast as the operands do."""
    operands = [_operand(graph, index, known, whole=False) for index in op.inputs]
    return _run(_kernel(graph, op), [low for low, _ in operands], [high for _, high in operands])


def _difference(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...]:
    """SUB: the lower bound takes the second operand's upper one."""
    (a, b), (c, d) = (_operand(graph, index, known, whole=False) for index in op.inputs)
    return _run(_kernel(graph, op), (a, d), (b, c))


def _corners(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...]:
    """MUL: a product's extremes over a rectangle lie at its corners, and requantization keeps their order."""
    (a, b), (c, d) = (_operand(graph, index, known, whole=False) for index in op.inputs)
    kernel = _kernel(graph, op)
    found = np.stack([kernel(corner)[0].astype(np.int64) for corner in ((a, c), (a, d), (b, c), (b, d))])
    return (Interval(found.min(axis=0), found.max(axis=0)),)


def _table(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...]:
    """Any function of one 8-bit operand: the extremes of its values over the interval."""
    tensor = graph.input(op)
    if tensor.dtype.bits != 8:
        raise Unbounded
    low, high = limits(tensor.dtype)
    (values,) = _kernel(graph, op)((np.arange(low, high + 1, dtype=storage(tensor.dtype)),))
    interval = known[op.inputs[0]]
    pairs, inverse = np.unique(
        np.stack([interval.low.reshape(-1), interval.high.reshape(-1)]), axis=1, return_inverse=True
    )
    parts = [values[below - low : above - low + 1].astype(np.int64) for below, above in pairs.T]
    inverse = inverse.reshape(interval.low.shape)
    return (Interval(np.array([p.min() for p in parts])[inverse], np.array([p.max() for p in parts])[inverse]),)


# Products with weights ----------------------------------------------------------------------------------------------


def _convolution(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...]:
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


def _dense(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...]:
    """FULLY_CONNECTED, one bound per output over all rows."""
    x, weights, out = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    _small(graph, op)
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
    sets = rows[:, None, :, None] & columns[None, :, None, :]
    return sets.reshape(-1, w.kernel_h * w.kernel_w).astype(np.float64)


def _inside(size: int, outputs: int, kernel: int, stride: int, dilation: int, before: int) -> NDArray[np.bool_]:
    cells = np.arange(outputs)[:, None] * stride - before + np.arange(kernel) * dilation
    distinct: NDArray[np.bool_] = np.unique((cells >= 0) & (cells < size), axis=0)
    return distinct


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
        # This runtime sums in floats, which may round the other way; a sum that does not vary still gives one result.
        varies = low < high
        below, above = np.maximum(below - varies, to.low), np.minimum(above + varies, to.high)
    return Interval(below, above)


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _convolution),
    "FULLY_CONNECTED": _dense,
    **dict.fromkeys(("ADD", "MAXIMUM", "MINIMUM", "QUANTIZE"), _elementwise),
    "SUB": _difference,
    "MUL": _corners,
    **dict.fromkeys((kind for kind in POINTWISE if kind not in ("PRELU", "CAST")), _table),
    **dict.fromkeys(
        (
            *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2", "MIRROR_PAD", "SLICE", "STRIDED_SLICE"),
            *("TILE", "GATHER", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"),
            *("REVERSE_V2", "BROADCAST_TO", "CONCATENATION", "PACK", "UNPACK", "SPLIT", "SPLIT_V"),
            *("MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "RESIZE_NEAREST_NEIGHBOR"),
        ),
        _whole,
    ),
}
