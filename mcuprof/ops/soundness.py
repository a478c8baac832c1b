"""Is the graph what it claims to be? Defects that a reader cannot see and that some runtimes silently accept.

Each is one sentence about one tensor or operator. A graph with a fatal defect computes something undefined on some
runtime, or is refused by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from mcuprof.errors import ModelError
from mcuprof.graph import ABSENT, DType, Graph, Op, Shape, Tensor
from mcuprof.ops import output_shapes
from mcuprof.ops.conventions import broken_conventions
from mcuprof.ops.defect import Defect

NPU = "CUSTOM:ethos-u"

_RANGES = {
    DType.INT4: (-8, 7),
    DType.INT8: (-128, 127),
    DType.UINT8: (0, 255),
    DType.INT16: (-32768, 32767),
    DType.UINT16: (0, 65535),
}


# Their output has the type of their data (at this position), or the graph contradicts itself.
_SAME_TYPE = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "MAX_POOL_2D"), 0),
    **dict.fromkeys(("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "MEAN", "SUM", "LOGISTIC", "TANH"), 0),
    **dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "PRELU", "HARD_SWISH", "ELU", "ABS", "NEG"), 0),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2", "CONCATENATION", "PACK"), 0),
    **dict.fromkeys(("SLICE", "STRIDED_SLICE", "GATHER", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), 0),
    "SPLIT": 1,
    "TRANSPOSE_CONV": 2,
}


def defects(graph: Graph) -> tuple[Defect, ...]:
    """All defects of the graph and its subgraphs, in order of appearance."""
    graphs = (graph, *graph.subgraphs)
    return tuple(
        defect for g in graphs for defect in (*_order(g), *_operators(g), *_tensors(g), *broken_conventions(g))
    )


def _order(graph: Graph) -> Iterator[Defect]:
    written = set(graph.inputs)
    producers = graph.producer
    for number, op in enumerate(graph.ops):
        for index in op.inputs:
            tensor = graph.tensors[index] if index != ABSENT else None
            if tensor is None or tensor.is_constant or tensor.variable or index in written:
                continue
            if op.kind == NPU:  # its scratch is an input that nobody writes
                continue
            later = producers.get(index)
            why = "before any operator writes it" if later is None else f"before operator {later} writes it"
            yield Defect("operators", f"reads {tensor.name!r} {why}").at(number, op.kind)
        for index in op.outputs:
            if index in written and index != ABSENT:
                yield Defect("operators", f"writes {graph.tensors[index].name!r} again").at(number, op.kind)
            written.add(index)
    for index in graph.outputs:
        if index not in written and not graph.tensors[index].is_constant and not graph.tensors[index].variable:
            yield Defect("operators", f"output {graph.tensors[index].name!r} is never written")


def _operators(graph: Graph) -> Iterator[Defect]:
    for number, op in enumerate(graph.ops):
        if any(op.integer(name, 1) <= 0 for name in ("stride_h", "stride_w", "dilation_h", "dilation_w")):
            yield Defect("operators", "has a stride or dilation of 0").at(number, op.kind)
            continue
        try:
            shapes = output_shapes(graph, op, tuple(graph.tensors[i].shape if i >= 0 else () for i in op.inputs))
        except ModelError as error:
            yield Defect("operators", str(error)).at(number)
            continue
        for index, shape in zip(op.outputs, shapes or (), strict=False):
            if index != ABSENT and not _agree(op, graph.tensors[index], shape):
                stored = "x".join(map(str, graph.tensors[index].shape))
                computed = "x".join(map(str, shape))
                text = f"computes {computed}, the file declares {stored}"
                yield Defect("operators", text).at(number, op.kind)
        yield from (defect.at(number, op.kind) for defect in (*_type(graph, op), *_parts(graph, op)))


def _agree(op: Op, tensor: Tensor, shape: Shape) -> bool:
    """Kernels take the number of elements; what is joined along an axis is laid out by the declared shape."""
    if op.kind == "CONCATENATION" and len(tensor.shape) == len(shape):
        return tensor.shape == shape
    return tensor.elements == math.prod(shape)


def _type(graph: Graph, op: Op) -> Iterator[Defect]:
    position = _SAME_TYPE.get(op.kind)
    data = None if position is None else graph.tensor(op, position)
    out = graph.tensors[op.outputs[0]] if op.outputs and op.outputs[0] != ABSENT else None
    if data is None or out is None or data.dtype is out.dtype:
        return
    if op.source in ("", op.kind):  # ONNX's own operators (ConvInteger, MatMulInteger ...) may have two types
        yield Defect("operators", f"computes {data.dtype.value}, the file declares {out.dtype.value}")


def _parts(graph: Graph, op: Op) -> Iterator[Defect]:
    """PACK and UNPACK go by their option: they read beyond the inputs, or leave outputs unwritten. SPLIT does not."""
    tensors = {"PACK": op.inputs, "UNPACK": op.outputs}.get(op.kind)
    if tensors is None or graph.origin.format != "tflite":
        return
    if (count := op.integer("values", 0)) != len(tensors):
        yield Defect("operators", f"is said to have {count} parts, and has {len(tensors)}")


def _tensors(graph: Graph) -> Iterator[Defect]:
    used = {index for op in graph.ops for index in (*op.inputs, *op.outputs) if index != ABSENT}
    for index in sorted(used | set(graph.inputs)):
        tensor = graph.tensors[index]
        if not tensor.is_constant and 0 in tensor.shape:
            yield Defect("operators", "has a dimension of 0", tensor=tensor.name)
        if tensor.quantization is not None:
            yield from (replace(defect, tensor=tensor.name) for defect in _quantization(tensor))


def _quantization(tensor: Tensor) -> Iterator[Defect]:
    parameters = tensor.quantization
    assert parameters is not None
    if tensor.dtype.is_integer:
        bad = next((scale for scale in parameters.scale if not (math.isfinite(scale) and scale > 0)), None)
        if bad is not None:
            # A constant of zeros may say so with a scale of zero; runtimes take it.
            yield Defect("quantization", f"has the scale {bad:g}", fatal=bad != 0 or not tensor.is_constant)
    low, high = _RANGES.get(tensor.dtype, (-math.inf, math.inf))
    outside = next((zero for zero in parameters.zero_point if not low <= zero <= high), None)
    if outside is not None:
        yield Defect("quantization", f"has the zero point {outside}, outside {tensor.dtype.value}")
    count = len(parameters.scale)
    if count > 1 and not parameters.block:
        # TFLM ignores the axis where only one can be meant (person_detect's 1-D biases claim axis 3).
        rank = len(tensor.shape)
        axis = parameters.axis if -rank <= parameters.axis < rank else -1
        if not tensor.shape or tensor.shape[axis] != count:
            yield Defect("quantization", f"has {count} scales for {'x'.join(map(str, tensor.shape))} elements")
