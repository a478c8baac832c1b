"""Floor 1: what an operator means: output shapes, MACs, parameters. One file per family, one registry: this one.

Adding an operator is adding one `Operator` to the `OPERATORS` of its family's file. A kind that is in none of them is
opaque: it keeps its tensors and their sizes, and reports say that nothing more is known of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mcuprof.errors import ModelError
from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops import (
    activation,
    control,
    conv,
    custom,
    dense,
    detection,
    elementwise,
    joining,
    movement,
    normalization,
    pool,
    quantize,
    recurrent,
    reduce,
    resize,
    signal,
    totals,
)
from mcuprof.ops.operator import Operator, ShapeUnknown
from mcuprof.ops.rows import Rows, rows_of

_FAMILIES = (
    activation,
    control,
    conv,
    custom,
    dense,
    detection,
    elementwise,
    joining,
    movement,
    normalization,
    pool,
    quantize,
    recurrent,
    reduce,
    resize,
    signal,
    totals,
)

OPERATORS: Mapping[str, Operator] = {operator.kind: operator for family in _FAMILIES for operator in family.OPERATORS}


def is_known(op: Op) -> bool:
    """True when mcuprof knows what the operator means; opaque operators have sizes but no MACs."""
    return op.kind in OPERATORS


def keeps_state(op: Op) -> bool:
    """True when the operator keeps something for itself from one inference to the next, outside the graph's tensors."""
    operator = OPERATORS.get(op.kind)
    return operator is not None and operator.state is not None


def macs(graph: Graph, op: Op) -> int:
    """Multiply-accumulates of one execution; 0 for opaque operators and those whose operands cannot be right."""
    operator = OPERATORS.get(op.kind)
    try:
        return operator.macs(graph, op) if operator else 0
    except (LookupError, ValueError):
        return 0


def row_rule(graph: Graph, op: Op) -> Rows | None:
    """How `op` runs on a stripe of rows; None where it needs the whole image."""
    operator = OPERATORS.get(op.kind)
    return rows_of(operator.rows if operator else None, graph, op)


def total_macs(graph: Graph) -> int:
    """Multiply-accumulates of one inference: all operators of the main graph."""
    return sum(macs(graph, op) for op in graph.ops)


def parameters(graph: Graph) -> int:
    """Trained values: elements of all constants but index data (plain 32- and 64-bit integers), each tensor once."""
    used = {index for op in graph.ops for index in op.inputs if index >= 0}
    return sum(
        graph.tensors[index].elements
        for index in used
        if graph.tensors[index].is_constant and not _is_index_data(graph, index)
    )


def _is_index_data(graph: Graph, index: int) -> bool:
    tensor = graph.tensors[index]
    return tensor.dtype.is_integer and tensor.dtype.bits >= 32 and tensor.quantization is None


def output_shapes(graph: Graph, op: Op, inputs: tuple[Shape, ...]) -> tuple[Shape, ...] | None:
    """Output shapes of `op` for these input shapes (`()` for absent ones); None when only running can tell.

    Raises ModelError when the inputs cannot be right for this operator.
    """
    operator = OPERATORS.get(op.kind)
    if operator is None:
        return None
    try:
        return operator.shapes(graph, op, inputs)
    except ShapeUnknown:
        return None
    except (ValueError, IndexError, LookupError, TypeError) as error:
        raise ModelError(f"{op.kind} cannot take {_list(inputs)}: {error}") from error


def propagate_shapes(graph: Graph) -> Graph:
    """The graph with the shapes of all computed tensors derived anew from its inputs, in execution order.

    Used after an input's shape was changed. Raises ModelError when an operator cannot take its new inputs.
    """
    shapes: list[Shape] = [tensor.shape for tensor in graph.tensors]
    for op in graph.ops:
        inputs = tuple(shapes[index] if index >= 0 else () for index in op.inputs)
        outputs = output_shapes(graph, op, inputs)
        for index, shape in zip(op.outputs, outputs or (), strict=False):
            if index >= 0:
                shapes[index] = shape
    tensors = tuple(replace(tensor, shape=shape) for tensor, shape in zip(graph.tensors, shapes, strict=True))
    return replace(graph, tensors=tensors)


def _list(shapes: tuple[Shape, ...]) -> str:
    return ", ".join("x".join(map(str, shape)) or "scalar" for shape in shapes)


__all__ = [
    "OPERATORS",
    "Operator",
    "Rows",
    "is_known",
    "keeps_state",
    "macs",
    "output_shapes",
    "parameters",
    "propagate_shapes",
    "row_rule",
    "total_macs",
]
