"""Which operators TFLM has, and which element types their kernels accept.

From the kernels' Prepare functions and AllOpsResolver (tflite-micro). A model with a refused operator fails in
AllocateTensors, on the device, after flashing; here it fails before.
"""

from __future__ import annotations

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops import signal

_MATH = (DType.FLOAT32, DType.INT8, DType.INT16)
_FLOAT_ONLY = (DType.FLOAT32,)
_ARITHMETIC = (*_MATH, DType.INT32)

# Element types of the first data input, None for kernels that copy whatever they are given.
_TYPES: dict[str, tuple[DType, ...] | None] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "SOFTMAX"), _MATH),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "LOGISTIC", "TANH", "MEAN", "SUM"), _MATH),
    **dict.fromkeys(("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"), (*_ARITHMETIC, DType.INT64)),
    **dict.fromkeys(("LEAKY_RELU", "RELU", "RELU6", "BATCH_MATMUL", "UNIDIRECTIONAL_SEQUENCE_LSTM"), _MATH),
    **dict.fromkeys(("PRELU", "ELU", "HARD_SWISH", "DIV", "SVDF", "L2_NORMALIZATION"), (DType.FLOAT32, DType.INT8)),
    **dict.fromkeys(("LOG_SOFTMAX", "RESIZE_BILINEAR", "REDUCE_MAX", "REDUCE_MIN"), (DType.FLOAT32, DType.INT8)),
    **dict.fromkeys(("EXP", "FLOOR", "CEIL", "ROUND", "NEG", "SIN", "COS", "LOG", "SQRT", "SQUARE"), _FLOAT_ONLY),
    **dict.fromkeys(("FLOOR_DIV", "FLOOR_MOD", "L2_POOL_2D", "CUMSUM"), (DType.FLOAT32, DType.INT8)),
    **dict.fromkeys(("ABS", "RSQRT"), _MATH),
    "QUANTIZE": (*_ARITHMETIC, DType.UINT8),
    "DEQUANTIZE": (DType.INT8, DType.INT16, DType.UINT8, DType.INT32),
    "RESIZE_NEAREST_NEIGHBOR": (*_MATH, DType.INT32),
    "MIRROR_PAD": (DType.FLOAT32, DType.INT8),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), (DType.FLOAT32, DType.INT8)),
    **dict.fromkeys(("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), (DType.FLOAT32, DType.INT8)),
    "CONCATENATION": (*_ARITHMETIC, DType.INT64, DType.BOOL),
    "GATHER": (DType.FLOAT32, DType.INT8),
    "SLICE": (DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32, DType.BOOL),
    "REDUCE_ALL": (DType.BOOL,),
    **dict.fromkeys(
        (
            *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2", "STRIDED_SLICE", "SPLIT"),
            *("SPLIT_V", "PACK", "UNPACK", "SHAPE", "CAST", "FILL", "ZEROS_LIKE", "BROADCAST_TO", "BROADCAST_ARGS"),
            *("GATHER_ND", "ARG_MAX", "ARG_MIN", "EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER"),
            *("GREATER_EQUAL", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "SELECT_V2", "REVERSE_V2", "ADD_N"),
            *("DYNAMIC_UPDATE_SLICE", "EMBEDDING_LOOKUP", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"),
            *("CALL_ONCE", "IF", "WHILE", "CUSTOM:TFLite_Detection_PostProcess", "CUSTOM:ethos-u"),
            *(operator.kind for operator in signal.OPERATORS),
        ),
        None,
    ),
}

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_INTEGER_WEIGHTS = (DType.INT8, DType.INT4)


def has_kernel(kind: str) -> bool:
    """True when TFLM has a kernel of this operator kind for some element type."""
    return kind in _TYPES


def refusal(graph: Graph, op: Op) -> str | None:
    """Why TFLM refuses this operator, as the end of a sentence; None when it runs it."""
    if op.kind not in _TYPES:
        return "TFLM has no kernel for it"
    allowed = _TYPES[op.kind]
    x = graph.tensor(op, _data_position(op))
    if any(graph.tensors[index].dtype is DType.STRING for index in (*op.inputs, *op.outputs) if index >= 0):
        return "TFLM has no string tensors"
    if allowed is None or x is None:
        return None
    if x.dtype not in allowed:
        return f"TFLM's kernel does not take {x.dtype.value} (it takes {', '.join(t.value for t in allowed)})"
    if op.kind in _WEIGHTED:
        return _weights_refusal(graph, op, x.dtype)
    if op.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return _lstm_refusal(graph, op, x.dtype)
    if op.kind == "SVDF" and graph.input(op, 1).dtype is not x.dtype:
        return f"TFLM's kernel does not take {graph.input(op, 1).dtype.value} weights with {x.dtype.value} activations"
    if op.kind == "CONCATENATION" and x.dtype is DType.INT8:
        return _concatenation_refusal(graph, op)
    if op.kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D") and x.dtype.is_integer:
        return _pool_refusal(graph, op)
    return None


def _data_position(op: Op) -> int:
    return {"TRANSPOSE_CONV": 2, "SPLIT": 1, "EMBEDDING_LOOKUP": 1}.get(op.kind, 0)


def _weights_refusal(graph: Graph, op: Op, activations: DType) -> str | None:
    weights = graph.tensor(op, 1)
    if weights is None:
        return "it has no weights"
    if activations is DType.FLOAT32 and weights.dtype is not DType.FLOAT32:
        return f"TFLM has no hybrid kernels ({weights.dtype.value} weights with float32 activations)"
    if activations is not DType.FLOAT32:
        if weights.dtype not in _INTEGER_WEIGHTS:
            return f"TFLM's kernel does not take {weights.dtype.value} weights with {activations.value} activations"
        if op.kind != "FULLY_CONNECTED" and weights.quantization is None:
            return "its weights have no quantization parameters"
    return None


# Inputs that must be absent (LstmTensors::ValidateTensorStatus).
_LSTM_EXTRAS = {"peepholes": (9, 10, 11), "projection": (16, 17), "layer normalization": (20, 21, 22, 23)}


def _lstm_refusal(graph: Graph, op: Op, activations: DType) -> str | None:
    if len(op.inputs) != 24:
        return f"TFLM's kernel takes 24 inputs, not {len(op.inputs)}"
    extras = [what for what, positions in _LSTM_EXTRAS.items() if any(graph.tensor(op, p) for p in positions)]
    if extras:
        return f"TFLM's kernel has no {extras[0]}"
    weights = graph.tensor(op, 2)
    if weights is not None and activations.is_float != weights.dtype.is_float:
        return f"TFLM has no hybrid kernels ({weights.dtype.value} weights with {activations.value} activations)"
    return None


def _pool_refusal(graph: Graph, op: Op) -> str | None:
    before, after = graph.input(op).quantization, graph.output(op).quantization
    if before is None or after is None:
        return "its tensors have no quantization parameters"
    # PoolingPrepare compares with a tolerance of 1e-6 (pooling_common.cc).
    if abs(before.scale[0] - after.scale[0]) > 1e-6 or before.zero_point[:1] != after.zero_point[:1]:
        return "TFLM's kernel wants the same scale and zero point on input and output"
    return None


def _concatenation_refusal(graph: Graph, op: Op) -> str | None:
    out = graph.output(op).quantization
    for position in range(len(op.inputs)):
        tensor = graph.tensor(op, position)
        if tensor is None or tensor.quantization is None or out is None:
            continue
        if (tensor.quantization.scale, tensor.quantization.zero_point) != (out.scale, out.zero_point):
            return "TFLM's kernel wants equal scales and zero points on all int8 inputs and the output"
    return None
