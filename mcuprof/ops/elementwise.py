"""Operators that treat every element alike: arithmetic and comparison with broadcasting, selection.

Kernels: TFLM `add_common.cc`, `sub_common.cc`, `mul_common.cc`, `squared_difference.cc`, `comparisons.cc` and TFLite
`reference/add.h` …; ONNX Runtime QLinearAdd, QLinearMul.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcuprof.graph import DType, Graph, Op, Tensor
from mcuprof.ops.division import prepare_division
from mcuprof.ops.kernel import (
    Array,
    Inputs,
    Kernel,
    NoKernel,
    Prepare,
    Rescaler,
    Target,
    clamp_float,
    clamp_plain,
    divisor_of,
    is_float,
    is_onnx,
    limits,
    plain_target,
    rescaler,
    scale_of,
    span,
    storage,
    target,
    zero_of,
)
from mcuprof.ops.operator import Operator, broadcast
from mcuprof.ops.rows import pointwise_rows
from mcuprof.ops.totals import prepare_add_n


def _is_plain(tensor: Tensor) -> bool:
    """Integers without quantization: 32- and 64-bit values, computed as they stand."""
    return tensor.dtype.bits >= 32 and not tensor.dtype.is_float


def prepare_sum(graph: Graph, op: Op) -> Kernel:
    """ADD and SUB: both operands brought to a common scale, added with 20 (int16: 15) more bits, requantized."""
    x, y, out = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    combine = np.add if op.kind == "ADD" else np.subtract
    if is_float(x):
        return lambda inputs: (clamp_float(op, combine(inputs[0], inputs[1])),)
    if _is_plain(x):
        # TFLM's ADD alone ignores the fused activation.
        return lambda inputs: (combine(*inputs[:2]) if op.kind == "ADD" else clamp_plain(op, combine(*inputs[:2])),)
    if is_onnx(graph):
        return _onnx_sum(op, x, y, out, combine)
    shift = 15 if out.dtype is DType.INT16 else 20
    common, first, second = _common_scale(x, y, out, shift)
    wide = Target(0, -(2**31), 2**31 - 1, np.dtype(np.int32))
    to_common = [
        _table_or_call(tensor, rescaler(graph, part, wide, float(span(tensor) << shift)), shift)
        for tensor, part in ((x, first), (y, second))
    ]
    finish = rescaler(graph, common, target(op, out), 2.0 ** (shift + limits(out.dtype)[1].bit_length() + 2))

    def run(inputs: Inputs) -> tuple[Array, ...]:
        return (finish(combine(to_common[0](inputs[0]), to_common[1](inputs[1]))),)

    return run


def _common_scale(x: Tensor, y: Tensor, out: Tensor, shift: int) -> tuple[np.float64, np.float64, np.float64]:
    """(common → output, x → common, y → common) with common = 2·max(scales) / 2^shift, all in double."""
    a, b, c = np.float64(scale_of(x)), np.float64(scale_of(y)), np.float64(divisor_of(out))
    twice = 2.0 * max(a, b)
    return twice / ((1 << shift) * c), a / twice, b / twice


def _table_or_call(tensor: Tensor, rescale: Rescaler, shift: int) -> Rescaler:
    """(q − zero) << shift, rescaled: looked up for 8-bit operands, where a table has 256 entries."""
    zero = zero_of(tensor)
    if tensor.dtype.bits == 8:
        return by_table(tensor, lambda q: rescale((q - zero) << shift))
    return lambda q: rescale((q.astype(np.int64) - zero) << shift)


def by_table(tensor: Tensor, function: Callable[[Array], Array]) -> Rescaler:
    """`function` of all values an 8-bit tensor can hold, worked out once; returns the lookup."""
    low, high = limits(tensor.dtype)
    table = function(np.arange(low, high + 1, dtype=np.int64))
    # Seen as unsigned, negative values index the upper half: the table is turned to match.
    table = np.roll(table, low)
    return lambda q: table.take(q.view(np.uint8))


def _onnx_sum(op: Op, x: Tensor, y: Tensor, out: Tensor, combine: np.ufunc) -> Kernel:
    """A QDQ island as it stands: dequantize both, add, quantize, in float32. QLinearAdd: see `_qlinear_add`."""
    a, b, c = scale_of(x), scale_of(y), divisor_of(out)
    zero_x, zero_y, to = zero_of(x), zero_of(y), target(op, out)
    if op.source.endswith("QLinearAdd"):
        return _qlinear_add(a / c, b / c, zero_x, zero_y, to)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        real_x = (inputs[0].astype(np.int32) - zero_x).astype(np.float32) * a
        real_y = (inputs[1].astype(np.int32) - zero_y).astype(np.float32) * b
        q = np.rint(combine(real_x, real_y) / c) + np.float32(to.zero)
        return (np.clip(q, to.low, to.high).astype(to.dtype),)

    return run


def _qlinear_add(a: np.float32, b: np.float32, zero_x: int, zero_y: int, to: Target) -> Kernel:
    """ONNX Runtime (MLAS qladd): a·x + (b·y + fixed), all zero points in `fixed`, two fused multiply-adds, rint.

    float64 holds each product exactly, so that rounding the sum to float32 is the fused operation.
    """
    fixed = np.float64(np.float32(to.zero) - (a * np.float32(zero_x) + b * np.float32(zero_y)))
    wide_a, wide_b = np.float64(a), np.float64(b)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        inner = (inputs[1].astype(np.float64) * wide_b + fixed).astype(np.float32)
        q = np.rint((inputs[0].astype(np.float64) * wide_a + inner).astype(np.float32))
        return (np.clip(q, to.low, to.high).astype(to.dtype),)

    return run


def prepare_mul(graph: Graph, op: Op) -> Kernel:
    """MUL: (x − zx)·(y − zy) requantized by sx·sy/so."""
    x, y, out = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    if is_float(x):
        return lambda inputs: (clamp_float(op, inputs[0] * inputs[1]),)
    if _is_plain(x):
        return lambda inputs: (clamp_plain(op, inputs[0] * inputs[1]),)
    a, b, c = scale_of(x), scale_of(y), divisor_of(out)
    multiplier = a * b / c if is_onnx(graph) else np.float64(a) * np.float64(b) / np.float64(c)
    rescale = rescaler(graph, multiplier, target(op, out), float(span(x)) * span(y))
    zero_x, zero_y = np.int32(zero_of(x)), np.int32(zero_of(y))

    def run(inputs: Inputs) -> tuple[Array, ...]:
        return (rescale((inputs[0].astype(np.int32) - zero_x) * (inputs[1].astype(np.int32) - zero_y)),)

    return run


def prepare_squared_difference(graph: Graph, op: Op) -> Kernel:
    """SQUARED_DIFFERENCE: as SUB with 7 more bits (int16: none), then squared and requantized."""
    x, y, out = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    if is_float(x) or _is_plain(x):
        return lambda inputs: ((inputs[0] - inputs[1]) * (inputs[0] - inputs[1]),)
    if is_onnx(graph) or x.dtype not in (DType.INT8, DType.INT16):
        raise NoKernel(f"type {x.dtype.value}")
    shift = 7 if x.dtype is DType.INT8 else 0
    a, b, c = np.float64(scale_of(x)), np.float64(scale_of(y)), np.float64(divisor_of(out))
    twice = 2.0 * max(a, b)
    wide = Target(0, -(2**31), 2**31 - 1, np.dtype(np.int32))
    sides = [
        _table_or_call(tensor, rescaler(graph, scale / twice, wide, float(span(tensor) << shift)), shift)
        for tensor, scale in ((x, a), (y, b))
    ]
    finish = rescaler(graph, twice * twice / ((1 << (2 * shift)) * c), plain_target(out), 2.0**32)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        difference = sides[0](inputs[0]) - sides[1](inputs[1])
        return (finish(difference * difference),)

    return run


def _on_values(function: Callable[..., Array]) -> Prepare:
    """A function of the stored values: both operands and the output share one quantization, or have none."""

    def prepare(graph: Graph, op: Op) -> Kernel:
        dtype = storage(graph.output(op).dtype)
        return lambda inputs: (np.asarray(function(*inputs), dtype),)

    return prepare


def _on_floats(function: Callable[..., Array]) -> Prepare:
    """A function of float32 or plain integers; quantized operands have no kernel."""

    def prepare(graph: Graph, op: Op) -> Kernel:
        x = graph.input(op, 0)
        if not (is_float(x) or _is_plain(x)):
            raise NoKernel(f"type {x.dtype.value}")
        dtype = storage(graph.output(op).dtype)

        def run(inputs: Inputs) -> tuple[Array, ...]:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.asarray(function(*inputs), dtype)
            return (clamp_float(op, values) if is_float(x) else values,)

        return run

    return prepare


def _compare(function: Callable[..., Array]) -> Prepare:
    """Comparison of stored values; TFLM's of int8 bring both operands to real numbers, 8 bits up.

    Even where both have one quantization: below a scale of 1/256 neighbours become equal.
    """

    def prepare(graph: Graph, op: Op) -> Kernel:
        x, y = graph.input(op, 0), graph.input(op, 1)
        same = x.quantization is None or y.quantization is None or (is_onnx(graph) and x.quantization == y.quantization)
        if x.dtype is DType.INT16 and not is_onnx(graph):
            raise NoKernel("type int16, which the runtime compares with multipliers that it never sets")
        if same:
            return lambda inputs: (function(inputs[0], inputs[1]),)
        wide = Target(0, -(2**31), 2**31 - 1, np.dtype(np.int32))
        sides = [
            _table_or_call(tensor, rescaler(graph, np.float64(scale_of(tensor)), wide, float(span(tensor) << 8)), 8)
            for tensor in (x, y)
        ]
        return lambda inputs: (function(sides[0](inputs[0]), sides[1](inputs[1])),)

    return prepare


def _select(condition: Array, x: Array, y: Array) -> Array:
    """SELECT: a condition of rank 1 chooses whole rows, as in the operator's definition."""
    if condition.ndim == 1 < x.ndim:
        condition = condition.reshape(-1, *(1,) * (x.ndim - 1))
    return np.where(condition, x, y)


def _where(condition: Array, x: Array, y: Array) -> Array:
    return np.where(condition, x, y)


_KERNELS: dict[str, Prepare] = {
    "ADD": prepare_sum,
    "SUB": prepare_sum,
    "MUL": prepare_mul,
    "SQUARED_DIFFERENCE": prepare_squared_difference,
    "MAXIMUM": _on_values(lambda a, b: np.maximum(a, b)),
    "MINIMUM": _on_values(lambda a, b: np.minimum(a, b)),
    "DIV": prepare_division,
    "POW": _on_floats(lambda a, b: np.power(a, b)),
    "FLOOR_DIV": _on_floats(lambda a, b: np.floor_divide(a, b)),
    "FLOOR_MOD": _on_floats(lambda a, b: np.mod(a, b)),
    "ATAN2": _on_floats(lambda a, b: np.arctan2(a, b)),
    "ADD_N": prepare_add_n,
    "LOGICAL_AND": _on_values(lambda a, b: np.logical_and(a, b)),
    "LOGICAL_OR": _on_values(lambda a, b: np.logical_or(a, b)),
    "BITWISE_XOR": _on_values(lambda a, b: np.bitwise_xor(a, b)),
    "EQUAL": _compare(lambda a, b: np.equal(a, b)),
    "NOT_EQUAL": _compare(lambda a, b: np.not_equal(a, b)),
    "LESS": _compare(lambda a, b: np.less(a, b)),
    "LESS_EQUAL": _compare(lambda a, b: np.less_equal(a, b)),
    "GREATER": _compare(lambda a, b: np.greater(a, b)),
    "GREATER_EQUAL": _compare(lambda a, b: np.greater_equal(a, b)),
    "SELECT": _on_values(_select),
    "SELECT_V2": _on_values(_where),
}

ELEMENTWISE = tuple(_KERNELS)
OPERATORS = tuple(Operator(kind, broadcast, kernel=prepare, rows=pointwise_rows) for kind, prepare in _KERNELS.items())
