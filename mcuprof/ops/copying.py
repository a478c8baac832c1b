"""Which operators copy bytes as they are: from one run of an input to one run of the output, both without holes.

Where a planner puts both runs in one place, such an operator copies bytes onto themselves: it needs no memory of its
own, and does not keep its input alive. TFLM's SLICE and CONCATENATION of byte runs do so with element loops and
`memcpy(p, p, n)`; RESHAPE and its kind skip the copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops.operator import ShapeUnknown, constant_integers, normalize_axis
from mcuprof.ops.sharing import VIEWS


@dataclass(frozen=True, slots=True)
class Copy:
    """Bytes `source` … `source + nbytes` of the input become bytes `target` … `target + nbytes` of the output."""

    source: int
    target: int
    nbytes: int


def copied(graph: Graph, op: Op, position: int) -> Copy | None:
    """What output 0 of `op` copies from input `position`; None where it computes, or copies in several pieces.

    A SLICE reads nothing else of its input.
    """
    rule = _RULES.get(op.kind)
    if rule is None or graph.tensor(op, position) is None:
        return None
    source, target = graph.input(op, position), graph.output(op)
    if source.dtype is not target.dtype or source.dtype.bits % 8:
        return None
    try:
        copy = rule(graph, op, position)
    except (ShapeUnknown, LookupError, ValueError):
        return None
    if copy is None or not 0 <= copy.source <= source.nbytes - copy.nbytes:
        return None
    return copy if 0 <= copy.target <= target.nbytes - copy.nbytes else None


def _view(graph: Graph, op: Op, position: int) -> Copy | None:
    source, target = graph.input(op, position), graph.output(op)
    return Copy(0, 0, source.nbytes) if position == 0 and source.nbytes == target.nbytes else None


def _slice(graph: Graph, op: Op, position: int) -> Copy | None:
    """One run: whole rows of one axis, and a single index of every axis before it."""
    if position:
        return None
    source, target = graph.input(op), graph.output(op)
    begins = constant_integers(graph, op, 1)
    if len(begins) != len(source.shape) or not _one_run(target.shape, source.shape):
        return None
    width = source.dtype.bits // 8
    start = sum(begin * prod(source.shape[axis + 1 :]) for axis, begin in enumerate(begins)) * width
    return Copy(start, 0, target.nbytes)


def _concatenation(graph: Graph, op: Op, position: int) -> Copy | None:
    """One run: the axis is the first that is longer than 1. Quantization must be equal, else values are rescaled."""
    source, target = graph.input(op, position), graph.output(op)
    axis = normalize_axis(op.integer("axis"), len(target.shape))
    same = source.quantization == target.quantization and op.text("activation", "NONE") == "NONE"
    if not same or prod(target.shape[:axis]) != 1:
        return None
    start = sum(graph.input(op, earlier).nbytes for earlier in range(position))
    return Copy(0, start, source.nbytes)


def _one_run(part: Shape, whole: Shape) -> bool:
    cut = next((axis for axis, size in enumerate(part) if size != 1), len(part))
    return part[cut + 1 :] == whole[cut + 1 :]


_RULES = {**dict.fromkeys(VIEWS, _view), "SLICE": _slice, "CONCATENATION": _concatenation}
