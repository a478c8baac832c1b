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
from typing import Any

import numpy as np

from mcuprof.graph import ABSENT, Graph, Op
from mcuprof.ops import OPERATORS
from mcuprof.ops.activation import POINTWISE
from mcuprof.ops.interval import Interval, Intervals, Unbounded, bounded, full_range, small
from mcuprof.ops.interval_products import convolution, dense
from mcuprof.ops.kernel import Kernel, NoKernel, limits, storage

Rule = Callable[[Graph, Op, Intervals], tuple[Interval, ...]]


def intervals(graph: Graph) -> dict[int, Interval]:
    """Bounds of all integer tensors of up to 16 bits that enter or are computed in the main graph, by tensor index."""
    given = {*graph.inputs, *(index for op in graph.ops for index in op.inputs if index != ABSENT)} - {*graph.producer}
    found = {
        index: full_range(graph.tensors[index])
        for index in given
        if bounded(graph.tensors[index]) and not graph.tensors[index].is_constant
    }
    for op in graph.ops:
        outputs = [index for index in op.outputs if index != ABSENT]
        derived = _derived(graph, op, found)
        for position, index in enumerate(outputs):
            if bounded(graph.tensors[index]):
                found[index] = derived[position] if derived else full_range(graph.tensors[index])
    return found


def _derived(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...] | None:
    """Bounds of all outputs; None where the operator's rule gives none."""
    rule = _RULES.get(op.kind)
    if rule is None or not all(index != ABSENT and bounded(graph.tensors[index]) for index in op.outputs):
        return None
    try:
        with np.errstate(all="ignore"):  # hostile scales; what comes of them is checked below
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


def _run(kernel: Kernel, low: Sequence[Any], high: Sequence[Any]) -> tuple[Interval, ...]:
    pairs = zip(kernel(low), kernel(high), strict=True)
    return tuple(Interval(below.astype(np.int64), above.astype(np.int64)) for below, above in pairs)


def _whole(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...]:
    """Never decreasing in any operand, each element from wherever: run on all elements."""
    small(graph, op)
    operands = [_operand(graph, index, known, whole=True) for index in op.inputs]
    return _run(_kernel(graph, op), [low for low, _ in operands], [high for _, high in operands])


def _moved(graph: Graph, op: Op, known: Intervals) -> tuple[Interval, ...]:
    """As `_whole` with one operand of data; the others say where to or along what, and are constant."""
    data = 1 if op.kind == "SPLIT" else 0
    others = [index for position, index in enumerate(op.inputs) if position != data and index != ABSENT]
    if not all(graph.tensors[index].is_constant for index in others):
        raise Unbounded
    return _whole(graph, op, known)


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


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), convolution),
    "FULLY_CONNECTED": dense,
    **dict.fromkeys(("ADD", "MAXIMUM", "MINIMUM", "QUANTIZE"), _elementwise),
    "SUB": _difference,
    "MUL": _corners,
    **dict.fromkeys((kind for kind in POINTWISE if kind not in ("PRELU", "CAST")), _table),
    **dict.fromkeys(("CONCATENATION", "PACK"), _whole),
    **dict.fromkeys(
        (
            *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2", "MIRROR_PAD", "SLICE", "STRIDED_SLICE"),
            *("TILE", "GATHER", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"),
            *("REVERSE_V2", "BROADCAST_TO", "UNPACK", "SPLIT", "SPLIT_V"),
            *("MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "RESIZE_NEAREST_NEIGHBOR"),
        ),
        _moved,
    ),
}
