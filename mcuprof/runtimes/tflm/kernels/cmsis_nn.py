"""TFLM with CMSIS-NN kernels (tensorflow/lite/micro/kernels/cmsis_nn/*.cc, arm_*_get_buffer_size).

Three instruction-set variants differ in scratch: `plain` C (Cortex-M0+, M3), `dsp` (M4, M7, M33) and `mve` (M55, M85).
Buffer sizes are those of GCC builds with KERNELS_OPTIMIZED_FOR_SPEED, TFLM's Makefile default. Operators without a
CMSIS-NN kernel run the reference one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops.dense import weights_shape
from mcuprof.ops.geometry import Window, operands, window
from mcuprof.runtimes.tflm.abi import ARM, Abi
from mcuprof.runtimes.tflm.kernels import reference
from mcuprof.runtimes.tflm.kernels.base import KernelMemory, Rule, Rules, data

Variant = Literal["plain", "dsp", "mve"]

MVE_CHANNEL_BLOCK = 124  # CH_IN_BLOCK_MVE, arm_nnsupportfunctions.h
_QUANTIZED = (DType.INT8, DType.INT16)


def rules(variant: Variant) -> Rules:
    """Rules of all kernels for this instruction-set variant."""

    def bind(rule: Callable[[Graph, Op, Variant], KernelMemory]) -> Rule:
        return lambda graph, op, target: rule(graph, op, variant)

    return {
        **reference.RULES,
        "CONV_2D": bind(convolution),
        "DEPTHWISE_CONV_2D": bind(depthwise),
        "FULLY_CONNECTED": bind(fully_connected),
        "AVERAGE_POOL_2D": bind(average_pool),
        "MAX_POOL_2D": data(36),
        "SOFTMAX": bind(softmax),
        "SVDF": bind(svdf),
        "UNIDIRECTIONAL_SEQUENCE_LSTM": bind(lstm),
        "TRANSPOSE_CONV": bind(transpose_convolution),
        "BATCH_MATMUL": batch_matmul,
    }


def batch_matmul(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """As the reference kernel; what arm_batch_matmul_s8 and _s16 ask for on top has not been measured."""
    return replace(reference.batch_matmul(graph, op, target), exact=False)


def convolution(graph: Graph, op: Op, variant: Variant) -> KernelMemory:
    """The reference record plus a buffer index; scratch by arm_convolve_wrapper_*_get_buffer_size."""
    scratch = _convolution_scratch(graph, op, variant)
    return KernelMemory((60,), reference.channel_tables(graph, op), (scratch,) if scratch else ())


def _convolution_scratch(graph: Graph, op: Op, variant: Variant) -> int:
    x, weights = graph.input(op), graph.input(op, 1)
    if x.dtype not in _QUANTIZED:
        return 0
    w = window(graph, op)
    if x.dtype is DType.INT16:
        return 64 * _up(w.taps, 8) // 8 if variant == "mve" else 4 * w.taps
    if weights.dtype is DType.INT4:
        if _is_1x1(w):
            return 0
        return 4 * _up(w.taps, 16) if variant == "mve" else 4 * w.taps
    if _is_1x1(w):
        return 0
    if variant == "mve" and _is_1xn(w):
        return max(
            w.kernel_w * w.in_c + w.pad_left * w.in_c,
            (w.kernel_w - 1) * w.in_c + w.pad_right,
        )
    return 4 * _up(w.taps, 16) if variant == "mve" else 4 * _up(w.taps, 4)


def _is_1x1(w: Window) -> bool:
    """arm_convolve_wrapper_s8: no padding, no dilation, 1×1, full depth."""
    return (w.kernel_h, w.kernel_w) == (1, 1) and not w.padded and (w.dilation_h, w.dilation_w) == (1, 1)


def _is_1xn(w: Window) -> bool:
    """arm_convolve_wrapper_s8's test for the one-row path, MVE only."""
    return (
        w.in_h == 1
        and w.kernel_h == 1
        and (w.dilation_h, w.dilation_w) == (1, 1)
        and (w.stride_w * w.in_c) % 4 == 0
        and w.out_w % 4 == 0
        and w.groups == 1
    )


def depthwise(graph: Graph, op: Op, variant: Variant) -> KernelMemory:
    """The reference record plus a buffer index; scratch by arm_depthwise_conv_wrapper_*_get_buffer_size."""
    scratch = _depthwise_scratch(graph, op, variant)
    return KernelMemory((60,), reference.channel_tables(graph, op), (scratch,) if scratch else ())


def _depthwise_scratch(graph: Graph, op: Op, variant: Variant) -> int:
    x, weights = graph.input(op), graph.input(op, 1)
    if x.dtype not in _QUANTIZED:
        return 0
    w = window(graph, op)
    cells = w.kernel_h * w.kernel_w
    equal = w.in_c == w.out_c and w.batch == 1 and (w.dilation_h, w.dilation_w) == (1, 1)
    if x.dtype is DType.INT16:
        if not (equal and cells < 512):  # USE_FAST_DW_CONV_S16_FUNCTION
            return 0
        return {"plain": 0, "dsp": 2 * w.in_c * cells, "mve": 8 * w.in_c * cells + 8}[variant]
    if weights.dtype is DType.INT4:
        if not equal:
            return 0
        return 4 * MVE_CHANNEL_BLOCK * cells if variant == "mve" else 2 * w.in_c * cells
    if variant == "mve" and w.in_c == 1 and w.out_c > 1 and w.batch == 1:
        # One input channel runs as a convolution over a copied kernel (arm_depthwise_conv_to_conv_s8).
        return 4 * _up(cells, 16) + w.out_c * cells
    if not equal:
        return 0
    if variant == "mve":
        return 4 * MVE_CHANNEL_BLOCK * cells
    if variant == "dsp":
        is_3x3 = (w.kernel_h, w.kernel_w) == (3, 3) and w.pad_top <= 1 and w.pad_left <= 1
        return 0 if is_3x3 else 2 * w.in_c * cells
    return 0


def fully_connected(graph: Graph, op: Op, variant: Variant) -> KernelMemory:
    """OpData with dimensions; MVE keeps the kernel sums (one int32 per output) in the tail."""
    x, weights = graph.input(op), graph.input(op, 1)
    tables = reference.fully_connected(graph, op, ARM).prepare
    if x.dtype is not DType.INT8:
        return KernelMemory((72,), tables)
    outputs, depth = weights_shape(op, weights.shape)
    if len(graph.output(op).shape) > 2 and depth % 4 == 0 and weights.dtype is DType.INT8:
        # Run as a 1×1 convolution; per-tensor weights get made-up per-channel tables.
        return KernelMemory((72,), tables, () if tables else (8 * outputs,))
    if variant != "mve":
        return KernelMemory((72,), tables)
    return KernelMemory((72,), (*tables, 4 * outputs))


def average_pool(graph: Graph, op: Op, variant: Variant) -> KernelMemory:
    """The reference record plus a buffer index; one int32 per channel of scratch where there is no MVE."""
    x = graph.input(op)
    scratch = variant == "dsp" and x.dtype in _QUANTIZED
    return KernelMemory((36,), (), (4 * window(graph, op).in_c,) if scratch else ())


def softmax(graph: Graph, op: Op, variant: Variant) -> KernelMemory:
    """The reference record and the type, padded to 64 bytes; tables as the reference."""
    return KernelMemory((64,), reference.softmax(graph, op, ARM).prepare)


def svdf(graph: Graph, op: Op, variant: Variant) -> KernelMemory:
    """The reference kernel's, and with MVE one kernel sum (int32) per filter in the tail."""
    memory = reference.svdf(graph, op, ARM)
    sums = variant == "mve" and graph.input(op).dtype is DType.INT8
    return KernelMemory((40,), (4 * graph.input(op, 1).shape[0],) if sums else (), memory.scratch)


def lstm(graph: Graph, op: Op, variant: Variant) -> KernelMemory:
    """A larger record; eight vectors of per-unit kernel sums in the tail; three buffers of scratch."""
    memory = reference.lstm(graph, op, ARM)
    x = graph.input(op)
    if x.dtype not in _QUANTIZED:
        return KernelMemory((912,), (), memory.scratch)
    units = graph.input(op, 19).shape[-1]
    vector = (4 if x.dtype is DType.INT8 else 8) * units
    return KernelMemory((912,), (vector,) * 8, memory.scratch[:3])


def transpose_convolution(graph: Graph, op: Op, variant: Variant) -> KernelMemory:
    """int8 by arm_transpose_conv_s8_get_buffer_size and its reverse-convolution path; other types as the reference."""
    memory = reference.transpose_convolution(graph, op, ARM)
    if operands(graph, op)[0].dtype is not DType.INT8:
        return KernelMemory((80,), memory.prepare, memory.scratch)
    w = window(graph, op)
    scratch: tuple[int, ...]
    if max(w.stride_h, w.stride_w) <= 2 and w.in_c > 16:
        taps = w.kernel_h * w.kernel_w * w.in_c
        scratch = (4 * _up(taps, 16 if variant == "mve" else 4), taps * w.out_c)
    else:
        columns = (w.in_w - 1) * w.stride_w + max(w.kernel_w, w.stride_h)
        scratch = (4 * w.out_c * columns * max(w.kernel_h, w.stride_h),)
    return KernelMemory((80,), memory.prepare, scratch)


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
