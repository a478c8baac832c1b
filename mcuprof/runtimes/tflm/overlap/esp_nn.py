"""How far outputs may overlap dying inputs under ESP-NN (d45b843).

The generic C kernels, both the plain and the optimised ones, walk their inputs as the reference does: traced and
executed on 127 chosen shapes (`overlap_distances.csv` of the project's data). The vector kernels of the ESP32-S3 and
ESP32-P4 are assembly that nobody has examined: nothing may be shared there.
"""

from __future__ import annotations

from typing import Literal

from mcuprof.graph import DType, Graph, Op
from mcuprof.runtimes.tflm.overlap.base import Distance, as_reference, one_row, plain_window, same_shapes

Variant = Literal["generic", "vector"]


def rules(variant: Variant) -> dict[str, Distance]:
    """The rules of all kernels that ESP-NN has and that were examined, by operator kind."""
    if variant == "vector":
        return dict.fromkeys(_EXAMINED, _disjoint)
    return _EXAMINED


def _window(graph: Graph, op: Op, position: int) -> int | None:
    return as_reference(graph, op, position) if plain_window(graph, op, (DType.INT8,)) else None


def _dense(graph: Graph, op: Op, position: int) -> int | None:
    int8 = graph.input(op).dtype is DType.INT8
    return as_reference(graph, op, position) if int8 and one_row(graph, op) else None


def _elementwise(graph: Graph, op: Op, position: int) -> int | None:
    int8 = graph.input(op).dtype is DType.INT8
    return as_reference(graph, op, position) if int8 and same_shapes(graph, op) else None


def _softmax(graph: Graph, op: Op, position: int) -> int | None:
    both = {graph.input(op).dtype, graph.output(op).dtype}
    return as_reference(graph, op, position) if both == {DType.INT8} else None


def _disjoint(graph: Graph, op: Op, position: int) -> int | None:
    return None


_EXAMINED: dict[str, Distance] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"), _window),
    "FULLY_CONNECTED": _dense,
    "ADD": _elementwise,
    "MUL": _elementwise,
    "SOFTMAX": _softmax,
}
