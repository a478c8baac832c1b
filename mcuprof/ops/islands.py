"""Where a network is not quantized: nowhere, everywhere, or in parts that cost a conversion at each border."""

from __future__ import annotations

from dataclasses import dataclass

from mcuprof.graph import ABSENT, DType, Graph, Op
from mcuprof.ops.movement import VIEWS

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_FLOATS = (DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32, DType.FLOAT64)
_WORK = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "SVDF")
_RECURRENT = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "GRU", "RNN")


@dataclass(frozen=True, slots=True)
class FloatParts:
    """Operators that compute in float, by index, in groups that are connected by float tensors.

    `islands` have quantized tensors all around them (an empty island is a DEQUANTIZE that leads straight into a
    QUANTIZE, and is known by the index of the latter), `left` reach an input or output of the model; both only in
    graphs of which other operators are quantized. `everywhere`: the operators with weights all compute in float.
    """

    islands: tuple[tuple[int, ...], ...] = ()
    left: tuple[tuple[int, ...], ...] = ()
    everywhere: bool = False


def float_parts(graph: Graph) -> FloatParts:
    """What of the main graph computes in float. Nothing is said of graphs without operators that have weights."""
    floats = {index: op for index, op in enumerate(graph.ops) if op.kind not in _CONVERSIONS and _float(graph, op)}
    working = [index for index, op in enumerate(graph.ops) if op.kind in (*_WORK, *_RECURRENT)]
    if working and all(index in floats for index in working):
        return FloatParts(everywhere=True)
    if not any(_quantized(graph, op) for op in graph.ops):
        return FloatParts()
    islands: list[tuple[int, ...]] = [
        (index,) for index, op in enumerate(graph.ops) if op.kind == "QUANTIZE" and _comes_back(graph, op)
    ]
    left: list[tuple[int, ...]] = []
    for group in _groups(graph, floats):
        if all(graph.ops[index].kind in VIEWS for index in group):
            continue  # a reshape before the first QUANTIZE computes nothing
        if not _surrounded(graph, group):
            left.append(group)
        elif _from_integers(graph, group):
            islands.append(group)
    return FloatParts(tuple(sorted(islands)), tuple(left))


def _computed(graph: Graph, op: Op) -> list[int]:
    """Tensors that the operator reads and writes at each inference."""
    return [i for i in (*op.inputs, *op.outputs) if i != ABSENT and not graph.tensors[i].is_constant]


def _float(graph: Graph, op: Op) -> bool:
    """Whether it computes in float: of its tensors some are float and none is quantized."""
    types = [graph.tensors[index] for index in _computed(graph, op)]
    return any(t.dtype in _FLOATS for t in types) and not any(_is_quantized(graph, i) for i in _computed(graph, op))


def _quantized(graph: Graph, op: Op) -> bool:
    return op.kind in (*_WORK, *_RECURRENT) and _is_quantized(graph, next(iter(op.outputs), ABSENT))


def _is_quantized(graph: Graph, index: int) -> bool:
    tensor = graph.tensors[index] if index != ABSENT else None
    return tensor is not None and tensor.dtype.is_integer and tensor.quantization is not None


def _comes_back(graph: Graph, op: Op) -> bool:
    """QUANTIZE of what a DEQUANTIZE of a computed tensor wrote, which nobody else reads as float."""
    if not op.inputs or op.inputs[0] not in graph.producer:
        return False
    before = graph.ops[graph.producer[op.inputs[0]]]
    return before.kind == "DEQUANTIZE" and all(i in graph.producer or i in graph.inputs for i in before.inputs)


def _groups(graph: Graph, floats: dict[int, Op]) -> list[tuple[int, ...]]:
    """Operators connected by float tensors, in the order of their first ones."""
    groups: list[tuple[int, ...]] = []
    seen: set[int] = set()
    for start in floats:
        if start in seen:
            continue
        seen.add(start)
        reached, waiting = [start], [start]
        while waiting:
            for tensor in _computed(graph, graph.ops[waiting.pop()]):
                if graph.tensors[tensor].dtype not in _FLOATS:
                    continue
                for near in (*graph.consumers.get(tensor, ()), graph.producer.get(tensor, -1)):
                    if near in floats and near not in seen:
                        seen.add(near)
                        reached.append(near)
                        waiting.append(near)
        groups.append(tuple(sorted(reached)))
    return groups


def _from_integers(graph: Graph, group: tuple[int, ...]) -> bool:
    """Whether a DEQUANTIZE feeds it; values that begin as floats or were counted have to be converted somewhere."""
    producers = (graph.producer.get(tensor) for index in group for tensor in graph.ops[index].inputs)
    return any(source is not None and graph.ops[source].kind == "DEQUANTIZE" for source in producers)


def _surrounded(graph: Graph, group: tuple[int, ...]) -> bool:
    """Whether every float tensor at the group's border comes from a DEQUANTIZE or goes to a QUANTIZE."""
    inside = set(group)
    for index in group:
        op = graph.ops[index]
        for tensor in op.inputs:
            if tensor == ABSENT or graph.tensors[tensor].is_constant or graph.tensors[tensor].dtype not in _FLOATS:
                continue
            source = graph.producer.get(tensor)
            if source is None or (source not in inside and graph.ops[source].kind != "DEQUANTIZE"):
                return False
        for tensor in op.outputs:
            if tensor == ABSENT or graph.tensors[tensor].dtype not in _FLOATS:
                continue
            readers = graph.consumers.get(tensor, ())
            if tensor in graph.outputs or any(i not in inside and graph.ops[i].kind != "QUANTIZE" for i in readers):
                return False
    return True
