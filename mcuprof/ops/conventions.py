"""Conventions of integer kernels that a file can break and a runtime does not check: it computes something else.

From the kernels' Prepare and Eval functions (tflite-micro, micro/kernels): they take the first scale of a tensor, the
bias as int32 (int64 beside int16) in the scale of the sum, and clamp for three activations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from types import MappingProxyType

from mcuprof.graph import ABSENT, DType, Graph, Op, Quantization
from mcuprof.ops.defect import Defect

# Positions of data, weights and bias.
WEIGHTED: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), (0, 1, 2)),
        "TRANSPOSE_CONV": (2, 1, 3),
    }
)
# Their weights have one scale per channel and no zero point; FULLY_CONNECTED reads the zero point of its weights.
_SYMMETRIC = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
_CLAMPED = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
_CLAMPED_TYPES = (DType.FLOAT32, DType.INT8, DType.UINT8, DType.INT16)
_RECURRENT = ("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "RNN", "SVDF")
_RECURRENT_TOO = ("UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN")
# Kernels that compute with the scale of what they read; all others move values, whatever they mean.
_SCALED = frozenset(
    (
        *("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU", "LEAKY_RELU", "HARD_SWISH"),
        *("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "MEAN", "SUM", "ABS", "RSQRT", "ELU", "L2_NORMALIZATION"),
        *("QUANTIZE", "DEQUANTIZE", "BATCH_MATMUL", "AVERAGE_POOL_2D", "MAX_POOL_2D", "SVDF"),
        *("CONCATENATION", "UNIDIRECTIONAL_SEQUENCE_LSTM", "RELU", "RELU6"),
    )
)
# Converters are within 1e-5 (all of the corpus, rounding to float32); a bias off by a thousandth changes no class.
_BIAS_TOLERANCE = 1e-3


def broken_conventions(graph: Graph) -> Iterator[Defect]:
    """Defects of one graph, without its subgraphs, in the order of its operators."""
    for number, op in enumerate(graph.ops):
        found = [*_activation(graph, op)]
        if op.kind in WEIGHTED:
            found += _weighted(graph, op)
        elif op.kind in _SCALED:
            found += _scaled(graph, op)
        yield from (defect.at(number, op.kind) for defect in found)


def _activation(graph: Graph, op: Op) -> Iterator[Defect]:
    activation = op.text("activation", "NONE")
    if activation == "NONE" or op.kind in (*_RECURRENT, *_RECURRENT_TOO):
        return
    if activation not in _CLAMPED:
        yield Defect("activation", f"has a fused {activation}, which kernels ignore", fatal=False)
        return
    out = graph.tensors[op.outputs[0]] if op.outputs and op.outputs[0] != ABSENT else None
    if out is not None and out.dtype not in _CLAMPED_TYPES:
        text = f"has a fused {activation}, which kernels ignore on {out.dtype.value}"
        yield Defect("activation", text, fatal=False)


def _weighted(graph: Graph, op: Op) -> Iterator[Defect]:
    x, weights, bias = (graph.tensor(op, position) for position in WEIGHTED[op.kind])
    if x is None or weights is None or not x.dtype.is_integer:
        return
    if x.quantization is not None and x.quantization.per_channel:
        yield _first_only(x.quantization)
    scales = weights.quantization
    if scales is not None and op.kind in _SYMMETRIC and weights.dtype in (DType.INT8, DType.INT4):
        zero = next((zero for zero in scales.zero_point if zero), 0)
        if zero:
            text = f"has weights with the zero point {zero}, which the kernel takes as 0"
            yield Defect("scheme", text, fatal=False)
    if bias is None:
        return
    if bias.dtype not in (DType.INT32, DType.INT64) and op.source in ("", op.kind):  # ONNX adds in any type
        text = f"has its bias in {bias.dtype.value}; kernels read int32 there"
        yield Defect("scheme", text)
    elif x.quantization is not None and scales is not None and bias.quantization is not None:
        pair = _mismatch(x.quantization, scales, bias.quantization)
        if pair is not None:
            text = f"has a bias of scale {pair[1]:.4g} where input × weights have {pair[0]:.4g}"
            yield Defect("bias", text, fatal=False)


def _mismatch(x: Quantization, weights: Quantization, bias: Quantization) -> tuple[float, float] | None:
    """(scale of the sum, scale of the bias) of the first channel where they differ. Counts that cannot be: None."""
    counts = (len(weights.scale), len(bias.scale))
    if weights.block or (1 not in counts and counts[0] != counts[1]):
        return None
    if 1 in counts:
        pairs = list(product(weights.scale, bias.scale))
    else:
        pairs = list(zip(weights.scale, bias.scale, strict=True))
    for weight, have in pairs:
        want = x.scale[0] * weight
        # A scale of zero or NaN is a defect of its own; biases of zeros say 0.
        if want > 0 and have > 0 and abs(have - want) > _BIAS_TOLERANCE * want:
            return want, have
    return None


def _scaled(graph: Graph, op: Op) -> Iterator[Defect]:
    for index in dict.fromkeys((*op.inputs, *op.outputs)):
        tensor = graph.tensors[index] if index != ABSENT else None
        if tensor is not None and tensor.quantization is not None and tensor.quantization.per_channel:
            yield _first_only(tensor.quantization)


def _first_only(quantization: Quantization) -> Defect:
    text = f"is given {len(quantization.scale)} scales for one tensor, and TFLM uses the first for all of it"
    return Defect("scheme", text, fatal=False)
