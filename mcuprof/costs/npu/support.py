"""Which operators an Ethos-U takes and which it leaves to the host, and why.

The lists and conditions are Arm's: SUPPORTED_OPS.md of ethos-u-vela 5.2. Not checked: the sum of absolute weights, and
the shapes of operators that have no form in `lower.py` anyway.
"""

from __future__ import annotations

from mcuprof.graph import ABSENT, DType, Graph, Op

_ALL = frozenset(
    {
        *("ABS", "ADD", "ARG_MAX", "AVERAGE_POOL_2D"),
        *("BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D"),
        *("ELU", "EXP", "EXPAND_DIMS", "FULLY_CONNECTED"),
        *("GELU", "HARD_SWISH", "LEAKY_RELU", "LOG"),
        *("LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN"),
        *("MINIMUM", "MIRROR_PAD", "MUL", "NEG"),
        *("PACK", "PAD", "PADV2", "PRELU"),
        *("QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU"),
        *("RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RESHAPE"),
        *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "RSQRT"),
        *("SLICE", "SOFTMAX", "SPLIT", "SPLIT_V"),
        *("SQUARED_DIFFERENCE", "SQUEEZE", "STRIDED_SLICE", "SUB"),
        *("SUM", "TANH", "TILE", "TRANSPOSE"),
        *("TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNPACK"),
    }
)
_U85_TOO = frozenset(
    {
        *("ASSIGN_VARIABLE", "CAST", "DIV", "EQUAL"),
        *("GATHER", "GREATER", "GREATER_EQUAL", "LESS"),
        *("LESS_EQUAL", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR"),
        *("NOT_EQUAL", "READ_VARIABLE", "REDUCE_ALL", "REDUCE_ANY"),
        *("SCATTER_ND", "SELECT", "SELECT_V2"),
    }
)
# U55 and U65 do these with up to 16 bits only.
_NARROW = frozenset(
    {
        *("ABS", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D"),
        *("DEPTHWISE_CONV_2D", "ELU", "EXP", "GELU"),
        *("HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC"),
        *("MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM"),
        *("PACK", "PAD", "PADV2", "PRELU"),
        *("QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU"),
        *("RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RESIZE_BILINEAR"),
        *("RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "RSQRT", "SLICE"),
        *("SOFTMAX", "SPLIT", "SPLIT_V", "SQUARED_DIFFERENCE"),
        *("STRIDED_SLICE", "TANH", "TILE", "TRANSPOSE_CONV"),
        *("UNIDIRECTIONAL_SEQUENCE_LSTM", "UNPACK"),
    }
)
VIEWS = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
_UNQUANTIZED = VIEWS | {"ARG_MAX", "PAD", "PADV2", "MIRROR_PAD", "TRANSPOSE", "QUANTIZE"}
_MAP_TYPES = frozenset({DType.INT8, DType.UINT8, DType.INT16, DType.INT32})


def supported(kind: str, u85: bool) -> bool:
    """Does Arm's list name this operator for that generation?"""
    return kind in _ALL or (u85 and kind in _U85_TOO)


def refusal(graph: Graph, op: Op, u85: bool) -> str | None:
    """Why this operator stays on the host; None where the NPU takes it."""
    if not supported(op.kind, u85):
        return f"the NPU has no {op.kind}"
    for index in (*op.inputs[:1], *op.outputs):
        tensor = graph.tensors[index] if index != ABSENT else None
        if tensor is None or (tensor.dtype not in _MAP_TYPES and op.kind not in VIEWS):
            return f"{tensor.dtype.value if tensor else 'no'} feature maps"
        if tensor.quantization is None and op.kind not in _UNQUANTIZED:
            return "a feature map without quantization"
        if tensor.dtype is DType.INT32 and not u85 and op.kind in _NARROW:
            return "32-bit feature maps"
    return _window_refusal(graph, op)


def _window_refusal(graph: Graph, op: Op) -> str | None:
    if op.kind in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}:
        weights = graph.tensor(op, 1)
        if weights is None or weights.data is None:
            return "weights that are computed" if op.kind != "FULLY_CONNECTED" else None
        if weights.dtype.bits != 8 or not weights.dtype.is_integer:
            return f"{weights.dtype.value} weights"
        bias = graph.tensor(op, 2)
        if bias is not None and (not bias.is_constant or bias.dtype not in {DType.INT32, DType.INT64}):
            return "a bias that is computed or of another type than int32, int64"
    stride = max(op.integer("stride_h", 1), op.integer("stride_w", 1))
    if op.kind == "DEPTHWISE_CONV_2D" and stride > 3:
        return "a stride above 3"
    if op.kind in {"CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"} and stride > 3 and op.text("padding") != "VALID":
        return "a stride above 3 with padding"
    if (
        op.kind == "AVERAGE_POOL_2D"
        and op.text("padding") != "VALID"
        and max(op.integer("filter_h"), op.integer("filter_w")) > 8
    ):
        return "a padded pool larger than 8"
    return None
