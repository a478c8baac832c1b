"""Which runs of operators can be cut into stripes: those that read one image and leave one (or two), row by row.

A region is a run of operators in execution order that all have row rules, read one computed image from outside (its
source), and leave images to later operators. Other images may join it from outside (skip connections): an operator that
has rows of its own to join takes the same rows of them. What else lives across it just stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from mcuprof.graph import ABSENT, DType, Graph, Op
from mcuprof.ops import Rows, macs, row_rule
from mcuprof.ops.rows import is_image

MAX_OPERATORS = 26
MAX_OUTPUTS = 2
MAX_SIDES = 2
# What TFLM's SLICE copies (kernels/slice.cc) and its CONCATENATION joins (kernels/concatenation.cc).
SLICED = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)


@dataclass(frozen=True, slots=True)
class Region:
    """Operators `first` … `last`, cut along the rows of `outputs`, the last of which the last operator makes.

    `source` is the image they read, `keeps` whether somebody reads it after the region; `beside` are tensors that live
    throughout and are not touched, `whole` those that every stripe reads whole. `cuts` are the inner tensors at which a
    stripe is nothing but that tensor (and finished rows), in execution order: there it may be cropped. `sides` are
    other images whose rows join from outside; those of them that are read after the region are among `beside` too.
    """

    first: int
    last: int
    source: int
    outputs: tuple[int, ...]
    keeps: bool
    beside: tuple[int, ...]
    whole: tuple[int, ...]
    cuts: tuple[int, ...]
    sides: tuple[int, ...] = ()


class Outline:
    """What a search asks of a graph again and again: row rules, lifetimes in file order, sizes of rows.

    `copied` are the types that the runtime's SLICE and CONCATENATION take.
    """

    def __init__(self, graph: Graph, copied: tuple[DType, ...] = SLICED) -> None:
        self.graph, self.copied = graph, copied
        self.rules: tuple[Rows | None, ...] = tuple(row_rule(graph, op) for op in graph.ops)
        self.macs: tuple[int, ...] = tuple(macs(graph, op) for op in graph.ops)
        end = len(graph.ops)
        self.first: dict[int, int] = dict.fromkeys(graph.inputs, -1)
        self.last: dict[int, int] = {}
        for index, op in enumerate(graph.ops):
            for tensor in op.outputs:
                if tensor != ABSENT:
                    self.first.setdefault(tensor, index)
                    self.last.setdefault(tensor, index)
            for tensor in op.inputs:
                if tensor in self.first:
                    self.last[tensor] = index
        self.last |= dict.fromkeys(graph.outputs, end)
        for tensor in graph.inputs:
            self.last.setdefault(tensor, -1)

    def row_bytes(self, tensor: int) -> int:
        """Bytes of one row of an image."""
        spec = self.graph.tensors[tensor]
        return spec.nbytes // spec.shape[1]

    def height(self, tensor: int) -> int:
        """Rows of an image."""
        return self.graph.tensors[tensor].shape[1]

    def live(self, boundary: int) -> tuple[int, ...]:
        """Tensors in use after operator `boundary` (−1: before the first)."""
        return self._live[boundary + 1]

    @cached_property
    def _live(self) -> list[tuple[int, ...]]:
        found: list[list[int]] = [[] for _ in range(len(self.graph.ops) + 1)]
        for tensor, first in sorted(self.first.items()):
            for boundary in range(first, self.last[tensor]):
                found[boundary + 1].append(tensor)
        return [tuple(tensors) for tensors in found]

    def region(self, first: int, last: int) -> Region | None:
        """The region of operators `first` … `last`; None where they are none."""
        graph = self.graph
        made: set[int] = set()
        sources: set[int] = set()
        whole: set[int] = set()
        for index in range(first, last + 1):
            rule = self.rules[index]
            if rule is None:
                return None
            op = graph.ops[index]
            for position, tensor in enumerate(op.inputs):
                if tensor == ABSENT or tensor in made or graph.tensors[tensor].is_constant:
                    continue
                if graph.tensors[tensor].variable:
                    return None
                (sources if position in rule.inputs else whole).add(tensor)
            made |= set(op.outputs)
        outputs = tuple(sorted((t for t in made if self.last[t] > last), key=lambda t: self.first[t]))
        if not 1 <= len(sources) <= 1 + MAX_SIDES or sources & whole or not 1 <= len(outputs) <= MAX_OUTPUTS:
            return None
        source = self._leading(first, last, sources)
        if source is None or not self._can_cut(source, outputs) or self.first[outputs[-1]] != last:
            return None
        sides = tuple(sorted(sources - {source}))
        if not all(self._can_cut(side, outputs) for side in sides):
            return None
        over = {source, *(side for side in sides if self.last[side] <= last)}
        beside = tuple(t for t in self.live(first - 1) if t not in over)
        keeps = self.last[source] > last
        cuts = tuple(self._cuts(first, last, made | set(sides)))
        return Region(first, last, source, outputs, keeps, beside, tuple(sorted(whole)), cuts, sides)

    def _leading(self, first: int, last: int, sources: set[int]) -> int | None:
        """The image that the stripes are cut from: every operator has an operand that is not one of the others."""
        for source in sorted(sources, key=lambda t: (-self.graph.tensors[t].nbytes, t)):
            others = sources - {source}
            if all(set(self._cut_operands(index)) - others for index in range(first, last + 1)):
                return source
        return None

    def _can_cut(self, source: int, outputs: tuple[int, ...]) -> bool:
        tensors = self.graph.tensors
        heights = min(self.height(output) for output in outputs)
        return (
            is_image(tensors[source])
            and tensors[source].dtype in self.copied
            and all(tensors[output].dtype in self.copied for output in outputs)
            and heights > 1
        )

    def _cuts(self, first: int, last: int, made: set[int]) -> Iterator[int]:
        """Inner tensors that are the only unfinished one when they have been made."""
        graph = self.graph
        open_: set[int] = set()
        source_open = {
            index for index in range(first, last + 1) if any(t not in made for t in self._cut_operands(index))
        }
        for index in range(first, last):
            open_ = {t for t in open_ if self._last_inside(t, last) > index}
            output = graph.ops[index].outputs[0]
            open_.add(output)
            later = any(other > index for other in source_open)
            alone = open_ == {output} and not later and self._last_inside(output, last) > index
            if alone and graph.tensors[output].dtype in self.copied:
                yield output

    def _cut_operands(self, index: int) -> list[int]:
        op, rule = self.graph.ops[index], self.rules[index]
        assert rule is not None
        return [op.inputs[position] for position in rule.inputs]

    def _last_inside(self, tensor: int, last: int) -> int:
        return max((index for index in self.graph.consumers.get(tensor, ()) if index <= last), default=-1)


def regions(outline: Outline, containing: int | None = None) -> Iterator[Region]:
    """All regions of up to MAX_OPERATORS operators, or those that contain one operator."""
    count = len(outline.graph.ops)
    starts = range(count) if containing is None else range(max(0, containing - MAX_OPERATORS + 1), containing + 1)
    for first in starts:
        if outline.rules[first] is None:
            continue
        for last in range(first, min(count, first + MAX_OPERATORS)):
            if outline.rules[last] is None:
                break
            if containing is not None and last < containing:
                continue
            found = outline.region(first, last)
            if found is not None:
                yield found


def data_operands(op: Op, rule: Rows) -> tuple[int, ...]:
    """The tensors whose rows are cut, once each."""
    return tuple(dict.fromkeys(op.inputs[position] for position in rule.inputs))
