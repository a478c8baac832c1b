"""Flash and latency of many candidates at once: every layer that occurs is costed once, then arrays are summed.

A search over widths and resolutions meets the same layers again and again; what remains per candidate is one look-up
per layer and its share of a few NumPy sums. Arenas depend on the whole network and are left to `Evaluator.cost`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcuprof import costs
from mcuprof.costs import cycles as cycles_
from mcuprof.errors import UsageError
from mcuprof.graph import DType, Graph, Op, Shape, Tensor
from mcuprof.search.evaluator import Evaluator
from mcuprof.search.layers import TABLE_BYTES, Block, Builder, Layer, network_input

Candidate = tuple[Sequence[Layer], Shape]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """One entry per candidate; NaN where there is no data. Fields as in `Cost`."""

    flash_bytes: Integers
    macs: Integers
    instructions: Floats
    cycles: Floats
    ms: Floats
    low_ms: Floats
    high_ms: Floats


@dataclass(frozen=True, slots=True)
class _Known:
    """What one layer at one input shape adds; `weighted` instructions are what turns into cycles."""

    row: int
    output: Shape
    file_bytes: int
    weights: int
    kind: int
    macs: int
    instructions: float
    weighted: float


class Batch:
    """Costs candidates by what `evaluator` knows of layers that `builder` makes."""

    def __init__(self, evaluator: Evaluator, builder: Builder) -> None:
        self._evaluator, self._builder = evaluator, builder
        self._layers: dict[tuple[Layer, tuple[Shape, ...]], _Known] = {}
        self._rows: list[_Known] = []
        self._kinds: list[str] = []
        self._book: costs.Work | None = None

    def costs(self, candidates: Sequence[Candidate]) -> Costs:
        """Raises UsageError for layers that are no network, with the indices of candidate and layer."""
        rows: list[int] = []
        counts: list[int] = []
        for number, (layers, shape) in enumerate(candidates):
            try:
                rows += self._rows_of(layers, shape)
            except UsageError as error:
                raise UsageError(f"candidate {number}: {error}") from None
            counts.append(len(layers))
        if not counts:
            nothing = np.zeros(0)
            return Costs(nothing.astype(np.int64), nothing.astype(np.int64), *(nothing,) * 5)
        sizes = np.array(counts, np.int64)
        owner = np.repeat(np.arange(len(sizes)), sizes)
        picked = np.array(rows, np.int64)

        def total(values: Sequence[float]) -> Floats:
            return np.bincount(owner, np.array(values, float)[picked], len(sizes)).astype(np.float64)

        model = total([known.file_bytes for known in self._rows]) + TABLE_BYTES + 12
        macs = total([known.macs for known in self._rows])
        counted = total([known.instructions for known in self._rows])
        flash = model.astype(np.int64) + self._code(sizes, picked)
        return Costs(flash, macs.astype(np.int64), *self._latency(counted, sizes, rows))

    def _rows_of(self, layers: Sequence[Layer], input_shape: Shape) -> list[int]:
        if not layers:
            raise UsageError("a network needs at least one layer")
        shapes: list[Shape] = [network_input(input_shape).shape]
        rows = []
        for number, layer in enumerate(layers):
            if not layer.inputs or not all(-len(shapes) <= back < 0 for back in layer.inputs):
                reason = f"no input {' or '.join(map(str, layer.inputs))} here"
                raise UsageError(f"layer {number} ({layer.kind}): {reason}")
            sources = tuple([shapes[back] for back in layer.inputs])
            known = self._layers.get((layer, sources))
            if known is None:
                try:
                    known = self._learn(layer, sources)
                except UsageError as error:
                    raise UsageError(f"layer {number} ({layer.kind}): {error}") from None
            rows.append(known.row)
            shapes.append(known.output)
        return rows

    def _learn(self, layer: Layer, shapes: tuple[Shape, ...]) -> _Known:
        block = self._builder.block(layer, shapes)
        graph = _alone(block, shapes)
        found = self._evaluator.work(graph)
        instructions = weighted = float("nan")
        weights = 0
        macs = self._evaluator.cost(graph, memory=False).macs
        if not isinstance(found, costs.NoData):
            self._book = found
            (one,) = found.counts
            (weights,) = found.weight_bytes
            if one.instructions is not None:
                instructions = one.instructions
                anchor = self._anchor()
                weighted = anchor.weighted(one.kernel, instructions, weights) if anchor else instructions
        if block.kind not in self._kinds:
            self._kinds.append(block.kind)
        kind = self._kinds.index(block.kind)
        sizes = (block.file_bytes, weights, kind, macs)
        known = _Known(len(self._rows), block.output.shape, *sizes, instructions, weighted)
        self._rows.append(known)
        self._layers[layer, shapes] = known
        return known

    def _anchor(self) -> cycles_.Anchor | None:
        if self._book is None:
            return None
        found = self._book.anchor(self._evaluator.device, 0)
        return None if isinstance(found, str) else found

    def _code(self, sizes: Integers, picked: Integers) -> Integers:
        """Code bytes per candidate: one bill for each set of kinds that occurs."""
        bits = np.array([1 << known.kind for known in self._rows], np.int64)[picked]
        starts = np.cumsum(sizes) - sizes
        sets, which = np.unique(np.bitwise_or.reduceat(bits, starts), return_inverse=True)
        kinds = [tuple(kind for at, kind in enumerate(self._kinds) if mask >> at & 1) for mask in sets.tolist()]
        code = [self._evaluator.code(names, _of_kinds(names))[0] for names in kinds]
        return np.array(code, np.int64)[which]

    def _latency(self, counted: Floats, sizes: Integers, rows: list[int]) -> tuple[Floats, ...]:
        """Instructions, cycles, ms and its band, as `cost.Work` has them for one network."""
        nothing = np.full(len(sizes), np.nan)
        if self._book is None:
            return (nothing,) * 5
        instructions = counted + round(self._book.book.per_inference) if self._book.counted else nothing
        anchor, device = self._anchor(), self._evaluator.device
        if anchor is None:
            return (instructions, *(nothing,) * 4)
        ends = np.cumsum(sizes)[:-1]
        parts = np.split(np.array([self._rows[row].weighted for row in rows]), ends)
        weights = [int(part.sum()) for part in np.split(np.array([self._rows[row].weights for row in rows]), ends)]
        spent = np.array([sum(part.tolist()) for part in parts]) + self._book.per_inference
        known = [not isinstance(self._book.anchor(device, size), str) for size in weights]
        cycles = np.where(known, np.rint(anchor.board(device.id) * anchor.cpi * spent), np.nan)
        if device.clock_hz is None:
            return (instructions, cycles, *(nothing,) * 3)
        ms, band = cycles / device.clock_hz * 1000, anchor.band_for(device.id, device.clock_hz)
        return instructions, cycles, ms, ms / band, ms * band


def _alone(block: Block, shapes: tuple[Shape, ...]) -> Graph:
    """The layer as a network of its own."""
    inputs = [Tensor("x", shape, DType.INT8) for shape in shapes]
    tensors = (*inputs, *block.constants, block.output)
    last = len(tensors) - 1
    op = Op(block.kind, tuple(range(last)), (last,), block.attributes)
    return Graph(block.kind, tensors, (op,), tuple(range(len(shapes))), (last,))


def _of_kinds(kinds: tuple[str, ...]) -> Graph:
    """A graph with operators of these kinds, for the bill of its code."""
    return Graph("kinds", (), tuple(Op(kind, (), ()) for kind in kinds), (), ())
