"""What a cost law may depend on: the sizes of one operator, as plain counts.

Every kernel is nested loops, so its instructions are a sum of loop bodies times how often they run. The features are
those run counts; the fitted coefficients are the bodies' lengths in instructions.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from mcuprof.costs.kernels import dense_depth
from mcuprof.graph import ABSENT, DType, Graph, Op
from mcuprof.ops.geometry import Window, window

Features = Mapping[str, float]
_WINDOWS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"})
# CMSIS-NN's MVE depthwise kernel works on this many channels at a time (CH_IN_BLOCK_MVE).
_MVE_CHANNELS = 124
_MAX_KERNEL = 65536


def features(graph: Graph, op: Op, kernel: str) -> Features:
    """Run counts of the loops of kernel class `kernel` for `op`. Raises LookupError, ValueError on broken operands."""
    if op.kind == "FULLY_CONNECTED" and kernel.startswith("conv"):
        return window_features(_dense_as_window(graph, op), depthwise=False)
    if op.kind in _WINDOWS:
        return window_features(window(graph, op), depthwise=op.kind != "CONV_2D")
    if op.kind == "FULLY_CONNECTED":
        return _dense(graph, op)
    if op.kind == "SVDF":
        return _svdf(graph, op)
    if op.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return _lstm(graph, op)
    return _general(graph, op)


def window_features(g: Window, *, depthwise: bool) -> Features:
    """Run counts of a convolution, depthwise convolution or pool of this geometry."""
    depth = 1 if depthwise else g.in_c // max(1, g.groups)
    cells, outs = g.kernel_h * g.kernel_w, g.out_pixels * g.out_c
    k = cells * depth
    inside = g.batch * _valid(g.in_h, g.out_h, g.kernel_h, g.stride_h, g.dilation_h, g.pad_top)
    inside *= _valid(g.in_w, g.out_w, g.kernel_w, g.stride_w, g.dilation_w, g.pad_left)
    clean = g.batch * _clean(g.in_h, g.out_h, g.kernel_h, g.stride_h, g.pad_top)
    clean *= _clean(g.in_w, g.out_w, g.kernel_w, g.stride_w, g.pad_left)
    lanes4, lanes16, blocks = _up(g.out_c, 4), _up(g.out_c, 16), _up(g.out_c, _MVE_CHANNELS)
    quads, rest = divmod(g.out_pixels, 4)
    return {
        "const": 1,
        # outputs
        "out_elems": outs,
        "out_pixels": g.out_pixels,
        "out_rows": g.batch * g.out_h,
        "out_c": g.out_c,
        "clean_elems": clean * g.out_c,
        "clean_pixels": clean,
        # multiply-accumulates and window cells, with and without those in the padding
        "macs": outs * k,
        "valid_macs": inside * g.out_c * depth,
        "taps": outs * cells,
        "valid_taps": inside * g.out_c,
        "tap_rows": outs * g.kernel_h,
        # im2col patches
        "patch_elems": g.out_pixels * k,
        "patch_cells": g.out_pixels * cells,
        "patch_rows": g.out_pixels * g.kernel_h,
        "valid_patch_cells": inside,
        # what is left over when 2, 4 or 16 are done at a time
        "weights": g.out_c * k,
        "row_weights": g.batch * g.out_h * g.out_c * k,
        "row_c": g.batch * g.out_h * g.out_c,
        "row_rest_macs": g.batch * g.out_h * (g.out_w % 4) * g.out_c * k,
        "k_rest4": outs * (k % 4),
        "patch_rest4": g.out_pixels * (k % 4),
        "k_blocks16": outs * _up(k, 16),
        "patch_blocks16": g.out_pixels * _up(k, 16),
        "weight_blocks16": g.out_c * _up(k, 16),
        "odd_c": (g.out_c % 2) * g.out_pixels * k,
        "odd_pixels": (g.out_pixels % 2) * g.out_c * k,
        "rest_macs": rest * g.out_c * k,
        "rest_elems": rest * g.out_c,
        "quad_elems": _up(g.out_pixels, 4) * g.out_c,
        # vector lanes over channels
        "lanes4": g.out_pixels * lanes4,
        "lanes16": g.out_pixels * lanes16,
        "c_rest4": g.out_pixels * (g.out_c % 4),
        "tap_lanes4": g.out_pixels * cells * lanes4,
        "tap_lanes16": g.out_pixels * cells * lanes16,
        "valid_tap_lanes16": inside * lanes16,
        "valid_tap_lanes4": inside * lanes4,
        "tap_rest4": g.out_pixels * cells * (g.out_c % 4),
        "block_cells": g.out_pixels * cells * blocks,
        "block_pixels": g.out_pixels * blocks,
        "quad_lanes4": quads * lanes4,
        "quad_tap_lanes4": quads * cells * lanes4,
        "rest_lanes4": rest * lanes4,
        "rest_tap_lanes4": rest * cells * lanes4,
    }


def _up(count: int, at_a_time: int) -> int:
    return -(-count // at_a_time)


def _valid(size: int, outputs: int, kernel: int, stride: int, dilation: int, before: int) -> int:
    """Taps along one axis, over all output positions, that fall inside the input.

    Raises ValueError for windows beyond anything that runs on a microcontroller, rather than counting for minutes.
    """
    if stride < 1 or kernel > _MAX_KERNEL:
        raise ValueError(f"a window of {kernel} taps with stride {stride}")
    return sum(
        _between(before - tap * dilation, size - 1 + before - tap * dilation, outputs, stride) for tap in range(kernel)
    )


def _clean(size: int, outputs: int, kernel: int, stride: int, before: int) -> int:
    """Output positions along one axis whose undilated window lies wholly inside the input."""
    return _between(before, size - kernel + before, outputs, stride)


def _between(low: int, high: int, outputs: int, stride: int) -> int:
    """How many of the positions 0, stride, …, stride · (outputs − 1) lie in [low, high]."""
    return max(0, min(outputs - 1, high // stride) - max(0, _up(low, stride)) + 1)


def _dense_as_window(graph: Graph, op: Op) -> Window:
    depth, out = dense_depth(graph, op), graph.output(op)
    pixels, units = prod(out.shape[:-1]), out.shape[-1]
    return Window(1, 1, pixels, depth, 1, pixels, units, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1)


def dense_features(batches: int, depth: int, units: int) -> Features:
    """Run counts of a fully connected layer: `units` sums over `depth` inputs, `batches` times."""
    out = batches * units
    return {
        "const": 1,
        "macs": out * depth,
        "out_elems": out,
        "batches": batches,
        "in_elems": batches * depth,
        "out_c": units,
        "k_blocks16": out * _up(depth, 16),
        "quad_blocks16": batches * _up(units, 4) * _up(depth, 16),
        "quads": batches * _up(units, 4),
        "k_rest4": out * (depth % 4),
        "quad_k_rest": batches * _up(units, 4) * (depth % 16 > 0),
        "rest_macs": batches * (units % 4) * depth,
    }


def _dense(graph: Graph, op: Op) -> Features:
    depth, out = dense_depth(graph, op), graph.output(op).elements
    units = graph.input(op, 1).elements // max(1, depth)
    return dense_features(out // max(1, units), depth, units)


def _svdf(graph: Graph, op: Op) -> Features:
    filters, depth = graph.input(op, 1).shape
    memory = graph.input(op, 2).shape[1]
    return {
        "const": 1,
        "feature_macs": filters * depth,
        "time_macs": filters * memory,
        "filters": filters,
        "out_elems": graph.output(op).elements,
    }


def _lstm(graph: Graph, op: Op) -> Features:
    x, out = graph.input(op, 0), graph.output(op)
    cells = out.shape[-1]
    steps = out.elements // max(1, cells)
    return {
        "const": 1,
        "macs": steps * 4 * cells * (x.shape[-1] + cells),
        "steps": steps,
        "depth": x.shape[-1],
        "cells": cells,
        "out_elems": out.elements,
    }


def _general(graph: Graph, op: Op) -> Features:
    inputs = [graph.tensors[index] for index in op.inputs if index != ABSENT]
    outputs = [graph.tensors[index] for index in op.outputs if index != ABSENT]
    values = [tensor for tensor in inputs if tensor.dtype is not DType.RESOURCE]
    x = values[0] if values else None
    shape = outputs[0].shape if outputs else ()
    count = sum(tensor.elements for tensor in outputs)
    in_elems = x.elements if x else 0
    moved = sum(tensor.nbytes for tensor in (values[-1:] if op.kind == "ASSIGN_VARIABLE" else outputs))
    axis = op.integer("axis", -1) % max(1, len(shape))
    parts = len(outputs) if op.kind in {"SPLIT", "SPLIT_V", "UNPACK"} else len(inputs)
    return {
        "const": 1,
        "in_elems": in_elems,
        "out_elems": count,
        "bytes": moved,
        "out_rows": count // max(1, shape[-1] if shape else 1),
        "parts": parts,
        "copies": prod(shape[:axis]) * parts,
        "added_elems": max(0, count - in_elems),
        "in_x_rank": in_elems * (len(x.shape) if x else 0),
        "out_x_rank": count * (len(x.shape) if x else 0),
        "segments": _segments(x.shape, shape) if x else 0,
    }


def _segments(before: tuple[int, ...], after: tuple[int, ...]) -> int:
    """Contiguous runs in which a PAD copies `before` into `after`: as many as there are indices outside the run."""
    keep = min(len(before), len(after))
    while keep and before[keep - 1] == after[keep - 1]:
        keep -= 1
    return prod(before[: max(0, keep - 1)])
