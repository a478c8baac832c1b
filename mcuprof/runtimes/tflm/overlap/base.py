"""What the rules of all libraries start from: the plain cases that they were derived and executed for."""

from __future__ import annotations

from collections.abc import Callable

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops.geometry import Window, window
from mcuprof.ops.sharing import REFERENCE

EXAMINED_PIXELS = 1 << 20  # far beyond any microcontroller's images; some rules go through all output pixels

Distance = Callable[[Graph, Op, int], int | None]
"""(graph, operator, input position) → bytes below the input at which the output may start; None: must be disjoint."""


def as_reference(graph: Graph, op: Op, position: int) -> int | None:
    """The reference kernel's distance, where it is proven to hold for the library's kernel too."""
    return REFERENCE[op.kind](graph, op, position)


def plain_window(graph: Graph, op: Op, types: tuple[DType, ...]) -> Window | None:
    """The window of a convolution or pool as it was examined: one batch, no dilation, no groups, one element type, and
    an output of at most `EXAMINED_PIXELS`.

    Dilation and groups change which kernel is called, and groups re-read the input: there nothing may be shared.
    """
    x, output = graph.input(op), graph.output(op)
    if x.dtype not in types or output.dtype is not x.dtype or op.text("layout", "NHWC") != "NHWC":
        return None
    try:
        view = window(graph, op)
    except (LookupError, ValueError):
        return None
    depth = 1 if op.kind == "CONV_2D" else view.groups
    plain = view.batch == 1 and (view.dilation_h, view.dilation_w) == (1, 1) and view.groups == depth
    return view if plain and view.out_pixels <= EXAMINED_PIXELS else None


def one_row(graph: Graph, op: Op) -> bool:
    """A dense layer on a single vector, int8 or int16, with one scale for all weights."""
    x, weights, output = graph.input(op), graph.input(op, 1), graph.output(op)
    one_scale = weights.quantization is None or not weights.quantization.per_channel
    single = output.shape[-1:] == weights.shape[:1] == (output.elements,)
    return x.dtype in (DType.INT8, DType.INT16) and output.dtype is x.dtype and one_scale and single


def same_shapes(graph: Graph, op: Op) -> bool:
    """Both operands and the output have one shape and one type of 8 or 16 bits: nothing is broadcast."""
    x, y, output = graph.input(op), graph.input(op, 1), graph.output(op)
    types = x.dtype in (DType.INT8, DType.INT16) and x.dtype is y.dtype is output.dtype
    return types and x.shape == y.shape == output.shape
