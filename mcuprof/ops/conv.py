"""Convolutions: CONV_2D (also grouped and 1-D), DEPTHWISE_CONV_2D, TRANSPOSE_CONV.

Inputs are x, weights, bias. TFLite: x NHWC, weights OHWI ([1, kh, kw, C] for depthwise); ONNX (`layout` NCHW): x NCHW,
weights OIHW. TRANSPOSE_CONV in TFLite takes (output shape, weights, x, bias).
"""

from __future__ import annotations

from mcuprof.errors import ModelError
from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops.convolve import prepare_conv, prepare_transpose_conv
from mcuprof.ops.geometry import kernel_size, spatial, window, window_size
from mcuprof.ops.operator import InputShapes, Operator, constant_integers
from mcuprof.ops.rows import window_rows


def conv_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """Output of a (depthwise) convolution: TFLite ComputeOutSize along both axes, explicit pads added first.

    Raises ModelError where the input's channels are no whole groups of those the weights are for (TFLM's
    `ConvPrepare` and ONNX alike).
    """
    nchw = op.text("layout", "NHWC") == "NCHW"
    n, h, w, given = spatial(inputs[0], nchw)
    weights = graph.input(op, 1)
    summed = weights.shape[1 if nchw else -1] if op.kind == "CONV_2D" else 1
    if summed < 1 or given % summed:
        raise ModelError(f"its weights are for {summed} channels, its input has {given}")
    kernel_h, kernel_w = kernel_size(op, weights, nchw)
    channels = weights.shape[-1 if op.kind == "DEPTHWISE_CONV_2D" and not nchw else 0]
    pads = op.integers("pads", (0, 0, 0, 0)) if op.text("padding") == "EXPLICIT" else (0, 0, 0, 0)
    padding = op.text("padding", "VALID")
    out_h = window_size(
        h + pads[0] + pads[2], kernel_h, op.integer("stride_h", 1), op.integer("dilation_h", 1), padding
    )
    out_w = window_size(
        w + pads[1] + pads[3], kernel_w, op.integer("stride_w", 1), op.integer("dilation_w", 1), padding
    )
    if len(inputs[0]) == 3:
        return ((n, channels, out_w) if nchw else (n, out_w, channels),)
    return ((n, channels, out_h, out_w) if nchw else (n, out_h, out_w, channels),)


def transpose_conv_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """TFLite: input 0 is the output shape. ONNX: as stored, since output padding and pads fix it in the reader."""
    if op.text("layout", "NHWC") == "NCHW":
        return (graph.output(op).shape,)
    return (constant_integers(graph, op, 0),)


def conv_macs(graph: Graph, op: Op) -> int:
    """Output elements × weights read per element; padded cells count, as in every published figure."""
    return window(graph, op).macs


def transpose_conv_macs(graph: Graph, op: Op) -> int:
    """Input elements × weights that each is scattered through: kernel_h · kernel_w · out_c / groups."""
    w = window(graph, op)
    return w.batch * w.in_h * w.in_w * w.in_c * w.kernel_h * w.kernel_w * (w.out_c // w.groups)


OPERATORS = (
    Operator("CONV_2D", conv_shapes, conv_macs, prepare_conv, window_rows),
    Operator("DEPTHWISE_CONV_2D", conv_shapes, conv_macs, prepare_conv, window_rows),
    Operator("TRANSPOSE_CONV", transpose_conv_shapes, transpose_conv_macs, prepare_transpose_conv),
)
