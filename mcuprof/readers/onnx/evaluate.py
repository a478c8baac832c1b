"""Evaluates operators on constants: shape arithmetic, and weights that are reshaped, cast or quantized.

Semantics: the ONNX operator specification. Operators that can make their output larger than their input are evaluated
only up to `MAX_GROWN` elements, so that a small hostile file cannot ask for much work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from mcuprof.graph import DType
from mcuprof.readers.onnx.net import Net, Node
from mcuprof.readers.onnx.tensors import DTYPES

MAX_GROWN = 1 << 16
MAX_TOTAL = 1 << 22

Arrays = Sequence[np.ndarray | None]


class Unfoldable(Exception):
    """This operator stays as it is."""


def evaluate(net: Net, node: Node) -> list[np.ndarray] | None:
    """The outputs of `node`, or None when an input is not constant, or the operator is not evaluated here."""
    rule = _RULES.get(node.op) if not node.domain else None
    if rule is None:
        return None
    arrays = [_widened(net, name) if node.op == "Cast" else net.constant(name) for name in node.inputs]
    if any(array is None and name for array, name in zip(arrays, node.inputs, strict=True)):
        return None
    if not net.may_spend(sum(array.size for array in arrays if array is not None)):
        return None
    try:
        with np.errstate(all="ignore"):
            return rule(node, arrays)
    except (Unfoldable, ValueError, TypeError, LookupError, OverflowError, ZeroDivisionError, AttributeError):
        return None  # malformed, or beyond NumPy: shape inference will say what is wrong with it


def _widened(net: Net, name: str) -> np.ndarray | None:
    """As `net.constant`; bfloat16 as float32, which is exact."""
    tensor = net.values.get(name)
    if tensor is None or tensor.data is None or tensor.dtype is not DType.BFLOAT16:
        return net.constant(name)
    try:
        return tensor.array()
    except ValueError:
        return None


def _bounded(shape: Sequence[int], limit: int = MAX_GROWN) -> None:
    if prod(int(size) for size in shape) > limit:
        raise Unfoldable


def _given(arrays: Arrays, index: int) -> np.ndarray | None:
    return arrays[index] if index < len(arrays) else None


def _need(arrays: Arrays, index: int = 0) -> np.ndarray:
    array = _given(arrays, index)
    if array is None:
        raise Unfoldable
    return array


def _list(node: Node, arrays: Arrays, index: int, attribute: str) -> list[int] | None:
    """A list of ints that newer opsets give as input and older ones as attribute."""
    array = _given(arrays, index)
    if array is not None:
        return [int(item) for item in array.reshape(-1)]
    return list(node.integers(attribute)) if attribute in node.attributes else None


def _elementwise(function: Callable[..., np.ndarray]) -> Callable[[Node, Arrays], list[np.ndarray]]:
    def rule(node: Node, arrays: Arrays) -> list[np.ndarray]:
        operands = [_need(arrays, index) for index in range(len(arrays))]
        shape = np.broadcast_shapes(*(operand.shape for operand in operands))
        _bounded(shape, max(MAX_GROWN, *(operand.size for operand in operands)))
        result = np.asarray(function(*operands))
        same = all(operand.dtype == operands[0].dtype for operand in operands)
        keep = same and result.dtype != np.bool_
        return [result.astype(operands[0].dtype) if keep else result]

    return rule


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind not in "iu":
        return np.asarray(a / b)
    if not np.all(b):
        raise Unfoldable
    return np.asarray(np.trunc(np.divide(a, b, dtype=np.float64)) if np.abs(a).max(initial=0) < 2**53 else a // b)


def _cast(node: Node, arrays: Arrays) -> list[np.ndarray]:
    dtype = DTYPES[node.integer("to")]
    if dtype.bits < 8 or dtype is DType.BFLOAT16:
        raise Unfoldable
    return [_need(arrays).astype(dtype.value)]


def _gather(node: Node, arrays: Arrays) -> list[np.ndarray]:
    data, indices = _need(arrays), _need(arrays, 1)
    axis = node.integer("axis")
    _bounded((*indices.shape, data.size // max(1, data.shape[axis])), max(MAX_GROWN, data.size))
    return [np.take(data, indices, axis)]


def _concat(node: Node, arrays: Arrays) -> list[np.ndarray]:
    parts = [_need(arrays, index) for index in range(len(arrays))]
    _bounded((sum(part.size for part in parts),), MAX_TOTAL)
    return [np.concatenate(parts, node.integer("axis"))]


def _unsqueeze(node: Node, arrays: Arrays) -> list[np.ndarray]:
    axes = _list(node, arrays, 1, "axes")
    return [np.expand_dims(_need(arrays), tuple(axes or ()))]


def _squeeze(node: Node, arrays: Arrays) -> list[np.ndarray]:
    axes = _list(node, arrays, 1, "axes")
    return [np.squeeze(_need(arrays), None if axes is None else tuple(axes))]


def _reshape(node: Node, arrays: Arrays) -> list[np.ndarray]:
    data, shape = _need(arrays), _list(node, arrays, 1, "shape") or []
    if not node.integer("allowzero"):
        shape = [data.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return [data.reshape(shape)]


def _flatten(node: Node, arrays: Arrays) -> list[np.ndarray]:
    data, axis = _need(arrays), node.integer("axis", 1)
    return [data.reshape(prod(data.shape[:axis]), -1)]


def _transpose(node: Node, arrays: Arrays) -> list[np.ndarray]:
    return [np.transpose(_need(arrays), node.integers("perm") or None)]


def _slice(node: Node, arrays: Arrays) -> list[np.ndarray]:
    data = _need(arrays)
    starts, ends = _list(node, arrays, 1, "starts") or [], _list(node, arrays, 2, "ends") or []
    axes = _list(node, arrays, 3, "axes") or list(range(len(starts)))
    steps = _list(node, arrays, 4, "steps") or [1] * len(starts)
    index = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        open_end = step < 0 and end < -data.shape[axis]
        index[axis] = slice(start, None if open_end else end, step)
    return [data[tuple(index)]]


def _split(node: Node, arrays: Arrays) -> list[np.ndarray]:
    data, axis = _need(arrays), node.integer("axis")
    lengths = _list(node, arrays, 1, "split")
    if lengths is None:
        part = -(-data.shape[axis] // len(node.outputs))
        lengths = [part] * len(node.outputs)
    return list(np.split(data, np.cumsum(lengths)[:-1], axis))


def _constant_of_shape(node: Node, arrays: Arrays) -> list[np.ndarray]:
    shape = tuple(_need(arrays).tolist())
    _bounded(shape)
    value = node.attributes.get("value")
    if value is None:
        return [np.zeros(shape, np.float32)]
    from onnx import numpy_helper

    if DTYPES.get(value.data_type) is DType.BFLOAT16:
        raise Unfoldable
    return [np.full(shape, numpy_helper.to_array(value).reshape(()))]


def _range(node: Node, arrays: Arrays) -> list[np.ndarray]:
    start, limit, delta = (_need(arrays, index).reshape(()).item() for index in range(3))
    _bounded((abs(int((limit - start) / delta)) + 1,))
    return [np.arange(start, limit, delta, dtype=_need(arrays).dtype)]


def _expand(node: Node, arrays: Arrays) -> list[np.ndarray]:
    shape = np.broadcast_shapes(_need(arrays).shape, tuple(_need(arrays, 1).tolist()))
    _bounded(shape)
    return [np.broadcast_to(_need(arrays), shape)]


def _tile(node: Node, arrays: Arrays) -> list[np.ndarray]:
    data, repeats = _need(arrays), tuple(_need(arrays, 1).tolist())
    _bounded(tuple(size * times for size, times in zip(data.shape, repeats, strict=True)))
    return [np.tile(data, repeats)]


def _reduction(function: Callable[..., np.ndarray]) -> Callable[[Node, Arrays], list[np.ndarray]]:
    def rule(node: Node, arrays: Arrays) -> list[np.ndarray]:
        data, axes = _need(arrays), _list(node, arrays, 1, "axes")
        if not axes and node.integer("noop_with_empty_axes"):
            return [data]
        result = function(data, axis=tuple(axes) if axes else None, keepdims=bool(node.integer("keepdims", 1)))
        return [np.asarray(result).astype(data.dtype)]

    return rule


def _quantize(node: Node, arrays: Arrays) -> list[np.ndarray]:
    """Rounds half to even and saturates; 8- and 16-bit types, per tensor or per axis (QuantizeLinear)."""
    data, scale = _need(arrays).astype(np.float32), _need(arrays, 1).astype(np.float32)
    zero = _given(arrays, 2)
    target = zero.dtype if zero is not None else np.dtype(np.uint8)
    if target.kind not in "iu" or (node.dtype is not None and node.dtype.bits < 8) or node.integer("block_size"):
        raise Unfoldable
    offset = np.zeros((), np.int64) if zero is None else zero.astype(np.int64)
    if scale.size > 1:
        shape = [1] * data.ndim
        shape[node.integer("axis", 1)] = scale.size
        scale, offset = scale.reshape(shape), offset.reshape(shape)
    else:
        scale, offset = scale.reshape(()), offset.reshape(())
    limits = np.iinfo(target)
    return [np.clip(np.rint(data / scale) + offset, limits.min, limits.max).astype(target)]


_RULES: Mapping[str, Callable[[Node, Arrays], list[np.ndarray]]] = {
    "Identity": lambda node, arrays: [_need(arrays)],
    "Cast": _cast,
    "Gather": _gather,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Slice": _slice,
    "Split": _split,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "Expand": _expand,
    "Tile": _tile,
    "QuantizeLinear": _quantize,
    "Div": _elementwise(_divide),
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "ReduceMax": _reduction(np.max),
    "ReduceMin": _reduction(np.min),
    "Where": _elementwise(np.where),
    **{
        name: _elementwise(function)
        for name, function in {
            "Add": np.add,
            "Sub": np.subtract,
            "Mul": np.multiply,
            "Pow": np.power,
            "Mod": np.mod,
            "Neg": np.negative,
            "Abs": np.abs,
            "Sqrt": np.sqrt,
            "Floor": np.floor,
            "Ceil": np.ceil,
            "Equal": np.equal,
            "Greater": np.greater,
            "Less": np.less,
            "Not": np.logical_not,
            "And": np.logical_and,
            "Or": np.logical_or,
        }.items()
    },
    "Max": _elementwise(lambda *items: np.asarray(np.max(np.broadcast_arrays(*items), axis=0))),
    "Min": _elementwise(lambda *items: np.asarray(np.min(np.broadcast_arrays(*items), axis=0))),
}
