"""Resizing: RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR. Input 1 is the new [height, width].

Kernels: TFLite `reference/resize_bilinear.h` (integers in Q10 weights, no requantization), `resize_nearest_neighbor.h`.
"""

from __future__ import annotations

import numpy as np

from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel, is_float, is_onnx, storage
from mcuprof.ops.numerics import round_away, truncating_divide
from mcuprof.ops.operator import InputShapes, Operator, as_stored, constant_integers
from mcuprof.ops.rows import enlarged_rows


def resize_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """NHWC: height and width from input 1; NCHW (ONNX) as stored."""
    if op.text("layout", "NHWC") == "NCHW":
        return as_stored(graph, op, inputs)
    height, width = constant_integers(graph, op, 1)
    n, _, _, c = inputs[0]
    return ((n, height, width, c),)


def prepare_nearest(graph: Graph, op: Op) -> Kernel:
    """`GetNearestNeighbor`, in float32, along both axes."""
    nchw, rows, columns = _geometry(graph, op)
    corners, centers = bool(op.integer("align_corners")), bool(op.integer("half_pixel_centers"))

    def sources(size: int, count: int) -> Array:
        scale = np.float32(size - 1) / np.float32(count - 1) if corners and count > 1 else np.float32(size / count)
        position = (np.arange(count, dtype=np.float32) + np.float32(0.5 if centers else 0.0)) * scale
        return np.clip(round_away(position) if corners else np.floor(position), 0, size - 1).astype(np.int64)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        image = np.moveaxis(inputs[0], 1, -1) if nchw else inputs[0]
        _, height, width, _ = image.shape
        result = image[:, sources(height, rows)][:, :, sources(width, columns)]
        return (np.ascontiguousarray(np.moveaxis(result, -1, 1) if nchw else result),)

    return run


def prepare_bilinear(graph: Graph, op: Op) -> Kernel:
    """`ResizeBilinear` for floats, `ResizeBilinearInteger` for integers."""
    if is_onnx(graph) and not is_float(graph.input(op, 0)):
        raise NoKernel("an integer kernel under ONNX Runtime")
    nchw, rows, columns = _geometry(graph, op)
    x = graph.input(op, 0)
    corners, centers = bool(op.integer("align_corners")), bool(op.integer("half_pixel_centers"))
    if is_onnx(graph):
        return _onnx_bilinear(nchw, rows, columns, corners, centers)
    between = _between_floats if is_float(x) else _between_integers
    dtype = storage(x.dtype)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        image = np.moveaxis(inputs[0], 1, -1) if nchw else inputs[0]
        _, height, width, _ = image.shape
        low_y, high_y, dy, one = between(height, rows, corners, centers)
        low_x, high_x, dx, _ = between(width, columns, corners, centers)
        real = image if is_float(x) else image.astype(np.int64)
        upper, lower = real[:, low_y], real[:, high_y]
        dy, dx = dy[:, None, None], dx[:, None]
        total = upper[:, :, low_x] * (one - dy) * (one - dx) + lower[:, :, low_x] * dy * (one - dx)
        total = total + upper[:, :, high_x] * (one - dy) * dx + lower[:, :, high_x] * dy * dx
        if not is_float(x):
            total = truncating_divide(total + np.where(total > 0, 1 << 19, -(1 << 19)), 1 << 20).astype(dtype)
        return (np.ascontiguousarray(np.moveaxis(total, -1, 1) if nchw else total),)

    return run


def _onnx_bilinear(nchw: bool, rows: int, columns: int, corners: bool, centers: bool) -> Kernel:
    """ONNX Runtime's `UpsampleBilinear`: four float32 products of the distances, added from the upper left on."""

    def run(inputs: Inputs) -> tuple[Array, ...]:
        image = inputs[0] if nchw else np.moveaxis(inputs[0], -1, 1)
        y1, y2, dy1, dy2 = _onnx_neighbours(image.shape[2], rows, corners, centers)
        x1, x2, dx1, dx2 = _onnx_neighbours(image.shape[3], columns, corners, centers)
        dy1, dy2, upper, lower = dy1[:, None], dy2[:, None], image[:, :, y1], image[:, :, y2]
        total = dx2 * dy2 * upper[..., x1] + dx1 * dy2 * upper[..., x2]
        total = total + dx2 * dy1 * lower[..., x1] + dx1 * dy1 * lower[..., x2]
        return (np.ascontiguousarray(total if nchw else np.moveaxis(total, 1, -1)),)

    return run


def _onnx_neighbours(size: int, count: int, corners: bool, centers: bool) -> tuple[Array, Array, Array, Array]:
    """(lower, upper, distance from lower, distance from upper) per output index (`SetupUpsampleBilinear`)."""
    index, half = np.arange(count, dtype=np.float32), np.float32(0.5)
    scale = np.float32(count) / np.float32(size)
    if scale == 1:
        position = index
    elif corners:
        position = index * np.float32(size - 1) / np.float32(max(count - 1, 1))
    else:
        position = (index + half) / scale - half if centers else index / scale
    position = np.clip(position, np.float32(0), np.float32(size - 1))
    low = position.astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    from_low, from_high = np.abs(position - low.astype(np.float32)), np.abs(position - high.astype(np.float32))
    edge = low == high
    return low, high, np.where(edge, half, from_low), np.where(edge, half, from_high)


def _geometry(graph: Graph, op: Op) -> tuple[bool, int, int]:
    """(channels second, output height, output width)."""
    nchw, shape = op.text("layout", "NHWC") == "NCHW", graph.output(op).shape
    if len(shape) != 4:
        raise NoKernel(f"{len(shape)} dimensions")
    return (True, shape[2], shape[3]) if nchw else (False, shape[1], shape[2])


def _between_floats(size: int, count: int, corners: bool, centers: bool) -> tuple[Array, Array, Array, np.float32]:
    """(lower, upper, distance from lower, 1) per output index, float32."""
    scale = np.float32(size) / np.float32(count)
    if corners and count > 1:
        scale = np.float32(size - 1) / np.float32(count - 1)
    half = np.float32(0.5)
    index = np.arange(count, dtype=np.float32)
    position = (index + half) * scale - half if centers else index * scale
    low = np.maximum(np.floor(position), 0)
    high = np.minimum(np.ceil(position), size - 1)
    return low.astype(np.int64), high.astype(np.int64), position - low, np.float32(1)


def _between_integers(size: int, count: int, corners: bool, centers: bool) -> tuple[Array, Array, Array, int]:
    """(lower, upper, distance from lower in Q10, 1 in Q10) per output index."""
    one = 1 << 10
    scale = (one * size + count // 2) // count
    if corners and count > 1:
        scale = (one * (size - 1) + (count - 1) // 2) // (count - 1)
    index = np.arange(count, dtype=np.int64)
    position = index * scale + scale // 2 - one // 2 if centers else index * scale
    low = np.maximum(truncating_divide(position, one), 0)
    high = np.minimum(truncating_divide(position + one - 1, one), size - 1)
    return low, high, position - low * one, one


OPERATORS = (
    Operator("RESIZE_BILINEAR", resize_shapes, kernel=prepare_bilinear),
    Operator("RESIZE_NEAREST_NEIGHBOR", resize_shapes, kernel=prepare_nearest, rows=enlarged_rows),
)
