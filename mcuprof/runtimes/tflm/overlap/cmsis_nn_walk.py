"""In which order CMSIS-NN's convolutions and max pools read and write, worked out pixel by pixel from their loops.

For every input byte: how many output elements are written before it is read for the last time. Independent of the
closed formulas in `cmsis_nn`; kernels not told apart here are no slower to read than the reference ones.
"""

from __future__ import annotations

import numpy as np

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops.geometry import Window, window
from mcuprof.ops.kernel import Array
from mcuprof.ops.traversal import Order, Walk, reference_walk
from mcuprof.runtimes.tflm.overlap.cmsis_nn import (
    MVE_CHANNEL_BLOCK,
    MVE_PIXEL_BLOCK,
    PIXEL_PAIR,
    Variant,
    convolution_path,
)


def walk(variant: Variant) -> Walk:
    """The orders of this instruction-set variant."""

    def order(graph: Graph, op: Op, position: int) -> Order:
        plain = reference_walk(graph, op, position)
        if position != 0 or graph.input(op).dtype not in (DType.INT8, DType.INT16):
            return plain
        if op.kind == "CONV_2D":
            view = window(graph, op)
            by_pixel, block = _convolution(view, graph.input(op).dtype, graph.input(op, 1).dtype, variant)
            # The reference's order tells which pixel is the last to read a byte; what none reads counts as the first's.
            return Order(by_pixel[np.maximum(plain.written, 0) // view.out_c], block)
        if op.kind == "MAX_POOL_2D" and variant != "mve":  # copies of a pixel may store before they load
            return Order(plain.written + window(graph, op).out_c, 1)
        if op.kind == "DEPTHWISE_CONV_2D" and variant == "mve":
            return _depthwise(window(graph, op), graph.input(op).dtype, plain)
        return plain

    return order


def _depthwise(view: Window, dtype: DType, plain: Order) -> Order:
    """MVE: patches of four pixels, then their outputs; int8 takes the channels in slices and starts over for each."""
    if view.in_c != view.out_c:
        return plain
    if dtype is DType.INT8 and view.in_c > MVE_CHANNEL_BLOCK:
        return Order(np.full_like(plain.written, view.out_pixels * view.out_c))
    pixel = plain.written // view.out_c
    return Order(pixel // MVE_PIXEL_BLOCK * MVE_PIXEL_BLOCK * view.out_c, MVE_PIXEL_BLOCK)


def _convolution(view: Window, dtype: DType, weights: DType, variant: Variant) -> tuple[Array, int]:
    """[pixels]: output elements written before pixel p is read for the last time; after how many pixels it writes."""
    pixels = np.arange(view.out_pixels)
    block = MVE_PIXEL_BLOCK if variant == "mve" else PIXEL_PAIR
    path = convolution_path(view, dtype, variant)
    if path == "im2col":
        return pixels // block * block * view.out_c, block
    if path == "1xn":
        return np.minimum(pixels + block, view.out_pixels) * view.out_c - 1, 1
    rowwise = (view.stride_h, view.stride_w) != (1, 1)
    line = view.out_w if rowwise else view.out_pixels
    start = pixels // line * line
    if variant == "mve" and not (rowwise and weights is DType.INT4):
        end = start + np.minimum((pixels - start) // block * block + block, line)
        return end * view.out_c - 1, 1
    return (start + line) * view.out_c - 1, 1
