"""Is the graph what it claims to be? Defects that a reader cannot see and that some runtimes silently accept.

Each is one sentence about one tensor or operator. A graph with a fatal defect computes something undefined on some
runtime, or is refused by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mcuprof.errors import ModelError
from mcuprof.graph import ABSENT, DType, Graph, Tensor
from mcuprof.ops import output_shapes

NPU = "CUSTOM:ethos-u"

_RANGES = {
    DType.INT4: (-8, 7),
    DType.INT8: (-128, 127),
    DType.UINT8: (0, 255),
    DType.INT16: (-32768, 32767),
    DType.UINT16: (0, 65535),
}


@dataclass(frozen=True, slots=True)
class Defect:
    """`topic` is "operators" or "quantization"; `fatal` defects make results undefined."""

    topic: str
    message: str
    fatal: bool = True


def defects(graph: Graph) -> tuple[Defect, ...]:
    """All defects of the graph and its subgraphs, in order of appearance."""
    return tuple(defect for g in (graph, *graph.subgraphs) for defect in (*_order(g), *_operators(g), *_tensors(g)))


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
            yield Defect("operators", f"operator {number} ({op.kind}) reads {tensor.name!r} {why}")
        for index in op.outputs:
            if index in written and index != ABSENT:
                yield Defect("operators", f"operator {number} ({op.kind}) writes {graph.tensors[index].name!r} again")
            written.add(index)
    for index in graph.outputs:
        if index not in written and not graph.tensors[index].is_constant and not graph.tensors[index].variable:
            yield Defect("operators", f"output {graph.tensors[index].name!r} is never written")


def _operators(graph: Graph) -> Iterator[Defect]:
    for number, op in enumerate(graph.ops):
        where = f"operator {number} ({op.kind})"
        if any(op.integer(name, 1) <= 0 for name in ("stride_h", "stride_w", "dilation_h", "dilation_w")):
            yield Defect("operators", f"{where} has a stride or dilation of 0")
            continue
        try:
            shapes = output_shapes(graph, op, tuple(graph.tensors[i].shape if i >= 0 else () for i in op.inputs))
        except ModelError as error:
            yield Defect("operators", f"operator {number}: {error}")
            continue
        for index, shape in zip(op.outputs, shapes or (), strict=False):
            if index != ABSENT and graph.tensors[index].elements != math.prod(shape):
                stored = "x".join(map(str, graph.tensors[index].shape))
                computed = "x".join(map(str, shape))
                yield Defect("operators", f"{where} computes {computed}, the file declares {stored}")


def _tensors(graph: Graph) -> Iterator[Defect]:
    used = {index for op in graph.ops for index in (*op.inputs, *op.outputs) if index != ABSENT}
    for index in sorted(used | set(graph.inputs)):
        tensor = graph.tensors[index]
        if not tensor.is_constant and 0 in tensor.shape:
            yield Defect("operators", f"tensor {tensor.name!r} has a dimension of 0")
        if tensor.quantization is not None:
            yield from _quantization(tensor)


def _quantization(tensor: Tensor) -> Iterator[Defect]:
    parameters = tensor.quantization
    assert parameters is not None
    name = f"tensor {tensor.name!r}"
    if tensor.dtype.is_integer:
        bad = next((scale for scale in parameters.scale if not (math.isfinite(scale) and scale > 0)), None)
        if bad is not None:
            # A constant of zeros may say so with a scale of zero; runtimes take it.
            yield Defect("quantization", f"{name} has the scale {bad:g}", fatal=bad != 0 or not tensor.is_constant)
    low, high = _RANGES.get(tensor.dtype, (-math.inf, math.inf))
    outside = next((zero for zero in parameters.zero_point if not low <= zero <= high), None)
    if outside is not None:
        yield Defect("quantization", f"{name} has the zero point {outside}, outside {tensor.dtype.value}")
    count = len(parameters.scale)
    if count > 1 and not parameters.block:
        # TFLM ignores the axis where only one can be meant (person_detect's 1-D biases claim axis 3).
        rank = len(tensor.shape)
        axis = parameters.axis if -rank <= parameters.axis < rank else -1
        if not tensor.shape or tensor.shape[axis] != count:
            yield Defect("quantization", f"{name} has {count} scales for {'x'.join(map(str, tensor.shape))} elements")
