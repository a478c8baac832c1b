"""Which operators TFLM has, and which element types their kernels accept.

From the kernels' Prepare functions and AllOpsResolver (tflite-micro). A model with a refused operator fails in
AllocateTensors, on the device, after flashing; here it fails before.
"""

from __future__ import annotations

from collections.abc import Iterable

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops import signal
from mcuprof.ops.geometry import data_position
from mcuprof.ops.kernel import is_onnx

_F32, _I8, _U8, _I16 = DType.FLOAT32, DType.INT8, DType.UINT8, DType.INT16
_I32, _I64, _BOOL, _U32 = DType.INT32, DType.INT64, DType.BOOL, DType.UINT32
_EIGHT = (_F32, _I8)
_MATH = (*_EIGHT, _I16)
_ARITHMETIC = (*_MATH, _I32)
_COMPARED = (*_EIGHT, _I32, _I64)

# Element types of the data input, None for kernels that copy whatever they are given. tests/runtimes/test_tflm_types.py
# runs every kind with every type.
_TYPES: dict[str, tuple[DType, ...] | None] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "SOFTMAX"), _MATH),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "LOGISTIC", "TANH", "MEAN", "SUM", "ABS", "RSQRT"), _MATH),
    **dict.fromkeys(("LEAKY_RELU", "RELU", "RELU6", "BATCH_MATMUL", "UNIDIRECTIONAL_SEQUENCE_LSTM"), _MATH),
    **dict.fromkeys(("RESIZE_NEAREST_NEIGHBOR", "TRANSPOSE", "EXPAND_DIMS", "SELECT_V2"), _MATH),
    **dict.fromkeys(("ADD", "SUB", "MUL", "SQUARED_DIFFERENCE", "PAD", "PADV2"), _ARITHMETIC),
    **dict.fromkeys(("SPLIT", "SPLIT_V", "UNPACK", "DYNAMIC_UPDATE_SLICE"), _ARITHMETIC),
    **dict.fromkeys(("MAXIMUM", "MINIMUM", "PACK"), (*_ARITHMETIC, _I64)),
    **dict.fromkeys(("SLICE", "STRIDED_SLICE"), (*_ARITHMETIC, _BOOL)),
    **dict.fromkeys(("PRELU", "ELU", "HARD_SWISH", "SVDF", "L2_NORMALIZATION", "LOG_SOFTMAX", "CUMSUM"), _EIGHT),
    **dict.fromkeys(
        ("RESIZE_BILINEAR", "REDUCE_MAX", "REDUCE_MIN", "MIRROR_PAD", "ADD_N", "ARG_MAX", "ARG_MIN"), _EIGHT
    ),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), _EIGHT),
    **dict.fromkeys(("GATHER", "GATHER_ND", "EMBEDDING_LOOKUP"), _EIGHT),
    **dict.fromkeys(("EXP", "FLOOR", "CEIL", "ROUND", "NEG", "SIN", "COS", "LOG", "SQRT", "SQUARE"), (_F32,)),
    **dict.fromkeys(("FLOOR_DIV", "FLOOR_MOD", "L2_POOL_2D"), (_F32,)),
    **dict.fromkeys(("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"), _COMPARED),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL"), (*_COMPARED, _BOOL)),
    "DIV": (*_EIGHT, _I32),
    "QUANTIZE": (*_ARITHMETIC, _U8),
    "DEQUANTIZE": (_I8, _I16, _U8),
    "CAST": (*_ARITHMETIC, _BOOL, _U32),
    "CONCATENATION": (*_ARITHMETIC, _I64, _BOOL),
    "FILL": (*_EIGHT, _I32),
    "ZEROS_LIKE": (*_EIGHT, _I32, _I64),
    "REVERSE_V2": (*_ARITHMETIC, _U8, _I64, _BOOL),
    "BROADCAST_ARGS": (_I32, _I64),
    **dict.fromkeys(("REDUCE_ALL", "LOGICAL_NOT"), (_BOOL,)),
    **dict.fromkeys(
        (
            *("RESHAPE", "SQUEEZE", "SHAPE", "BROADCAST_TO", "LOGICAL_AND", "LOGICAL_OR"),
            *("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "IF", "WHILE"),
            *("CUSTOM:TFLite_Detection_PostProcess", "CUSTOM:ethos-u"),
            *(operator.kind for operator in signal.OPERATORS),
        ),
        None,
    ),
}

# Where the output has another type than the data: by kind, for each type of the data.
_OUTPUTS: dict[str, dict[DType, tuple[DType, ...]]] = {
    "QUANTIZE": {
        _F32: (_I8, _I16),
        _I8: (_I8, _U8, _I16, _I32),
        _U8: (_I8,),
        _I16: (_I8, _I16, _I32),
        _I32: (_I8, _I16),
    },
    "DEQUANTIZE": dict.fromkeys((_I8, _I16, _U8), (_F32,)),
    "CAST": dict.fromkeys((*_ARITHMETIC, _BOOL, _U32), (*_ARITHMETIC, _BOOL, _U32)),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), dict.fromkeys(_EIGHT, (_I32,))),
    "SHAPE": dict.fromkeys(DType, (_I32,)),
}
_INDICES = {"GATHER": 1, "GATHER_ND": 1, "EMBEDDING_LOOKUP": 0}  # positions of indices, which are int32

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


def has_kernel(kind: str) -> bool:
    """True when TFLM has a kernel of this operator kind for some element type."""
    return kind in _TYPES


def refusal(graph: Graph, op: Op) -> str | None:
    """Why TFLM refuses this operator, as the end of a sentence; None when it runs it.

    Of an ONNX graph, what its converter will choose is not judged: types of indices, fixed and equal quantization.
    """
    if op.kind not in _TYPES:
        return "TFLM has no kernel for it"
    if any(graph.tensors[index].dtype is DType.STRING for index in (*op.inputs, *op.outputs) if index >= 0):
        return "TFLM has no string tensors"
    allowed, x = _TYPES[op.kind], graph.tensor(op, _data_position(op))
    if x is None:
        return None
    if allowed is not None and x.dtype not in allowed:
        return f"TFLM's kernel does not take {x.dtype.value} (it takes {_list(allowed)})"
    if reason := _rank_refusal(graph, op, x.dtype):
        return reason
    if op.kind in _WEIGHTED and (reason := _weights_refusal(graph, op, x.dtype)):
        return reason
    if op.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return _lstm_refusal(graph, op, x.dtype)
    if op.kind == "SVDF" and graph.input(op, 1).dtype is not x.dtype:
        return f"TFLM's kernel does not take {graph.input(op, 1).dtype.value} weights with {x.dtype.value} activations"
    if op.kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D") and x.dtype.is_integer:
        return _pool_refusal(graph, op)
    if op.kind in _EQUAL and x.dtype is _I8 and (reason := _equal_refusal(graph, op)):
        return reason
    if is_onnx(graph) or not op.outputs or op.outputs[0] < 0:
        return None
    rules = (_output_refusal, _indices_refusal, _constant_refusal, _zero_refusal, _fixed_refusal, _bias_refusal)
    all_rules = (*rules, _multiplier_refusal)
    return next((reason for rule in all_rules if (reason := rule(graph, op, x.dtype))), None)


def _output_refusal(graph: Graph, op: Op, dtype: DType) -> str | None:
    given = graph.output(op).dtype
    wanted = _OUTPUTS.get(op.kind, {}).get(dtype, (given,))
    if given in wanted:
        return None
    return f"TFLM's kernel does not make {given.value} of {dtype.value} (it makes {_list(wanted)})"


def _indices_refusal(graph: Graph, op: Op, dtype: DType) -> str | None:
    indices = graph.tensor(op, _INDICES[op.kind]) if op.kind in _INDICES else None
    if indices is None or indices.dtype is _I32:
        return None
    return f"TFLM's kernel does not take {indices.dtype.value} indices (it takes int32)"


# Inputs that must be constants: the kernel works out the output's size, or where to write, in Prepare.
_CONSTANT: dict[str, int] = {
    **dict.fromkeys(("BROADCAST_TO", "PAD", "PADV2", "TRANSPOSE", "EXPAND_DIMS"), 1),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), 1),
    **dict.fromkeys(("FILL", "SPLIT"), 0),
    "SPLIT_V": 2,
}


def _constant_refusal(graph: Graph, op: Op, dtype: DType) -> str | None:
    tensor = graph.tensor(op, _CONSTANT[op.kind]) if op.kind in _CONSTANT else None
    if tensor is None or tensor.is_constant:
        return None
    return f"TFLM's kernel wants input {_CONSTANT[op.kind]} to be a constant, and it is computed"


# The most dimensions that the kernel takes, where it has a limit of its own; SLICE aborts beyond it.
_MOST_DIMENSIONS: dict[str, int] = {
    **dict.fromkeys(("BATCH_MATMUL", "BROADCAST_TO", "PAD", "PADV2", "SLICE", "TRANSPOSE"), 5),
    **dict.fromkeys(("STRIDED_SLICE", "L2_NORMALIZATION"), 4),
    **dict.fromkeys(("CONCATENATION", "REVERSE_V2"), 6),
}


def _rank_refusal(graph: Graph, op: Op, dtype: DType) -> str | None:
    rank, most = len(graph.input(op).shape), _MOST_DIMENSIONS.get(op.kind)
    if most is None or rank <= most:
        return None
    return f"TFLM's kernel takes {most} dimensions at most, not {rank}"


def _list(types: Iterable[DType]) -> str:
    return ", ".join(dtype.value for dtype in types)


def _data_position(op: Op) -> int:
    return {"TRANSPOSE_CONV": data_position(op), "SPLIT": 1, "EMBEDDING_LOOKUP": 1, "SELECT_V2": 1, "FILL": 1}.get(
        op.kind, 0
    )


def _weights_refusal(graph: Graph, op: Op, activations: DType) -> str | None:
    weights = graph.tensor(op, 1)
    if weights is None:
        return "it has no weights"
    if activations is DType.FLOAT32 and weights.dtype is not DType.FLOAT32:
        return f"TFLM has no hybrid kernels ({weights.dtype.value} weights with float32 activations)"
    if activations is not DType.FLOAT32:
        four_bits = weights.dtype is DType.INT4 and activations is _I8 and op.kind != "TRANSPOSE_CONV"
        if weights.dtype is not _I8 and not four_bits:
            return f"TFLM's kernel does not take {weights.dtype.value} weights with {activations.value} activations"
        if op.kind != "FULLY_CONNECTED" and weights.quantization is None:
            return "its weights have no quantization parameters"
    bias = graph.tensor(op, 2)
    if op.kind == "CONV_2D" and activations is _I16 and bias is not None and bias.dtype not in (_I32, _I64):
        return f"TFLM's kernel does not take a {bias.dtype.value} bias with int16 activations (it takes int32, int64)"
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


# Outputs whose quantization is the kernel's own: scale and zero point, None for any scale (the kernels' Prepare).
_FIXED: dict[tuple[str, DType], tuple[float | None, int]] = {
    ("LOGISTIC", _I8): (None, -128),
    ("LOGISTIC", _I16): (2.0**-15, 0),
    ("TANH", _I16): (2.0**-15, 0),
    ("SOFTMAX", _I8): (2.0**-8, -128),
    ("SOFTMAX", _I16): (2.0**-15, 0),
    ("LOG_SOFTMAX", _I8): (2.0**-4, 127),
}
_NEAR = 1e-3  # softmax_common.cc, for int16


def _fixed_refusal(graph: Graph, op: Op, dtype: DType) -> str | None:
    fixed, found = _FIXED.get((op.kind, dtype)), graph.output(op)
    if fixed is None or found.dtype is not dtype or found.quantization is None:
        return None
    scale, zero = fixed
    right = scale is None or abs(found.quantization.scale[0] - scale) <= (_NEAR * scale if dtype is _I16 else 0)
    if right and (found.quantization.zero_point or (0,))[0] == zero:
        return None
    wanted = f"zero point {zero}" if scale is None else f"scale {scale:g} and zero point {zero}"
    return f"TFLM's kernel gives {dtype.value} with {wanted} only"


# int8 tensors that must have the same scale and zero point: positions of inputs (None: all), and whether the output.
_EQUAL: dict[str, tuple[int | None, bool]] = {
    "CONCATENATION": (None, True),
    **dict.fromkeys(("REDUCE_MAX", "REDUCE_MIN"), (0, True)),
    "ADD_N": (None, False),
    "PADV2": (2, True),
}


def _equal_refusal(graph: Graph, op: Op) -> str | None:
    position, with_output = _EQUAL[op.kind]
    positions = range(len(op.inputs)) if position is None else (position,)
    tensors = [graph.tensor(op, position) for position in positions] + ([graph.output(op)] if with_output else [])
    found = {(t.quantization.scale, t.quantization.zero_point) for t in tensors if t is not None and t.quantization}
    if len(found) < 2:
        return None
    where = "all int8 inputs" if position is None else f"the int8 input {position}"
    return f"TFLM's kernel wants equal scales and zero points on {where}{' and the output' if with_output else ''}"


# Kernels that refuse a zero point on tensors of this type.
_SYMMETRIC: dict[str, DType] = {
    **dict.fromkeys(("LOGISTIC", "TANH", "RELU", "ABS", "RSQRT", "MUL", "SQUARED_DIFFERENCE", "BATCH_MATMUL"), _I16),
    "EMBEDDING_LOOKUP": _I8,
}


def _zero_refusal(graph: Graph, op: Op, dtype: DType) -> str | None:
    if op.kind not in _SYMMETRIC:
        return None
    if op.kind == "EMBEDDING_LOOKUP" and not graph.output(op).dtype.is_float:
        return None  # rows are copied as they are
    for tensor in (graph.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0):
        zeros = tensor.quantization.zero_point[:1] if tensor.quantization is not None else ()
        if tensor.dtype is _SYMMETRIC[op.kind] and any(zeros):
            return f"TFLM's kernel wants {tensor.dtype.value} with the zero point 0, not {zeros[0]}"
    return None


_BIAS_TOLERANCE = 0.02  # GetQuantizedConvolutionMultipler: difference of the scales over the output's scale


def _bias_refusal(graph: Graph, op: Op, dtype: DType) -> str | None:
    """FULLY_CONNECTED with one scale compares the bias's with the product of the others."""
    if op.kind != "FULLY_CONNECTED" or dtype.is_float:
        return None
    parameters = [tensor and tensor.quantization for tensor in (graph.input(op), graph.input(op, 1), graph.output(op))]
    bias = graph.tensor(op, 2)
    if bias is None or not all(parameters) or any(len(found.scale) != 1 for found in parameters if found):
        return None
    x, weights, out = (found.scale[0] for found in parameters if found)
    scale = bias.quantization.scale[0] if bias.quantization is not None and bias.quantization.scale else 0.0
    if out and abs(x * weights - scale) / out > _BIAS_TOLERANCE:
        return f"TFLM's kernel refuses a bias with the scale {scale:g}, which is far from {x * weights:g}"
    return None


_COMPARISONS = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
# More bits that sums are taken with: the multiplier back to the output is 2·largest scale / (2^bits · output's scale).
_SUM_BITS = {_I8: 20, _I16: 15}


def _multiplier_refusal(graph: Graph, op: Op, dtype: DType) -> str | None:
    """`QuantizeMultiplierSmallerThanOneExp` ends the process for a multiplier of 1 or more."""
    tensors = [tensor for tensor in (graph.input(op), graph.tensor(op, 1)) if tensor is not None]
    scales = [tensor.quantization.scale[0] for tensor in tensors if tensor.quantization and tensor.quantization.scale]
    if op.kind in _COMPARISONS and dtype is _I8 and max(scales, default=0.0) >= 1:
        return f"TFLM's kernel ends the program on int8 scales of 1 and more, here {max(scales):g}"
    out = graph.output(op).quantization
    if op.kind not in ("ADD", "SUB", "ADD_N", "CUMSUM") or dtype not in _SUM_BITS or not scales or not out:
        return None
    if out.scale and 2 * max(scales) >= out.scale[0] * 2 ** _SUM_BITS[dtype]:
        return f"TFLM's kernel ends the program on an output's scale of {out.scale[0]:g} for inputs' of {max(scales):g}"
    return None
