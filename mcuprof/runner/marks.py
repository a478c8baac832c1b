"""A mark for every byte that a graph computes, and where each dies, for execution inside a plan.

An operator that copies bytes onto themselves, as the offsets have it, passes the marks on: its output is what already
lies there. It neither keeps these bytes alive nor writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mcuprof.graph import ABSENT, Graph, Op
from mcuprof.ops.copying import Copy, copied

Marks = npt.NDArray[np.int32] | npt.NDArray[np.int64]
Bytes = npt.NDArray[np.bool_]
NOBODY = -1
_NEVER = -2  # no byte of an arena has this mark


class Ledger:
    """Marks of the tensors that have a place in the arena, when the operators run in `order`."""

    def __init__(self, graph: Graph, order: Sequence[int], places: Sequence[slice | None]) -> None:
        self.graph, self.order, self.places = graph, order, places
        every = sum(place.stop - place.start for place in places if place is not None)
        self.dtype: type[np.int32] | type[np.int64] = np.int32 if every < 1 << 31 else np.int64
        self.marks: dict[int, Marks] = {}
        self.own: dict[int, Bytes] = {}  # which bytes the tensor's operator really writes
        self._starts: list[int] = []
        self._tensors: list[int] = []
        self._next = 0
        written = {tensor for op in graph.ops for tensor in op.outputs}
        read = {tensor for op in graph.ops for tensor in op.inputs if tensor != ABSENT}
        for tensor in dict.fromkeys((*graph.inputs, *sorted(read - written))):
            self._begin(tensor)
        for index in order:
            self._run(graph.ops[index])

    def kept(self, op: Op, position: int) -> Copy | None:
        """What `op` copies onto itself from this input; None when it moves bytes, or computes."""
        source, target = op.inputs[position], op.outputs[0] if op.outputs else ABSENT
        a = self.places[source] if source != ABSENT else None
        b = self.places[target] if target != ABSENT else None
        copy = copied(self.graph, op, position) if a is not None and b is not None else None
        if a is None or b is None or copy is None or a.start + copy.source != b.start + copy.target:
            return None
        return copy

    def wanted(self, op: Op, position: int) -> slice:
        """The bytes of this input that `op` looks at."""
        copy = copied(self.graph, op, position)
        return slice(copy.source, copy.source + copy.nbytes) if copy else slice(None)

    def graves(self, lifetimes: Sequence[tuple[int, int] | None] | None) -> dict[int, list[tuple[slice, Marks]]]:
        """Position in the order → (place, marks): the bytes there that die when they still have these marks.

        Whole tensors die at the end of their lifetimes, but for what a view of them in the same place keeps; without
        lifetimes each byte when it has been read for the last time. What lives to the end is the caller's to read.
        """
        found: dict[int, list[tuple[slice, Marks]]] = {}
        for position, tensor, kept in self._byte_by_byte() if lifetimes is None else self._by_word(lifetimes):
            place, marks = self.places[tensor], self.marks[tensor]
            if place is not None and position < len(self.order) - 1:
                doomed = np.where(kept, self.dtype(_NEVER), marks) if kept.any() else marks
                found.setdefault(position, []).append((place, doomed))
        return found

    def writer(self, mark: int) -> int:
        """The tensor that a byte was first written as."""
        return self._tensors[int(np.searchsorted(self._starts, mark, "right")) - 1]

    def _begin(self, tensor: int) -> None:
        place = self.places[tensor]
        if place is None:
            return
        size = place.stop - place.start
        self._starts.append(self._next)
        self._tensors.append(tensor)
        self.marks[tensor] = np.arange(self._next, self._next + size, dtype=self.dtype)
        self.own[tensor] = np.ones(size, np.bool_)
        self._next += size

    def _by_word(self, lifetimes: Sequence[tuple[int, int] | None]) -> Iterator[tuple[int, int, Bytes]]:
        """(position, tensor, which bytes live on) of every death."""
        here: dict[int, list[tuple[int, int, int]]] = {}
        for tensor in self.marks:
            place, span = self.places[tensor], lifetimes[tensor]
            if place is not None and span is not None:
                here.setdefault(place.start, []).append((tensor, *span))
        for tensors in here.values():
            for tensor, _, last in tensors:
                kept = np.zeros(len(self.marks[tensor]), np.bool_)
                for other, first, end in tensors:
                    if first <= last < end:
                        kept |= np.isin(self.marks[tensor], self.marks[other])
                yield last, tensor, kept

    def _byte_by_byte(self) -> Iterator[tuple[int, int, Bytes]]:
        """(position, tensor, which bytes are still to be read) wherever a tensor is read, or written."""
        last = np.full(self._next, -1, np.int64)
        touched: list[tuple[int, int]] = []
        for position, index in enumerate(self.order):
            op = self.graph.ops[index]
            for number, tensor in enumerate(op.inputs):
                if tensor in self.marks and self.kept(op, number) is None:
                    last[self.marks[tensor][self.wanted(op, number)]] = position
                    touched.append((position, tensor))
            for tensor in op.outputs:
                if tensor in self.marks:  # what nobody reads dies when it is written
                    mine = self.marks[tensor][self.own[tensor]]
                    last[mine] = np.maximum(last[mine], position)
                    touched.append((position, tensor))
        for tensor in self.graph.outputs:
            if tensor in self.marks:
                last[self.marks[tensor]] = len(self.order)
        for position, tensor in touched:
            yield position, tensor, last[self.marks[tensor]] > position

    def _run(self, op: Op) -> None:
        for tensor in op.outputs:
            if tensor != ABSENT:
                self._begin(tensor)
        for position, source in enumerate(op.inputs):
            copy = self.kept(op, position)
            if copy is not None and source in self.marks:
                target = slice(copy.target, copy.target + copy.nbytes)
                self.marks[op.outputs[0]][target] = self.marks[source][copy.source : copy.source + copy.nbytes]
                self.own[op.outputs[0]][target] = False
