"""Kernels of the convolutions, int8, int16 × int8, int4 weights and float32.

Integers: Σ (x − zx)·(w − zw) + bias as a float matrix product within the exact-integer bound (`kernel.matmul_type`),
then the runtime's requantization. TFLite `reference/integer_ops/conv.h`, `depthwise_conv.h`, `transpose_conv.h`; ONNX
Runtime QLinearConv. Floats accumulate tap by tap in the order of the runtime's loops (`sums`; TFLM: rows, columns,
channels; bias last), so that they round alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mcuprof.graph import DType, Graph, Op, Tensor
from mcuprof.ops import mlas
from mcuprof.ops.computed import with_computed_weights
from mcuprof.ops.geometry import Window, framed, window
from mcuprof.ops.kernel import (
    Array,
    ByRows,
    Inputs,
    Kernel,
    NoKernel,
    Rescaler,
    as_sums,
    clamp_float,
    divisor_of,
    gives_sums,
    is_float,
    is_onnx,
    matmul_type,
    rescaler,
    scale_of,
    scales_of,
    span,
    target,
    zero_of,
)
from mcuprof.ops.sums import Sums, float_sums, product

Accumulate = Callable[[Array], Array]


def prepare_conv(graph: Graph, op: Op) -> Kernel:
    """CONV_2D and DEPTHWISE_CONV_2D: x [N, H, W, C] or [N, W, C] (ONNX: channels second), constant weights and bias."""
    if _is_float_with_computed_weights(graph, op):
        return with_computed_weights(prepare_conv, graph, op, (1, 2))
    w = window(graph, op)
    depthwise = op.kind == "DEPTHWISE_CONV_2D"
    weights = _taps_first(graph, op, depthwise)
    x, out = graph.input(op, 0), graph.output(op)
    make = _depthwise if depthwise else _grouped if w.groups > 1 else _full
    if is_float(x) != is_float(graph.input(op, 1)):
        raise NoKernel("float activations with integer weights")
    if is_float(x):
        accumulate = make(w, weights.astype(np.float32), np.dtype(np.float32), float_sums(graph))
        return _framed(graph, op, w, np.dtype(np.float32), 0, accumulate, _finish_float(graph, op, 2))
    bound, kind = _bound(graph, op, weights, 2, x)
    accumulate = make(w, weights.astype(kind), np.dtype(kind), "exact")
    return _framed(
        graph, op, w, np.dtype(kind), zero_of(x), accumulate, _finish(graph, op, x, out, 2, bound, kind, depthwise)
    )


def prepare_transpose_conv(graph: Graph, op: Op) -> Kernel:
    """TRANSPOSE_CONV: every input pixel scatters x · weights through the window; pads are cut off the result."""
    w = window(graph, op)
    nchw = op.text("layout", "NHWC") == "NCHW"
    x_at = 0 if nchw else 2
    x, out = graph.input(op, x_at), graph.output(op)
    weights = _constant(graph, op, 1)
    if w.groups > 1 or weights.ndim != 4:
        raise NoKernel("a grouped or one-dimensional transposed convolution")
    # To [kh, kw, Cin, Cout] from OHWI, or from ONNX's [Cin, Cout, kh, kw].
    weights = weights.transpose(2, 3, 0, 1) if nchw else weights.transpose(1, 2, 3, 0)
    if is_float(x) != is_float(graph.input(op, 1)):
        raise NoKernel("float activations with integer weights")
    bias_at = 2 if nchw else 3
    kind: type[Any] = np.float32
    zero = 0
    if is_float(x):
        finish = _finish_float(graph, op, bias_at)
    else:
        weights = weights.astype(np.int64) - _weight_zero(graph.input(op, 1), -1, 4)
        bound, kind = _bound(graph, op, weights.reshape(-1, w.in_c, w.out_c), bias_at, x)
        zero = zero_of(x)
        finish = _finish(graph, op, x, out, bias_at, bound, kind, False)
    taps = weights.astype(kind)
    sums: Sums = float_sums(graph) if is_float(x) else "exact"
    scattered = np.ascontiguousarray(taps.transpose(2, 0, 1, 3)).reshape(w.in_c, -1)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        real = _to_nhwc(inputs[x_at], nchw).astype(kind) - kind(zero)
        height = max((w.in_h - 1) * w.stride_h + w.kernel_h, w.pad_top + w.out_h)
        width = max((w.in_w - 1) * w.stride_w + w.kernel_w, w.pad_left + w.out_w)
        acc = np.zeros((w.batch, height, width, w.out_c), kind)
        if sums == "mlas":
            whole = np.stack([product(image.reshape(-1, w.in_c), scattered, sums) for image in real])
            products = whole.reshape(*real.shape[:3], w.kernel_h, w.kernel_w, w.out_c)
        for row in range(w.kernel_h):
            for column in range(w.kernel_w):
                rows = slice(row, row + (w.in_h - 1) * w.stride_h + 1, w.stride_h)
                columns = slice(column, column + (w.in_w - 1) * w.stride_w + 1, w.stride_w)
                acc[:, rows, columns] += products[:, :, :, row, column] if sums == "mlas" else real @ taps[row, column]
        acc = acc[:, w.pad_top : w.pad_top + w.out_h, w.pad_left : w.pad_left + w.out_w]
        return (_from_nhwc(finish(acc), nchw, out),)

    return run


def _is_float_with_computed_weights(graph: Graph, op: Op) -> bool:
    """Weights stored as integers and dequantized by the network: a float operator for the runtime."""
    return is_float(graph.input(op, 0)) and not graph.input(op, 1).is_constant


def _constant(graph: Graph, op: Op, position: int) -> Array:
    tensor = graph.input(op, position)
    if not tensor.is_constant:
        raise NoKernel("weights that are computed")
    return tensor.array()


def _taps_first(graph: Graph, op: Op, depthwise: bool) -> Array:
    """Weights as [kh·kw, C/groups, OC] for a full, [kh·kw, OC] for a depthwise convolution, zero points taken off."""
    weights = _constant(graph, op, 1)
    nchw = op.text("layout", "NHWC") == "NCHW"
    tensor = graph.input(op, 1)
    out_axis = -1 if depthwise and not nchw else 0
    if not is_float(tensor):
        weights = weights.astype(np.int64) - _weight_zero(tensor, out_axis, weights.ndim)
    if weights.ndim == 3:
        weights = weights[:, :, None] if nchw else weights[:, None]
    if depthwise:
        weights = weights[:, 0].transpose(1, 2, 0) if nchw else weights[0]
        return weights.reshape(-1, weights.shape[-1])
    weights = weights.transpose(2, 3, 1, 0) if nchw else weights.transpose(1, 2, 3, 0)
    return weights.reshape(-1, *weights.shape[2:])


def _weight_zero(tensor: Tensor, axis: int, rank: int) -> Any:
    zeros = tensor.quantization.zero_point if tensor.quantization else ()
    if not any(zeros):
        return 0
    shape = [1] * rank
    shape[axis] = len(zeros)
    return np.array(zeros, np.int64).reshape(shape)


def _bias(graph: Graph, op: Op, position: int, kind: type[Any]) -> Array | None:
    tensor = graph.tensor(op, position)
    if tensor is None:
        return None
    return _constant(graph, op, position).reshape(-1).astype(kind)


def _bound(graph: Graph, op: Op, weights: Array, bias_at: int, x: Tensor) -> tuple[float, type[Any]]:
    """(largest |accumulator| any input can give, float type that holds it exactly)."""
    reach = np.abs(weights).reshape(-1, weights.shape[-1]).sum(axis=0) * float(span(x))
    bias = _bias(graph, op, bias_at, np.float64)
    bound = float(np.max(reach if bias is None else reach + np.abs(bias), initial=0.0))
    return bound, matmul_type(bound)


def _finish_float(graph: Graph, op: Op, bias_at: int) -> Rescaler:
    bias = _bias(graph, op, bias_at, np.float32)
    return lambda acc: clamp_float(op, acc if bias is None else acc + bias)


def _finish(
    graph: Graph, op: Op, x: Tensor, out: Tensor, bias_at: int, bound: float, kind: type[Any], depthwise: bool
) -> Rescaler:
    """Adds the bias and requantizes. int16 activations accumulate in int64 unless the bias is int32."""
    bias = _bias(graph, op, bias_at, kind)
    bias_tensor = graph.tensor(op, bias_at)
    narrow = not depthwise and op.kind == "CONV_2D" and (bias_tensor is None or bias_tensor.dtype is DType.INT32)
    wide = x.dtype is DType.INT16 and not narrow
    if gives_sums(x, out):
        return as_sums
    rescale = rescaler(graph, conv_multiplier(graph, x, graph.input(op, 1), out), target(op, out), bound, wide=wide)

    def finish(acc: Array) -> Array:
        if bias is not None:
            acc += bias
        return rescale(acc)

    return finish


def conv_multiplier(graph: Graph, x: Tensor, weights: Tensor, out: Tensor) -> Array:
    """Input scale · weight scale / output scale: in double for TFLM (`PopulateConvolutionQuantizationParams`), float32
    for ONNX Runtime. One per output channel, or one.
    """
    scales = scales_of(weights)
    if is_onnx(graph):
        return scale_of(x) * scales / divisor_of(out)
    return np.float64(scale_of(x)) * scales.astype(np.float64) / np.float64(divisor_of(out))


def _framed(
    graph: Graph, op: Op, w: Window, kind: np.dtype[Any], zero: int, accumulate: Accumulate, finish: Rescaler
) -> Kernel:
    """x without its zero point in a frame of zeros → accumulate → finish, in NHWC; one image also row by row."""
    nchw = op.text("layout", "NHWC") == "NCHW"
    out = graph.output(op)
    _, width = framed(w)

    def rows(inputs: Inputs, start: int, stop: int) -> Array:
        frame = _frame(_to_nhwc(inputs[0], nchw), w, width, kind, zero, start, stop)
        return finish(accumulate(frame))

    if w.batch == 1 and not nchw:
        return ByRows(out.shape, w.out_h, rows)
    return lambda inputs: (_from_nhwc(rows(inputs, 0, w.out_h), nchw, out),)


def _frame(x: Array, w: Window, width: int, kind: np.dtype[Any], zero: int, start: int, stop: int) -> Array:
    """x − zero [N, rows, width, C] as far as the windows of output rows start … stop reach, zeros where x ends."""
    top = start * w.stride_h - w.pad_top
    bottom = max(top, (stop - 1) * w.stride_h - w.pad_top + (w.kernel_h - 1) * w.dilation_h + 1)
    first = max(top, 0)
    last = max(first, min(bottom, w.in_h))
    if (first, last, width) == (top, bottom, w.in_w):
        frame = x[:, first:last].astype(kind)
        if zero:
            frame -= zero
        return frame
    frame = np.zeros((w.batch, bottom - top, width, w.in_c), kind)
    inside = frame[:, first - top : last - top, w.pad_left : w.pad_left + w.in_w]
    np.subtract(x[:, first:last], kind.type(zero), out=inside)
    return frame


def _to_nhwc(x: Array, nchw: bool) -> Array:
    if x.ndim == 3:
        x = x[:, :, None] if nchw else x[:, None]
    return x.transpose(0, 2, 3, 1) if nchw else x


def _from_nhwc(x: Array, nchw: bool, out: Tensor) -> Array:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2) if nchw else x).reshape(out.shape)


def _taps(frame: Array, w: Window) -> list[Array]:
    """What each weight tap multiplies: views of the frame [N, rows, OW, C], all rows whose windows lie in it."""
    height, width = _rows(frame, w) * w.stride_h, (w.out_w - 1) * w.stride_w + 1
    tops = [row * w.dilation_h for row in range(w.kernel_h)]
    lefts = [column * w.dilation_w for column in range(w.kernel_w)]
    return [
        frame[:, top : top + height : w.stride_h, left : left + width : w.stride_w] for top in tops for left in lefts
    ]


def _rows(frame: Array, w: Window) -> int:
    """Output rows whose windows lie in the frame."""
    reach: int = frame.shape[1] - (w.kernel_h - 1) * w.dilation_h - 1
    return reach // w.stride_h + 1


def _full(w: Window, weights: Array, kind: np.dtype[Any], sums: Sums) -> Accumulate:
    """One product of the patches [pixels, taps·C] (MLAS: [pixels, C·taps]) with the weights in the same order."""
    taps = w.kernel_h * w.kernel_w
    channels_first = sums == "mlas"
    matrix = np.ascontiguousarray((weights.swapaxes(0, 1) if channels_first else weights).reshape(-1, w.out_c))

    def accumulate(frame: Array) -> Array:
        pixels = (w.batch, _rows(frame, w), w.out_w)
        shape = (*pixels, w.out_c)
        if taps == 1:
            (patches,) = _taps(frame, w)
        else:
            patches = np.empty((*pixels, *((w.in_c, taps) if channels_first else (taps, w.in_c))), kind)
            by_tap = patches.swapaxes(-1, -2) if channels_first else patches
            for tap, seen in enumerate(_taps(frame, w)):
                by_tap[:, :, :, tap] = seen
        if sums == "mlas":  # image by image: how it adds depends on the number of pixels
            images = patches.reshape(w.batch, -1, taps * w.in_c)
            return np.stack([product(image, matrix, sums) for image in images]).reshape(shape)
        return product(patches.reshape(-1, taps * w.in_c), matrix, sums).reshape(shape)

    return accumulate


def _grouped(w: Window, weights: Array, kind: np.dtype[Any], sums: Sums) -> Accumulate:
    """Each group of channels through its own full convolution."""
    depth, filters = w.in_c // w.groups, w.out_c // w.groups
    part = replace(w, in_c=depth, out_c=filters, groups=1)
    groups = [_full(part, weights[..., g * filters : (g + 1) * filters], kind, sums) for g in range(w.groups)]

    def accumulate(frame: Array) -> Array:
        parts = [run(frame[..., g * depth : (g + 1) * depth]) for g, run in enumerate(groups)]
        return np.concatenate(parts, axis=-1)

    return accumulate


def _depthwise(w: Window, weights: Array, kind: np.dtype[Any], sums: Sums) -> Accumulate:
    """One multiply-add per tap; output channel oc reads input channel oc // multiplier."""
    multiplier = w.out_c // w.in_c
    if sums == "mlas":
        if multiplier > 1:
            return _grouped(w, weights[:, None], kind, sums)
        return lambda frame: mlas.quads(_taps(frame, w), list(weights))

    def accumulate(frame: Array) -> Array:
        if multiplier > 1:
            frame = np.repeat(frame, multiplier, axis=-1)
        first, *others = _taps(frame, w)
        total = first * weights[0]
        term = np.empty_like(total)
        for seen, weight in zip(others, weights[1:], strict=True):
            np.multiply(seen, weight, out=term)
            total += term
        return total

    return accumulate
