"""Which kernel runs: the paths that TFLM and CMSIS-NN choose from shape and type.

A kernel class is a piece of code with one cost law, named `<function>_<type>[:<path>]`: `conv_s8:1x1`,
`dwconv_s8:3x3`. Types: `s8` int8, `s16` int16 activations, `s4` int8 activations with int4 weights, `f32` float.
Sources: CMSIS-NN arm_convolve_wrapper_s8.c, arm_depthwise_conv_wrapper_s8.c, arm_depthwise_conv_s8.c,
arm_elementwise_add_s8.c (2026-07); TFLM micro/kernels/cmsis_nn (2026-08).
"""

from __future__ import annotations

from math import prod
from typing import Literal

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops.geometry import Window, window

Simd = Literal["none", "dsp", "mve"]

_NAMES = {
    "CONV_2D": "conv",
    "DEPTHWISE_CONV_2D": "dwconv",
    "FULLY_CONNECTED": "fc",
    "AVERAGE_POOL_2D": "avgpool",
    "MAX_POOL_2D": "maxpool",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "lstm",
}
_TYPES = {DType.INT8: "s8", DType.INT16: "s16", DType.FLOAT32: "f32", DType.UINT8: "u8", DType.INT32: "s32"}
# These move no values, or move them without looking: one cost law for every type, by bytes.
UNTYPED = frozenset(
    {"RESHAPE", "EXPAND_DIMS", "SQUEEZE", "SHAPE", "CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"}
)
# Between two types: the class names both.
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})
# Where the data is not the first input.
_DATA = {"TRANSPOSE_CONV": 2, "SPLIT": 1}
_ELEMENTWISE = frozenset({"ADD", "MUL", "SUB", "MAXIMUM", "MINIMUM"})


def kernel_class(graph: Graph, op: Op, kernels: str, simd: Simd) -> str:
    """Name of the kernel class that `op` runs; whether there is a cost law for it is another question.

    Raises LookupError or ValueError when operands are missing or of impossible rank.
    """
    name = _NAMES.get(op.kind, op.kind.lower())
    if op.kind in UNTYPED:
        return name
    types = _type(graph, op)
    if op.kind in _CONVERSIONS:
        return f"{name}_{types}_{_TYPES.get(graph.output(op).dtype, graph.output(op).dtype.value)}"
    if kernels == "cmsis-nn" and types == "s8" and runs_as_convolution(graph, op):
        return "fc_s8:as-conv" if prod(graph.output(op).shape[:-1]) == 1 else "conv_s8:1x1"
    path = _path(graph, op, kernels, simd) if types in {"s8", "s4"} else ""
    return f"{name}_{types}{':' + path if path else ''}"


def _type(graph: Graph, op: Op) -> str:
    x = graph.input(op, _DATA.get(op.kind, 0))
    if op.kind in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}:
        weights = graph.input(op, 1).dtype
        if weights is DType.INT4 and x.dtype is DType.INT8:
            return "s4"
        if x.dtype is DType.FLOAT32 and weights is not DType.FLOAT32:
            return "hybrid"
    return _TYPES.get(x.dtype, x.dtype.value)


def _path(graph: Graph, op: Op, kernels: str, simd: Simd) -> str:
    if op.kind in _ELEMENTWISE:
        return "" if graph.input(op, 0).shape == graph.input(op, 1).shape else "broadcast"
    if op.kind == "SVDF":
        return "state8" if graph.input(op, 4).dtype is DType.INT8 else "state16"
    if kernels == "esp-nn" and op.kind in {"CONV_2D", "DEPTHWISE_CONV_2D"} and _type(graph, op) == "s8":
        return esp_nn_path(window(graph, op), depthwise=op.kind == "DEPTHWISE_CONV_2D")
    if kernels != "cmsis-nn":
        return ""
    if op.kind == "CONV_2D":
        path = convolution_path(window(graph, op), simd)
        return path if graph.input(op, 1).dtype is not DType.INT4 else path.replace("1xn", "kxk")
    if op.kind == "DEPTHWISE_CONV_2D" and graph.input(op, 1).dtype is not DType.INT4:
        return depthwise_path(window(graph, op), simd)
    return ""


def runs_as_convolution(graph: Graph, op: Op) -> bool:
    """TFLM's CMSIS-NN FULLY_CONNECTED calls the 1x1 convolution when its output keeps more than two dimensions.

    Source: micro/kernels/cmsis_nn/fully_connected.cc, `output_dim_count > 2 && accum_depth % 4 == 0`.
    """
    if op.kind != "FULLY_CONNECTED":
        return False
    return len(graph.output(op).shape) > 2 and dense_depth(graph, op) % 4 == 0


def dense_depth(graph: Graph, op: Op) -> int:
    """Inputs that one output of a FULLY_CONNECTED sums over."""
    shape = graph.input(op, 1).shape
    return shape[0] if op.attributes.get("transposed") else shape[-1]


def convolution_path(geometry: Window, simd: Simd) -> str:
    """CMSIS-NN's int8 convolution: `1x1` (no im2col), `1xn` (MVE only), else `kxk` (im2col)."""
    g = geometry
    plain = g.dilation_h == g.dilation_w == 1 and g.groups == 1
    if plain and g.kernel_h == g.kernel_w == 1 and not g.padded:
        return "1x1" if g.stride_h == g.stride_w == 1 else "1x1-strided"
    if simd == "mve" and plain and g.in_h == g.kernel_h == 1 and g.stride_w * g.in_c % 4 == 0:
        return "1xn"
    return "kxk" if g.groups == 1 else "grouped"


def esp_nn_path(geometry: Window, *, depthwise: bool) -> str:
    """ESP-NN's generic int8 kernels: `1x1` or `kxk` convolutions; `3x3`, `kxk` or `mult` depthwise ones.

    Source: esp-nn d45b843, esp_nn_conv_opt.c and esp_nn_depthwise_conv_opt.c.
    """
    g = geometry
    if not depthwise:
        return "1x1" if g.kernel_h == g.kernel_w == 1 else "kxk"
    if g.out_c != g.in_c:
        return "mult"
    return "3x3" if g.kernel_h == g.kernel_w == 3 else "kxk"


def depthwise_path(geometry: Window, simd: Simd) -> str:
    """CMSIS-NN's int8 depthwise convolution: `3x3`, `opt` (im2col, DSP and MVE), `mult4`, `generic`, `as-conv`."""
    g = geometry
    if g.out_c == g.in_c and g.dilation_h == g.dilation_w == 1:
        if simd != "mve" and g.kernel_h == g.kernel_w == 3 and g.pad_top <= 1 and g.pad_left <= 1:
            return "3x3"
        return "generic" if simd == "none" else "opt"
    if simd == "mve" and g.in_c == 1 and g.dilation_h == g.dilation_w == 1:
        return "as-conv"
    multiplier = g.out_c // max(1, g.in_c)
    return "mult4" if multiplier % 4 == 0 and g.dilation_h == g.dilation_w == 1 else "generic"
