"""In which order the reference kernels read and write, byte by byte: what an execution inside a memory plan must obey.

The steps of a kernel are its output elements in ascending order: for element e it reads what it needs, then writes e.
`last_reads` says for every byte of an input at which step it is read for the last time. It is worked out by walking the
kernel's windows, independently of the closed formulas by which planners choose distances. Source: the loop nests of
TFLite's `reference_ops` and `reference_integer_ops`. Kernels that are not listed read everything until their last step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mcuprof.graph import Graph, Op
from mcuprof.ops.activation import POINTWISE
from mcuprof.ops.elementwise import ELEMENTWISE
from mcuprof.ops.geometry import window
from mcuprof.ops.kernel import Array


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """How a kernel walks one input: int64 [bytes of the input], output elements written before a byte's last read.

    Pixels (vectors of the last axis) are written `block` at a time, after all that they need is read.
    """

    written: Array
    block: int = 1


Walk = Callable[[Graph, Op, int], Order]
"""(graph, operator, input position) → the order in which the operator's kernel walks that input."""
_Steps = Callable[[Graph, Op, int], Array]


def reference_walk(graph: Graph, op: Op, position: int) -> Order:
    """The reference kernels' order."""
    return Order(last_reads(graph, op, position))


def last_reads(graph: Graph, op: Op, position: int) -> Array:
    """int64 [bytes of input `position`]: the step (index of an output element) at which each byte is last read."""
    source, target = graph.input(op, position), graph.output(op)
    walk = _WALKS.get(op.kind)
    whole = op.text("layout", "NHWC") == "NCHW" or source.dtype.bits % 8 != 0
    steps = None if walk is None or whole else walk(graph, op, position)
    if steps is None or steps.size != source.elements:
        steps = np.full(source.elements, max(target.elements - 1, 0), np.int64)
    width = max(1, source.nbytes // max(1, source.elements))
    return np.repeat(steps.reshape(-1), width)


def channel_reads(graph: Graph, op: Op) -> tuple[Array, Array]:
    """Steps of an in-place depthwise convolution that goes channel by channel through a buffer (TinyEngine).

    (step at which each input byte is read for the last time, step at which each output byte is written): the channel.
    """
    source, target = graph.input(op), graph.output(op)
    read = np.arange(source.nbytes) * source.elements // source.nbytes % source.shape[-1]
    written = np.arange(target.nbytes) * target.elements // target.nbytes % target.shape[-1]
    return read, written


def _each(graph: Graph, op: Op, position: int) -> Array:
    """Element by element; an element that is broadcast is read until its last copy."""
    source, target = graph.input(op, position), graph.output(op)
    if source.elements == target.elements:
        return np.arange(source.elements)
    index = np.broadcast_to(np.arange(source.elements).reshape(source.shape), target.shape)
    last = np.zeros(source.elements, np.int64)
    np.maximum.at(last, index.reshape(-1), np.arange(target.elements))
    return last


def _windows(graph: Graph, op: Op, position: int) -> Array:
    """Pixel by pixel, output channel by output channel; a channel reads its window's input channels."""
    if position != 0:
        return np.zeros(0, np.int64)
    w = window(graph, op)
    last = np.full((w.batch, w.in_h, w.in_w), -1)  # what no window touches is never read
    pixels = np.arange(w.batch * w.out_h * w.out_w).reshape(w.batch, w.out_h, w.out_w)
    for tap in range(w.kernel_h * w.kernel_w):
        row, column = divmod(tap, w.kernel_w)
        rows = np.arange(w.out_h) * w.stride_h - w.pad_top + row * w.dilation_h
        columns = np.arange(w.out_w) * w.stride_w - w.pad_left + column * w.dilation_w
        y, x = (rows >= 0) & (rows < w.in_h), (columns >= 0) & (columns < w.in_w)
        place = np.ix_(np.arange(w.batch), rows[y], columns[x])
        last[place] = np.maximum(last[place], pixels[:, y][:, :, x])
    channelwise = op.kind not in ("CONV_2D", "TRANSPOSE_CONV")
    per_input = w.out_c // w.in_c if channelwise else w.out_c
    final = np.arange(w.in_c) * per_input + per_input - 1 if channelwise else np.full(w.in_c, w.out_c - 1)
    return last[..., None] * w.out_c + final


def _rows(graph: Graph, op: Op, position: int) -> Array:
    """FULLY_CONNECTED: every output of a row reads the whole row."""
    source, target = graph.input(op, position), graph.output(op)
    channels = target.shape[-1] if target.shape else 1
    rows = target.elements // max(1, channels)
    if position != 0 or rows == 0 or source.elements % rows:
        return np.zeros(0, np.int64)
    return np.repeat(np.arange(rows) * channels + channels - 1, source.elements // rows)


def _copies(graph: Graph, op: Op, position: int) -> Array:
    """PAD: an input element is read when the output reaches its place."""
    paddings = graph.tensor(op, 1)
    target = graph.output(op)
    if position != 0 or paddings is None or not paddings.is_constant:
        return np.zeros(0, np.int64)
    before = paddings.array().reshape(-1, 2)[:, 0]
    places = np.arange(target.elements).reshape(target.shape)
    inside = zip(before, graph.input(op).shape, strict=True)
    return places[tuple(slice(int(start), int(start) + size) for start, size in inside)]


_WALKS: Mapping[str, _Steps] = {
    **dict.fromkeys((*ELEMENTWISE, *POINTWISE, "QUANTIZE", "DEQUANTIZE"), _each),
    # Maximum, sum and output passes of a row: the last one reads element by element, and no earlier row again.
    "SOFTMAX": _each,
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"), _windows),
    "FULLY_CONNECTED": _rows,
    "PAD": _copies,
    "PADV2": _copies,
}
