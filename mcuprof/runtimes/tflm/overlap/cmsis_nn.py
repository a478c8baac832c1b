"""How far outputs may overlap dying inputs under CMSIS-NN, GCC builds, in three instruction-set variants.

Derived from the kernels' loops and traced and executed on 1,500 random and 179 chosen shapes per variant (CMSIS-NN
4ab83cc under emulation; `overlap_distances.csv` of the project's data). In the formulas p counts output pixels in
raster order, a(p) is the lowest input byte that pixel p reads, OC and IC are bytes of an output and an input pixel.

Other depthwise kernels and average pools read a pixel before they write it, as the reference does, or earlier: the
reference's distance is taken. The rest differ:

- Convolutions that copy patches first (im2col: 3×3 and the like) write pixels by twos, MVE by fours, after all of their
  patches are copied: max over p of ⌊p/2⌋·2·OC − a(p), never above the reference's.
- 1×1 convolutions run directly on the input. Plain C and DSP go through all pixels once per pair of output channels, so
  nothing may be shared; with stride, that holds within each row. MVE takes blocks of four pixels.
- MVE depthwise kernels with one output per channel copy patches of four pixels too, but int8 takes 124 channels at a
  time and comes back to the start for the next ones: nothing may be shared above that. (A distance that is a multiple
  of the channels would do, but a larger one would not.)
- Max pools copy with the C library's `memcpy`, whose order is not defined: copies must be disjoint, one pixel more.
- Other compilers choose other 1×1 code. Dilation, groups, batches, broadcasts and 16-bit pools were not examined.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops.geometry import Window
from mcuprof.runtimes.tflm.overlap.base import Distance, as_reference, one_row, plain_window, same_shapes

Variant = Literal["plain", "dsp", "mve"]
MVE_CHANNEL_BLOCK = 124  # CH_IN_BLOCK_MVE, arm_nnsupportfunctions.h
PIXEL_PAIR, MVE_PIXEL_BLOCK = 2, 4


def rules(variant: Variant) -> dict[str, Distance]:
    """The rules of all kernels that CMSIS-NN has and that were examined, by operator kind."""

    def convolution(graph: Graph, op: Op, position: int) -> int | None:
        return _convolution(graph, op, variant) if position == 0 else None

    def depthwise(graph: Graph, op: Op, position: int) -> int | None:
        return _depthwise(graph, op, variant) if position == 0 else None

    def max_pool(graph: Graph, op: Op, position: int) -> int | None:
        view, known = plain_window(graph, op, (DType.INT8,)), as_reference(graph, op, position)
        if view is None or known is None:
            return None
        return known if variant == "mve" else known + view.out_c

    return {
        "CONV_2D": convolution,
        "DEPTHWISE_CONV_2D": depthwise,
        "FULLY_CONNECTED": _dense,
        "AVERAGE_POOL_2D": _average_pool,
        "MAX_POOL_2D": max_pool,
        "ADD": _elementwise,
        "MUL": _elementwise,
        "SOFTMAX": _softmax,
    }


def _convolution(graph: Graph, op: Op, variant: Variant) -> int | None:
    view = plain_window(graph, op, (DType.INT8, DType.INT16))
    if view is None:
        return None
    path = convolution_path(view, graph.input(op).dtype, variant)
    if path == "1x1":
        return _pointwise(view, variant, packed=graph.input(op, 1).dtype is DType.INT4)
    if path == "1xn":
        # arm_convolve_1_x_n_s8 gives wrong results for strides above 1 even without any sharing.
        return max(_one_row_blocks(view), _patches(view, 1, MVE_PIXEL_BLOCK)) if view.stride_w == 1 else None
    width = 2 if graph.input(op).dtype is DType.INT16 else 1
    return _patches(view, width, MVE_PIXEL_BLOCK if variant == "mve" else PIXEL_PAIR)


def convolution_path(view: Window, dtype: DType, variant: Variant) -> Literal["1x1", "1xn", "im2col"]:
    """Which kernel arm_convolve_wrapper_s8 and its like call (no dilation, no groups)."""
    if dtype is DType.INT8 and (view.kernel_h, view.kernel_w) == (1, 1) and not view.padded:
        return "1x1"
    one_row = view.in_h == 1 and view.kernel_h == 1 and view.stride_w * view.in_c % 4 == 0
    return "1xn" if dtype is DType.INT8 and variant == "mve" and one_row else "im2col"


def _patches(view: Window, width: int, block: int) -> int:
    """Elements of `width` bytes; the patches of `block` pixels are copied before the first of them is written."""
    rows, columns = np.arange(view.out_h), np.arange(view.out_w)
    top = np.maximum(0, rows * view.stride_h - view.pad_top) * view.in_w
    left = np.maximum(0, columns * view.stride_w - view.pad_left)
    read = (top[:, None] + left).reshape(-1) * view.in_c
    written = np.arange(view.out_pixels) // block * block * view.out_c
    return int((written - read).max()) * width


def _pointwise(view: Window, variant: Variant, packed: bool) -> int | None:
    """Bytes for an unpadded 1×1 kernel on int8; `packed` weights have 4 bits."""
    strided = (view.stride_h, view.stride_w) != (1, 1)
    if packed and (strided or variant != "mve"):
        return None
    if not strided:
        return max(_blocks(view, view.out_h * view.out_w, 0, 0)) if variant == "mve" else None
    row, line = view.out_w * view.out_c, view.stride_h * view.in_w * view.in_c
    if variant == "mve":
        return max(max(_blocks(view, view.out_w, y * row, y * line)) for y in range(view.out_h))
    spared = 1 if view.out_c % 2 else 2  # the last channels of a row's last pixel are written after all reading
    return max((y + 1) * row - spared - y * line for y in range(view.out_h))


def _blocks(view: Window, pixels: int, written: int, read: int) -> Iterator[int]:
    """MVE's matrix product: the four pixels of a block are read again for each channel but written one by one.

    Before the last channel is read, all of the block is written but its last byte. Pixels that fill no block count as
    one that ends with them.
    """
    for start in range(0, pixels, MVE_PIXEL_BLOCK):
        end = min(start + MVE_PIXEL_BLOCK, pixels)
        yield written + end * view.out_c - 1 - (read + start * view.stride_w * view.in_c)


def _one_row_blocks(view: Window) -> int:
    """MVE's kernel for one row: blocks as in `_blocks`, but they may begin at any pixel, as padding shifts them."""
    pixels = view.out_w
    return max(
        min(p + MVE_PIXEL_BLOCK, pixels) * view.out_c - 1 - max(0, p - view.pad_left) * view.in_c for p in range(pixels)
    )


def _depthwise(graph: Graph, op: Op, variant: Variant) -> int | None:
    view = plain_window(graph, op, (DType.INT8, DType.INT16))
    if view is None:
        return None
    if variant != "mve" or view.in_c != view.out_c:
        return as_reference(graph, op, 0)
    if graph.input(op).dtype is DType.INT16:
        return _patches(view, 2, MVE_PIXEL_BLOCK)
    return None if view.in_c > MVE_CHANNEL_BLOCK else _patches(view, 1, MVE_PIXEL_BLOCK)


def _dense(graph: Graph, op: Op, position: int) -> int | None:
    """Blocks of outputs, each reading the whole vector: at most all but the last are written before."""
    return as_reference(graph, op, position) if one_row(graph, op) else None


def _average_pool(graph: Graph, op: Op, position: int) -> int | None:
    return as_reference(graph, op, position) if plain_window(graph, op, (DType.INT8,)) else None


def _elementwise(graph: Graph, op: Op, position: int) -> int | None:
    return as_reference(graph, op, position) if same_shapes(graph, op) else None


def _softmax(graph: Graph, op: Op, position: int) -> int | None:
    both = {graph.input(op).dtype, graph.output(op).dtype}
    return as_reference(graph, op, position) if both == {DType.INT8} else None
