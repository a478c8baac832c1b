"""Kernels of the operators that only move bytes: stored values are copied, whatever their type and quantization.

Inputs that say where to (axes, begins, paddings) are read when the operator runs, so they may be computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mcuprof.graph import Graph, Op
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel, Prepare, storage, zero_of


def _integers(array: Array) -> list[int]:
    return [int(value) for value in array.reshape(-1)]


def _view(graph: Graph, op: Op) -> Kernel:
    """RESHAPE, SQUEEZE, EXPAND_DIMS and ONNX's Identity: the same elements in the output's shape."""
    shape = graph.output(op).shape
    return lambda inputs: (inputs[0].reshape(shape),)


def _transpose(graph: Graph, op: Op) -> Kernel:
    fixed = op.integers("perm")
    return lambda inputs: (np.ascontiguousarray(inputs[0].transpose(fixed or _integers(inputs[1]))),)


def _pad(graph: Graph, op: Op) -> Kernel:
    """PAD fills with the output's zero point (0.0 for floats), PADV2 with input 2."""
    zero: Any = 0 if graph.output(op).dtype.is_float else zero_of(graph.output(op))

    def run(inputs: Inputs) -> tuple[Array, ...]:
        filler = inputs[2].reshape(-1)[0] if len(inputs) > 2 and inputs[2] is not None else zero
        return (np.pad(inputs[0], inputs[1].reshape(-1, 2).astype(int), constant_values=filler),)

    return run


def _mirror_pad(graph: Graph, op: Op) -> Kernel:
    """Mode 0 leaves the border out of the mirror image, mode 1 repeats it."""
    if op.integer("mode"):
        return lambda inputs: (np.pad(inputs[0], inputs[1].reshape(-1, 2).astype(int), mode="symmetric"),)
    return lambda inputs: (np.pad(inputs[0], inputs[1].reshape(-1, 2).astype(int), mode="reflect"),)


def _slice(graph: Graph, op: Op) -> Kernel:
    """A size of −1 means to the end."""

    def run(inputs: Inputs) -> tuple[Array, ...]:
        begins, sizes = _integers(inputs[1]), _integers(inputs[2])
        index = tuple(
            slice(begin, None if size < 0 else begin + size) for begin, size in zip(begins, sizes, strict=True)
        )
        return (np.ascontiguousarray(inputs[0][index]),)

    return run


def _strided_slice(graph: Graph, op: Op) -> Kernel:
    """TFLite masks as NumPy slices. A shrunk axis is one index; a begin that is masked or too far below is 0 there."""
    if op.integer("ellipsis_mask") or op.integer("new_axis_mask"):
        raise NoKernel("an ellipsis or new-axis mask")
    shape = graph.output(op).shape
    no_begin, no_end, shrunk = op.integer("begin_mask"), op.integer("end_mask"), op.integer("shrink_axis_mask")

    def run(inputs: Inputs) -> tuple[Array, ...]:
        index: list[int | slice] = []
        bounds = zip(*(_integers(array) for array in inputs[1:4]), strict=True)
        for axis, (begin, end, stride) in enumerate(bounds):
            if shrunk >> axis & 1:
                first = begin + inputs[0].shape[axis] if begin < 0 else begin
                index.append(0 if no_begin >> axis & 1 else max(first, 0))
            else:
                index.append(
                    slice(None if no_begin >> axis & 1 else begin, None if no_end >> axis & 1 else end, stride)
                )
        return (np.ascontiguousarray(inputs[0][tuple(index)]).reshape(shape),)

    return run


def _tile(graph: Graph, op: Op) -> Kernel:
    return lambda inputs: (np.tile(inputs[0], _integers(inputs[1])),)


def _gather(graph: Graph, op: Op) -> Kernel:
    """The indices' shape takes the place of `axis`; the first `batch_dims` axes of both are shared."""
    axis, batch = op.integer("axis"), op.integer("batch_dims")

    def gather(data: Array, indices: Array, axis: int, batch: int) -> Array:
        if batch:
            return np.stack([gather(d, i, axis - 1, batch - 1) for d, i in zip(data, indices, strict=True)])
        if indices.size and not (-data.shape[axis] <= indices.min() and indices.max() < data.shape[axis]):
            raise NoKernel("an index outside its axis")
        return np.take(data, indices.astype(np.int64), axis=axis)

    return lambda inputs: (gather(inputs[0], inputs[1], axis % inputs[0].ndim, batch),)


def _gather_nd(graph: Graph, op: Op) -> Kernel:
    return lambda inputs: (np.ascontiguousarray(inputs[0][tuple(np.moveaxis(inputs[1], -1, 0))]),)


def _scatter_nd(graph: Graph, op: Op) -> Kernel:
    """Inputs: indices, updates, shape. Values for the same place add up."""

    def run(inputs: Inputs) -> tuple[Array, ...]:
        result = np.zeros(_integers(inputs[2]), inputs[1].dtype)
        np.add.at(result, tuple(np.moveaxis(inputs[0], -1, 0)), inputs[1])
        return (result,)

    return run


def _depth_to_space(graph: Graph, op: Op) -> Kernel:
    """NHWC: channel (r·block + c)·depth + d goes to row r, column c of its block."""
    block = op.integer("block_size", 1)
    if op.text("layout", "NHWC") == "NCHW":
        raise NoKernel("layout NCHW")

    def run(inputs: Inputs) -> tuple[Array, ...]:
        n, h, w, c = inputs[0].shape
        parts = inputs[0].reshape(n, h, w, block, block, c // block**2)
        return (parts.transpose(0, 1, 3, 2, 4, 5).reshape(n, h * block, w * block, -1),)

    return run


def _space_to_depth(graph: Graph, op: Op) -> Kernel:
    """The inverse of DEPTH_TO_SPACE."""
    block = op.integer("block_size", 1)
    if op.text("layout", "NHWC") == "NCHW":
        raise NoKernel("layout NCHW")

    def run(inputs: Inputs) -> tuple[Array, ...]:
        n, h, w, c = inputs[0].shape
        parts = inputs[0].reshape(n, h // block, block, w // block, block, c)
        return (parts.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // block, w // block, -1),)

    return run


def _space_to_batch(graph: Graph, op: Op) -> Kernel:
    """Inputs: x, block, paddings. Pads with the zero point, then block offsets become the outer batch axis."""
    zero: Any = 0 if graph.output(op).dtype.is_float else zero_of(graph.output(op))

    def run(inputs: Inputs) -> tuple[Array, ...]:
        blocks, pads = _integers(inputs[1]), inputs[2].reshape(-1, 2).astype(int).tolist()
        rank = len(blocks)
        rest = inputs[0].ndim - 1 - rank
        x = np.pad(inputs[0], [(0, 0), *map(tuple, pads), *[(0, 0)] * rest], constant_values=zero)
        split = [length for size, block in zip(x.shape[1:], blocks, strict=False) for length in (size // block, block)]
        x = x.reshape(x.shape[0], *split, *x.shape[1 + rank :])
        order = [*range(2, 2 * rank + 1, 2), 0, *range(1, 2 * rank, 2), *range(2 * rank + 1, x.ndim)]
        return (x.transpose(order).reshape(graph.output(op).shape),)

    return run


def _batch_to_space(graph: Graph, op: Op) -> Kernel:
    """Inputs: x, block, crops. The inverse of SPACE_TO_BATCH_ND, then the crops fall off."""

    def run(inputs: Inputs) -> tuple[Array, ...]:
        blocks, crops = _integers(inputs[1]), inputs[2].reshape(-1, 2).astype(int)
        x, rank = inputs[0], len(blocks)
        batch = x.shape[0] // int(np.prod(blocks))
        parts = x.reshape(*blocks, batch, *x.shape[1:])
        order = [rank, *(axis for i in range(rank) for axis in (rank + 1 + i, i)), *range(2 * rank + 1, parts.ndim)]
        sizes = [size * block for size, block in zip(x.shape[1:], blocks, strict=False)]
        whole = parts.transpose(order).reshape(batch, *sizes, *x.shape[1 + rank :])
        cut = (slice(int(a), size - int(b)) for (a, b), size in zip(crops, sizes, strict=True))
        inside = (slice(None), *cut)
        return (np.ascontiguousarray(whole[inside]),)

    return run


def _reverse(graph: Graph, op: Op) -> Kernel:
    return lambda inputs: (np.ascontiguousarray(np.flip(inputs[0], tuple(_integers(inputs[1])))),)


def _fill(graph: Graph, op: Op) -> Kernel:
    return lambda inputs: (np.full(_integers(inputs[0]), inputs[1].reshape(-1)[0]),)


def _one_hot(graph: Graph, op: Op) -> Kernel:
    """Inputs: indices, depth, on, off; a new axis at `axis`."""
    axis = op.integer("axis", -1)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        depth, on, off = (array.reshape(-1)[0] for array in inputs[1:4])
        hit = inputs[0][..., None] == np.arange(int(depth))
        return (np.ascontiguousarray(np.moveaxis(np.where(hit, on, off).astype(inputs[2].dtype), -1, axis)),)

    return run


def _update_slice(graph: Graph, op: Op) -> Kernel:
    """DYNAMIC_UPDATE_SLICE: inputs x, update, begins; begins are moved so that the update stays inside."""

    def run(inputs: Inputs) -> tuple[Array, ...]:
        result = inputs[0].copy()
        places = zip(_integers(inputs[2]), result.shape, inputs[1].shape, strict=True)
        begins = [min(max(begin, 0), size - part) for begin, size, part in places]
        region = tuple(slice(begin, begin + part) for begin, part in zip(begins, inputs[1].shape, strict=True))
        result[region] = inputs[1]
        return (result,)

    return run


def _constant(function: Callable[[Inputs], Any]) -> Prepare:
    def prepare(graph: Graph, op: Op) -> Kernel:
        dtype = storage(graph.output(op).dtype)
        return lambda inputs: (np.asarray(function(inputs), dtype),)

    return prepare


KERNELS: Mapping[str, Prepare] = {
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "Identity"), _view),
    "TRANSPOSE": _transpose,
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _mirror_pad,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "TILE": _tile,
    "GATHER": _gather,
    "GATHER_ND": _gather_nd,
    "SCATTER_ND": _scatter_nd,
    "DEPTH_TO_SPACE": _depth_to_space,
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "REVERSE_V2": _reverse,
    "FILL": _fill,
    "ONE_HOT": _one_hot,
    "DYNAMIC_UPDATE_SLICE": _update_slice,
    "BROADCAST_TO": _constant(lambda inputs: np.broadcast_to(inputs[0], _integers(inputs[1])).copy()),
    "BROADCAST_ARGS": _constant(lambda inputs: np.broadcast_shapes(*(tuple(shape.tolist()) for shape in inputs))),
    "SHAPE": _constant(lambda inputs: inputs[0].shape),
    "RANK": _constant(lambda inputs: inputs[0].ndim),
    "RANGE": _constant(lambda inputs: np.arange(*(array.reshape(-1)[0] for array in inputs))),
    "EMBEDDING_LOOKUP": _constant(lambda inputs: inputs[1][inputs[0]]),
}
