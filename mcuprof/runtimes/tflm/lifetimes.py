"""Which buffers TFLM plans, and when each is live.

Transcribes `AllocationInfoBuilder` (tflite-micro, micro_allocation_info.cc): every operator opens a scope, so do the
subgraphs that control flow enters; inputs live from the first scope of their subgraph, outputs to its last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import DType, Graph, Op

ALIGNMENT = 16  # MicroArenaBufferAlignment()
ONLINE = -1  # kOnlinePlannedBuffer
OFFLINE_PLAN = "OfflineMemoryAllocation"
MAX_OFFSET = 2**31 - 1
_UNSET = -1

_ENTERS = {
    "IF": ("then_subgraph", "else_subgraph"),
    "WHILE": ("cond_subgraph", "body_subgraph"),
    "CALL_ONCE": ("init_subgraph",),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One buffer that the planner must place.

    `nbytes` is rounded up to the arena's alignment, `first` and `last` are scopes (inclusive), `offset` is the offline
    plan's or ONLINE. `tensor` indexes the tensors of subgraph `subgraph`; it is None for a scratch buffer, which
    belongs to operator `op`.
    """

    nbytes: int
    first: int
    last: int
    offset: int = ONLINE
    subgraph: int = 0
    tensor: int | None = None
    op: int | None = None


Scratch = Mapping[tuple[int, int], Sequence[int]]
"""(subgraph, operator index) → bytes of its scratch buffers, in the order the kernel asks for them."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """What the planner gets. `scopes` maps each scope that an operator opens to (subgraph, operator index)."""

    requests: tuple[Request, ...]
    scopes: Mapping[int, tuple[int, int]]


def lifetimes(graph: Graph, scratch: Scratch) -> Lifetimes:
    """All buffers of the head in the order TFLM hands them to its planner: tensors by subgraph, then scratch buffers.

    Raises ModelError when subgraphs call each other in a circle or an offline plan does not fit the model.
    """
    builder = _Builder(graph, scratch)
    builder.mark(0)
    scopes = {start: place for place, (start, _) in builder.scratch_scopes.items()}
    return Lifetimes(builder.requests(), scopes)


def align(nbytes: int) -> int:
    """`nbytes` rounded up to the arena's alignment of 16."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


class _Builder:
    def __init__(self, graph: Graph, scratch: Scratch) -> None:
        self.graphs = (graph, *graph.subgraphs)
        self.scratch = scratch
        self.scope = 0
        self.first = [[_UNSET] * len(g.tensors) for g in self.graphs]
        self.last = [[_UNSET] * len(g.tensors) for g in self.graphs]
        self.scratch_scopes: dict[tuple[int, int], tuple[int, int]] = {}
        self.entered: list[int] = []
        self.offline = offline_offsets(graph)

    def mark(self, number: int) -> None:
        if number in self.entered:
            raise ModelError(f"subgraph {number} calls itself")
        self.entered.append(number)
        graph, first, last = self.graphs[number], self.first[number], self.last[number]

        def create(tensor: int) -> None:
            if tensor >= 0 and first[tensor] == _UNSET:
                first[tensor] = self.scope

        def use(tensor: int) -> None:
            if tensor >= 0:
                last[tensor] = max(last[tensor], self.scope)

        for tensor in graph.inputs:
            create(tensor)
            use(tensor)
        for index, op in enumerate(graph.ops):
            self.scope += 1
            for tensor in op.outputs:
                create(tensor)
            start = self.scope
            self.enter_subgraphs(op)
            for tensor in (*op.inputs, *op.outputs):
                use(tensor)
            self.scratch_scopes[number, index] = (start, self.scope)
        for tensor in graph.outputs:
            create(tensor)
            use(tensor)
        self.entered.pop()

    def enter_subgraphs(self, op: Op) -> None:
        for name in _ENTERS.get(op.kind, ()):
            self.scope += 1
            self.mark(op.integer(name))

    def requests(self) -> tuple[Request, ...]:
        found: list[Request] = []
        position = 0
        for number, graph in enumerate(self.graphs):
            handles = {out for op in graph.ops if op.kind == "VAR_HANDLE" for out in op.outputs}
            for index, tensor in enumerate(graph.tensors):
                offset = self.offline[position] if self.offline else ONLINE
                position += 1
                nbytes = arena_bytes(tensor.dtype, tensor.elements)
                placed = not tensor.is_constant and (not tensor.variable or offset != ONLINE)
                if placed and nbytes and index not in handles:
                    first, last = self.first[number][index], self.last[number][index]
                    found.append(Request(align(nbytes), first, last, offset, number, index))
        for (number, op), sizes in sorted(self.scratch.items()):
            if (number, op) in self.scratch_scopes:
                first, last = self.scratch_scopes[number, op]
                found += [Request(align(size), first, last, ONLINE, number, None, op) for size in sizes]
        return tuple(found)


def arena_bytes(dtype: DType, elements: int) -> int:
    """Bytes of one tensor in the arena (TfLiteEvalTensorByteLength): packed for int4, 4 for a resource handle."""
    if dtype is DType.RESOURCE:
        return 4 * elements
    return dtype.nbytes(elements)


def offline_offsets(graph: Graph) -> tuple[int, ...]:
    """The offline plan stored in the model, one offset per tensor of all subgraphs; empty when there is none.

    Format: int32 little-endian [version, subgraphs, count, offsets …] (tflite-micro docs/memory_management.md).
    Raises ModelError when the count is not the number of tensors, which TFLM refuses as well.
    """
    content = graph.origin.metadata.get(OFFLINE_PLAN)
    if content is None:
        return ()
    words = np.frombuffer(content[: len(content) // 4 * 4], "<i4")
    tensors = sum(len(g.tensors) for g in (graph, *graph.subgraphs))
    if len(words) < 3 or words[2] != tensors or len(words) < 3 + tensors:
        raise ModelError(f"carries an {OFFLINE_PLAN} for {words[2] if len(words) > 2 else 0} tensors, it has {tensors}")
    return tuple(int(offset) for offset in words[3 : 3 + tensors])


def pack_offsets(offsets: Sequence[int]) -> bytes:
    """The content of the OFFLINE_PLAN metadata for one offset (or ONLINE) per tensor, in the format read above."""
    return np.array([1, 1, len(offsets), *offsets], "<i4").tobytes()


def with_plan(graph: Graph, order: Sequence[int], offsets: Sequence[int | None]) -> Graph:
    """The graph with its operators in this order and an offline plan of these offsets (None: left to the runtime).

    Raises ModelError for a graph with subgraphs (TFLM reads the offsets of later ones from the wrong place), and for
    offsets that a plan cannot hold.
    """
    if max((offset for offset in offsets if offset is not None), default=0) > MAX_OFFSET:
        raise ModelError(f"needs offsets beyond {MAX_OFFSET:,} B, which an offline plan cannot hold")
    if graph.subgraphs:
        raise ModelError("has several subgraphs, for which TFLM's offline plans are not reliable")
    packed = pack_offsets([ONLINE if offset is None else offset for offset in offsets])
    origin = replace(graph.origin, metadata={**graph.origin.metadata, OFFLINE_PLAN: packed})
    return replace(graph, ops=tuple(graph.ops[index] for index in order), origin=origin)
