"""Tensors that lie inside one another, and how long each of their bytes is needed.

A tensor whose bytes are rows of another needs no memory of its own when it lies where these rows are; the operator
between them then copies bytes onto themselves. Such tensors are one block, which a plan moves as a whole. A byte of the
block is needed from the first operator that writes a tensor covering it to the last that really reads one. So the rows
of a large tensor die one after the other, and others may lie where they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mcuprof.errors import UsageError
from mcuprof.graph import Graph
from mcuprof.ops.copying import copied


@dataclass(frozen=True, slots=True)
class View:
    """The tensor's bytes lie inside tensor `parent`, from its byte `offset` on."""

    parent: int
    offset: int


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `start` … `stop` of a block, which live and die together, and the `tensors` that cover some of them.

    `producer` is the step that writes them first, `consumers` the steps that read them, ascending (step 0 is the
    caller, step k + 1 operator k); `leaves` when they must survive the last step.
    """

    start: int
    stop: int
    tensors: tuple[int, ...]
    producer: int
    consumers: tuple[int, ...]
    leaves: bool


def blocks(
    graph: Graph, tensors: Iterable[int], views: Mapping[int, View], same: Iterable[tuple[int, int]]
) -> list[dict[int, int]]:
    """`tensors` by block, in the order in which they come: tensor → its first byte, counted from the block's start.

    `same` are pairs that are the same bytes. Raises UsageError for views of what has no place, that reach out of their
    parents or contradict each other.
    """
    parent: dict[int, tuple[int, int]] = {tensor: (tensor, 0) for tensor in tensors}

    def find(tensor: int) -> tuple[int, int]:
        offset = 0
        while parent[tensor][0] != tensor:
            tensor, shift = parent[tensor]
            offset += shift
        return tensor, offset

    for tensor, view in views.items():
        _check_view(graph, parent, tensor, view)
        (root, start), (other, shift) = find(tensor), find(view.parent)
        if root == other:
            raise UsageError(f"tensor {graph.tensors[tensor].name!r} is a view of itself")
        parent[root] = other, shift + view.offset - start
    for source, target in same:
        (root, start), (other, shift) = find(target), find(source)
        if root != other:
            parent[root] = other, shift - start
    found: dict[int, dict[int, int]] = {}
    for tensor in parent:
        root, start = find(tensor)
        found.setdefault(root, {})[tensor] = start
    lowest = [min(starts.values()) for starts in found.values()]
    return [
        {tensor: start - low for tensor, start in starts.items()}
        for low, starts in zip(lowest, found.values(), strict=True)
    ]


def _check_view(graph: Graph, placed: Mapping[int, object], tensor: int, view: View) -> None:
    if tensor not in placed or view.parent not in placed:
        raise UsageError(f"a view between tensors {tensor} and {view.parent}, of which one has no place in the arena")
    if not 0 <= view.offset <= graph.tensors[view.parent].nbytes - graph.tensors[tensor].nbytes:
        name, parent = graph.tensors[tensor].name, graph.tensors[view.parent].name
        raise UsageError(f"tensor {name!r} reaches out of {parent!r}, of which it is a view at byte {view.offset}")


def whole(graph: Graph, starts: Mapping[int, int]) -> list[Part]:
    """A block of tensors that are the same bytes: one part, which every reader keeps alive."""
    readers = {op + 1 for tensor in starts for op in graph.consumers.get(tensor, ())}
    size = max(graph.tensors[tensor].nbytes for tensor in starts)
    return [_part(graph, 0, size, tuple(starts), readers)]


def parts(graph: Graph, starts: Mapping[int, int]) -> list[Part]:
    """A block cut where the lives of its bytes differ, ascending and without holes.

    Raises UsageError where two tensors lie on the same bytes although they do not hold the same values there.
    """
    ends = {tensor: start + graph.tensors[tensor].nbytes for tensor, start in starts.items()}
    reads, ties = _reads(graph, starts, ends)
    cuts = sorted({*starts.values(), *ends.values(), *(cut for low, high, _ in reads for cut in (low, high))})
    found: list[Part] = []
    for low, high in pairwise(cuts):
        covering = [tensor for tensor, start in starts.items() if start <= low and ends[tensor] >= high]
        _check_same(graph, covering, [(one, other) for start, stop, one, other in ties if start <= low < high <= stop])
        readers = {step for start, stop, step in reads if start <= low < high <= stop}
        part = _part(graph, low, high, tuple(covering), readers)
        last = found[-1] if found else part
        if last is not part and (last.producer, last.consumers, last.leaves) == (
            (part.producer, part.consumers, part.leaves)
        ):
            part = _part(graph, last.start, high, tuple(dict.fromkeys((*last.tensors, *covering))), readers)
            found.pop()
        found.append(part)
    return found


def _reads(
    graph: Graph, starts: Mapping[int, int], ends: Mapping[int, int]
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int, int]]]:
    """(first byte, end, step) of what is really read, and (first byte, end, tensor, tensor) of what copies tie."""
    reads, ties = [], []
    for tensor, start in starts.items():
        for number in graph.consumers.get(tensor, ()):
            op = graph.ops[number]
            for position in (p for p, read in enumerate(op.inputs) if read == tensor):
                copy = copied(graph, op, position)
                if copy is None:
                    reads.append((start, ends[tensor], number + 1))
                    continue
                low = start + copy.source
                target = op.outputs[0]
                if target in starts and starts[target] + copy.target == low:
                    ties.append((low, low + copy.nbytes, tensor, target))
                else:
                    reads.append((low, low + copy.nbytes, number + 1))
    return reads, ties


def _check_same(graph: Graph, covering: Sequence[int], ties: Iterable[tuple[int, int]]) -> None:
    known = set(covering[:1])
    pairs = [{one, other} for one, other in ties]
    while grown := [pair for pair in pairs if not pair.isdisjoint(known) and not pair <= known]:
        known = known.union(*grown)
    if strangers := [tensor for tensor in covering if tensor not in known]:
        one, other = graph.tensors[covering[0]].name, graph.tensors[strangers[0]].name
        raise UsageError(f"views lay tensor {other!r} on bytes of {one!r} that do not hold its values")


def _part(graph: Graph, start: int, stop: int, tensors: tuple[int, ...], readers: set[int]) -> Part:
    producer = min(graph.producer.get(tensor, -1) + 1 for tensor in tensors)
    return Part(start, stop, tensors, producer, tuple(sorted(readers)), any(t in graph.outputs for t in tensors))
