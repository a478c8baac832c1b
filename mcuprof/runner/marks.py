"""A mark for every byte that a graph computes, and when each is read for the last time, for execution inside a plan.

An operator that copies bytes onto themselves, as the offsets have it, passes the marks on: its output is what already
lies there. It neither keeps these bytes alive nor writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from mcuprof.graph import ABSENT, Graph, Op
from mcuprof.ops.copying import Copy, copied

Marks = npt.NDArray[np.int64]


class Ledger:
    """Marks of the tensors that `place` puts into the arena, and per position of `order` the ones that die there."""

    def __init__(self, graph: Graph, order: Sequence[int], place: Callable[[int], slice | None]) -> None:
        self.graph, self.place = graph, place
        self.marks: dict[int, Marks] = {}
        self.own: dict[int, npt.NDArray[np.bool_]] = {}  # which bytes the tensor's operator really writes
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
        a = self.place(source) if source != ABSENT else None
        b = self.place(target) if target != ABSENT else None
        copy = copied(self.graph, op, position) if a is not None and b is not None else None
        if a is None or b is None or copy is None or a.start + copy.source != b.start + copy.target:
            return None
        return copy

    def wanted(self, op: Op, position: int) -> slice:
        """The bytes of this input that `op` looks at."""
        copy = copied(self.graph, op, position)
        return slice(copy.source, copy.source + copy.nbytes) if copy else slice(None)

    def deaths(self, order: Sequence[int]) -> dict[int, list[int]]:
        """Position → tensors of which some bytes die there; `last` then holds the last reading position per mark."""
        self.last = np.full(self._next, -1, np.int64)
        touched: dict[int, list[int]] = {}
        for position, index in enumerate(order):
            op = self.graph.ops[index]
            for number, tensor in enumerate(op.inputs):
                if tensor in self.marks and self.kept(op, number) is None:
                    self.last[self.marks[tensor][self.wanted(op, number)]] = position
                    touched.setdefault(position, []).append(tensor)
            for tensor in op.outputs:
                if tensor in self.marks:  # what nobody reads dies when it is written
                    mine = self.marks[tensor][self.own[tensor]]
                    self.last[mine] = np.maximum(self.last[mine], position)
                    touched.setdefault(position, []).append(tensor)
        for tensor in self.graph.outputs:
            if tensor in self.marks:
                self.last[self.marks[tensor]] = len(order)
        return touched

    def writer(self, mark: int) -> int:
        """The tensor that a byte was first written as."""
        return self._tensors[int(np.searchsorted(self._starts, mark, "right")) - 1]

    def _begin(self, tensor: int) -> None:
        place = self.place(tensor)
        if place is None:
            return
        size = place.stop - place.start
        self._starts.append(self._next)
        self._tensors.append(tensor)
        self.marks[tensor] = np.arange(self._next, self._next + size)
        self.own[tensor] = np.ones(size, bool)
        self._next += size

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
