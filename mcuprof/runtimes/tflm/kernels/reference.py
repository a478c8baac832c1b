"""TFLM's reference kernels: what each allocates, from their sources (tensorflow/lite/micro/kernels/*.cc).

Record sizes are those of the structures in each ABI (abi.py); three numbers are (ARM, ILP32, 64-bit host).
"""

from __future__ import annotations

from mcuprof.graph import DType, Graph, Op, Tensor
from mcuprof.ops.dense import weights_shape
from mcuprof.ops.flexoptions import integer_option
from mcuprof.ops.geometry import bias_position, operands, window
from mcuprof.ops.kernel import NoKernel
from mcuprof.ops.operator import ShapeUnknown
from mcuprof.ops.reduce import reduction_axes
from mcuprof.runtimes.tflm.abi import EVAL_TENSOR, HOST64, Abi
from mcuprof.runtimes.tflm.kernels import signal
from mcuprof.runtimes.tflm.kernels.base import KernelMemory, Rules, data, nothing

CONCATENATION = (24, 24, 80)  # OpData of ConcatenationInit, by ABI
SOFTMAX_LUT_BYTES = 513 * 2  # two int16 tables for int16 inputs (softmax_common.cc, kInt16LUTArraySize)


def convolution(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpDataConv and two per-channel tables (multiplier, shift), allocated for every type; int4 weights unpacked."""
    record = target.pick((56, 56, 80))
    return KernelMemory((record,), channel_tables(graph, op), unpacked(graph.input(op, 1)))


def transpose_convolution(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """As convolution, plus an accumulator per output element: int32 for int8, int64 and a widened bias for int16."""
    (x, _), output = operands(graph, op), graph.output(op)
    scratch: tuple[int, ...] = ()
    if x.dtype is DType.INT8:
        scratch = (4 * output.elements,)
    elif x.dtype is DType.INT16:
        scratch = (8 * output.elements,)
        bias = graph.tensor(op, bias_position(op))
        if bias is not None and bias.dtype is DType.INT16:
            scratch = (*scratch, 8 * bias.elements)
    return KernelMemory((target.pick((76, 76, 88)),), channel_tables(graph, op), scratch)


def channel_tables(graph: Graph, op: Op) -> tuple[int, int]:
    """Multiplier and shift (int32) per output channel of a convolution, in any layout."""
    size = 4 * window(graph, op).out_c
    return size, size


def fully_connected(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpDataFullyConnected; two tables only when the weights are quantized per channel."""
    weights = graph.input(op, 1)
    tables: tuple[int, ...] = ()
    if weights.quantization is not None and weights.quantization.per_channel and weights.dtype.is_integer:
        tables = (4 * weights_shape(op, weights.shape)[0],) * 2
    return KernelMemory((target.pick((48, 48, 72)),), tables, unpacked(weights))


def unpacked(weights: Tensor) -> tuple[int, ...]:
    """Scratch for int4 weights, which the reference kernels unpack to one byte each."""
    return (weights.elements,) if weights.dtype is DType.INT4 else ()


def softmax(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """SoftmaxParams; int16 inputs add two lookup tables."""
    tables = (SOFTMAX_LUT_BYTES,) * 2 if graph.input(op).dtype is DType.INT16 else ()
    return KernelMemory((target.pick((56, 56, 80)),), tables)


def mean(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpDataReduce; scratch for sums (int32 per output element, integers only), iteration index, resolved axes."""
    x, output = graph.input(op), graph.output(op)
    try:
        axes = max(1, len(reduction_axes(graph, op)))
    except ShapeUnknown:
        axes = len(x.shape)
    sums = (4 * output.elements,) if x.dtype in (DType.INT8, DType.INT16) else ()
    return KernelMemory((44,), (), (*sums, 4 * len(x.shape), 4 * axes))


def reduce_extreme(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpDataReduce; scratch for the iteration index and the resolved axes."""
    return KernelMemory((44,), (), mean(graph, op, target).scratch[-2:])


def svdf(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpDataSvdf; scratch for the feature products (batch · filters) and, in integers, the outputs (batch · units)."""
    x = graph.input(op)
    filters, units = graph.input(op, 1).shape[0], graph.output(op).shape[-1]
    batch = x.shape[0]
    products = (4 * batch * filters,)
    return KernelMemory((36,), (), products if x.dtype.is_float else (*products, 4 * batch * units))


def lstm(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpDataLSTM; four gate buffers of batch · units cell values each."""
    x, state = graph.input(op), graph.input(op, 19)
    batch = x.shape[1 if op.integer("time_major") else 0]
    gate = state.dtype.nbytes(batch * state.shape[-1])
    return KernelMemory((688,), (), (gate,) * 4)


def assign_variable(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """Nothing; the build with compression keeps a record."""
    return KernelMemory((8,)) if target is HOST64 else KernelMemory()


def batch_matmul(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpData, quantization of integers, transposed copies of x (with adj_x), y (without adj_y), the output's shape."""
    x, y, output = graph.input(op), graph.input(op, 1), graph.output(op)
    quantization = (28,) if x.dtype in (DType.INT8, DType.INT16) else ()
    copies = [tensor for tensor, copied in ((x, op.integer("adj_x")), (y, not op.integer("adj_y"))) if copied]
    made = [size for tensor in copies for size in (target.pick(EVAL_TENSOR), dims(tensor), tensor.nbytes)]
    return KernelMemory((target.pick((16, 16, 32)),), (*quantization, *made, dims(output)))


def dims(tensor: Tensor) -> int:
    """A TfLiteIntArray of the tensor's shape."""
    return 4 + 4 * len(tensor.shape)


def writable_shape(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """A copy of the output's shape (`CreateWritableTensorDimsWithCopy`)."""
    return KernelMemory((), (dims(graph.output(op)),))


def log_softmax(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """LogSoftmaxOpData for int8."""
    return KernelMemory((), (target.pick((28, 28, 40)),) if graph.input(op).dtype is DType.INT8 else ())


def cumulative_sum(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpData for int8."""
    return KernelMemory((), (36,) if graph.input(op).dtype is DType.INT8 else ())


def add_n(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpData for int8; scratch for the addresses of the inputs."""
    pointers = (target.word * len(op.inputs),)
    return KernelMemory((), (40,) if graph.input(op).dtype is DType.INT8 else (), pointers)


def mirror_pad(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpDataMirrorPad; scratch for the elements below each dimension of the output and of the input."""
    size = 4 * len(graph.input(op).shape)
    return KernelMemory((20,), (), (size, size))


def embedding_lookup(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpData (a scale and a size), a copy of the output's shape."""
    return KernelMemory((), (target.pick((8, 8, 16)), dims(graph.output(op))))


def detection_postprocess(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """OpData; eleven scratch buffers over boxes, classes and detections (`DetectionPostProcessPrepare`)."""
    boxes, scores = graph.input(op).shape, graph.input(op, 1).shape
    try:
        most = integer_option(op, "max_detections", 0, 2**31 - 1)
        classes = integer_option(op, "num_classes", 0, 2**31 - 1)
    except NoKernel:
        return KernelMemory((112,), exact=False)
    count = boxes[1]
    each, per_detection = 4 * count, 4 * count * most
    scratch = (count, 4 * each, 4 * scores[1] * scores[2], each, each, per_detection, per_detection, each)
    return KernelMemory((112,), (), (*scratch, per_detection, each * max(classes, most), each * min(count, most)))


RULES: Rules = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), convolution),
    "TRANSPOSE_CONV": transpose_convolution,
    "FULLY_CONNECTED": fully_connected,
    "SOFTMAX": softmax,
    **dict.fromkeys(("MEAN", "SUM"), mean),
    **dict.fromkeys(("REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL"), reduce_extreme),
    "SVDF": svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), data(32)),
    "ADD": data(60),
    "SUB": data(52),
    "MUL": data(36),
    "LEAKY_RELU": data(24),
    **dict.fromkeys(("LOGISTIC", "TANH"), data(16)),
    "HARD_SWISH": data(20),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE"), data(32)),
    "RELU": data(28),
    "RELU6": data(8),
    "PRELU": data(28),
    "CONCATENATION": data(*CONCATENATION),
    **dict.fromkeys(("PAD", "PADV2"), data(56)),
    "STRIDED_SLICE": data(84),
    "ELU": data(256),  # OpData is a table of 256 int8 results
    "VAR_HANDLE": data(4),
    "ASSIGN_VARIABLE": assign_variable,
    **dict.fromkeys(("CALL_ONCE", "IF", "WHILE"), data(8)),
    "BATCH_MATMUL": batch_matmul,
    **dict.fromkeys(("ABS", "RSQRT"), data(20, 28)),
    "DIV": data(28),
    "SQUARED_DIFFERENCE": data(112),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"), data(32)),
    "SELECT_V2": data(1),
    **dict.fromkeys(("L2_NORMALIZATION", "SPACE_TO_BATCH_ND"), data(4)),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "GATHER", "GATHER_ND", "L2_POOL_2D"), writable_shape),
    "LOG_SOFTMAX": log_softmax,
    "CUMSUM": cumulative_sum,
    "ADD_N": add_n,
    "MIRROR_PAD": mirror_pad,
    "EMBEDDING_LOOKUP": embedding_lookup,
    "CUSTOM:TFLite_Detection_PostProcess": detection_postprocess,
    **signal.RULES,
    **dict.fromkeys(
        (
            *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "SHAPE", "SLICE", "SPLIT", "SPLIT_V", "PACK", "UNPACK"),
            *("TRANSPOSE", "MAXIMUM", "MINIMUM", "RESIZE_BILINEAR", "CAST", "FLOOR", "DYNAMIC_UPDATE_SLICE"),
            *("RESIZE_NEAREST_NEIGHBOR", "READ_VARIABLE", "REVERSE_V2", "FILL", "ZEROS_LIKE", "BROADCAST_ARGS"),
            *("EXP", "ROUND", "CEIL", "NEG", "SIN", "COS", "LOG", "SQRT", "SQUARE", "LOGICAL_NOT", "LOGICAL_AND"),
            *("LOGICAL_OR", "BROADCAST_TO", "ARG_MAX", "ARG_MIN", "FLOOR_DIV", "FLOOR_MOD", "BATCH_TO_SPACE_ND"),
        ),
        nothing,
    ),
}
