"""In-memory and analog arrays as a class: what a layer takes on arrays of rows × columns that a user describes.

A layer's weights are a matrix of taps by outputs, cut into tiles of the array's size; tiles of one layer work side
by side as far as there are arrays, the rest after them. Each input vector, one an output position, is converted once
per tile and bit slice; columns that share a converter wait for one another. Arrays that are rewritten pay for loading
each tile once; arrays that keep their weights must hold all tiles of the network at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcuprof.costs.laws import NoData
from mcuprof.costs.npu.work import ceil_div
from mcuprof.graph import Graph, Op
from mcuprof.hardware import ArrayTiles
from mcuprof.ops.geometry import window
from mcuprof.units import parse_clock_hz

_WINDOWS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


@dataclass(frozen=True, slots=True)
class ArrayLayer:
    """One layer on the arrays: its tiles, how often the arrays are filled anew, its conversions one after another."""

    operator: int
    tiles: int
    passes: int
    conversions: int
    cycles: float
    utilisation: float


@dataclass(frozen=True, slots=True)
class ArrayEstimate:
    """All layers with weights; `fallen` operators have none and run on the host. `clock_hz` drives the conversions."""

    layers: tuple[ArrayLayer, ...]
    fallen: dict[int, str]
    cycles: float
    clock_hz: int

    @property
    def ms(self) -> float:
        """Milliseconds on the arrays, host operators excluded."""
        return self.cycles / self.clock_hz * 1000


def on_arrays(graph: Graph, array: ArrayTiles) -> ArrayEstimate | NoData:
    """What `graph` takes on the arrays. NoData where arrays that keep their weights cannot hold all of them."""
    layers: list[ArrayLayer] = []
    fallen: dict[int, str] = {}
    for index, op in enumerate(graph.ops):
        matrix = _matrix(graph, op)
        if matrix is None:
            fallen[index] = f"{op.kind} has no weights"
            continue
        layers.append(_layer(index, array, *matrix))
    tiles = sum(layer.tiles for layer in layers)
    if not array.load_cycles_per_row and tiles > array.arrays:
        return NoData(f"the weights take {tiles} tiles, there are {array.arrays} arrays and they keep their weights")
    return ArrayEstimate(tuple(layers), fallen, sum(layer.cycles for layer in layers), parse_clock_hz(array.clock))


def _matrix(graph: Graph, op: Op) -> tuple[int, int, int, int] | None:
    """Taps, outputs per group, groups and input vectors of an operator with weights; None for others."""
    if op.kind in _WINDOWS:
        g = window(graph, op)
        return g.taps, g.out_c // max(1, g.groups), g.groups, g.out_pixels
    if op.kind == "FULLY_CONNECTED":
        weights = graph.input(op, 1)
        units, depth = weights.shape[0], weights.shape[-1]
        return depth, units, 1, graph.output(op).elements // max(1, units)
    return None


def _layer(index: int, array: ArrayTiles, taps: int, outputs: int, groups: int, vectors: int) -> ArrayLayer:
    columns = outputs * ceil_div(array.weight_bits, array.cell_bits)
    tiles = ceil_div(taps, array.rows) * ceil_div(columns, array.columns) * groups
    passes = ceil_div(tiles, array.arrays)
    slices = ceil_div(array.input_bits, array.bits_per_conversion)
    shared = min(array.columns_per_converter, columns)
    conversions = vectors * slices * shared * passes
    loading = min(taps, array.rows) * array.load_cycles_per_row * passes
    cells = tiles * array.rows * array.columns
    return ArrayLayer(
        index,
        tiles,
        passes,
        conversions,
        conversions * array.conversion_cycles + loading,
        taps * columns * groups / cells,
    )
