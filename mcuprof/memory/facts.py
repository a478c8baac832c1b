"""What a graph says about a plan's tensors, derived afresh for the checker: nothing here is shared with the solvers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mcuprof.graph import ABSENT, Graph
from mcuprof.memory.plan import MemoryPlan
from mcuprof.ops.sharing import Share

if TYPE_CHECKING:
    from mcuprof.memory.problem import Sharing

# Operators that may reach state which no tensor of theirs names: their order among themselves is part of the program.
_STATE_BY_HANDLE = {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "IF", "WHILE"}


class Facts:
    """Which tensors need arena bytes, when they live in the plan's order, who is a view of whom, who may lie on whom.

    `asked` are the scratch sizes per operator. Positions count operators in the plan's order, −1 is the caller.
    """

    def __init__(self, graph: Graph, plan: MemoryPlan, sharing: Sharing, asked: Sequence[Sequence[int]]) -> None:
        self.graph, self.plan, self.sharing, self.asked = graph, plan, sharing, asked
        self.position = {op: number for number, op in enumerate(plan.order)}
        self.leaving = set(graph.outputs)
        outside = {*graph.inputs, *graph.outputs} if plan.io == "outside" else set()
        used = {tensor for op in graph.ops for tensor in (*op.inputs, *op.outputs)}
        appearing = {*graph.inputs, *graph.outputs, *used} - outside - {ABSENT}
        self.tensors = sorted(tensor for tensor in appearing if self._needs_bytes(tensor))
        self.writer = {tensor: number for number, op in enumerate(graph.ops) for tensor in op.outputs}
        self.readers: dict[int, set[int]] = {}
        for number, op in enumerate(graph.ops):
            for tensor in op.inputs:
                self.readers.setdefault(tensor, set()).add(number)
        self._positions: dict[int, dict[int, list[int]]] = {}
        self.views = self._views()

    def _needs_bytes(self, tensor: int) -> bool:
        found = self.graph.tensors[tensor]
        return found.nbytes > 0 and not found.variable and not found.is_constant

    def _views(self) -> dict[int, set[int]]:
        """Tensor → all tensors that are the same bytes by definition, itself included (one set object per family)."""
        found = {tensor: {tensor} for tensor in self.tensors}
        for op in self.graph.ops:
            for position, source in enumerate(op.inputs):
                for output, target in enumerate(op.outputs):
                    if source not in found or target not in found:
                        continue
                    share = self.sharing(self.graph, op, self.plan.strategy, position, output)
                    if share is not None and share.mode == "view" and found[source] is not found[target]:
                        found[source] |= found[target]
                        found.update(dict.fromkeys(found[target], found[source]))
        return found

    def padded(self, count: int) -> int:
        """`count` rounded up to the plan's alignment."""
        return count + -count % self.plan.alignment

    def lifetime(self, tensor: int) -> tuple[int, int]:
        """First and last position at which `tensor` holds its bytes, inclusive."""
        first = self.position[self.writer[tensor]] if tensor in self.writer else -1
        if tensor in self.leaving:
            return first, len(self.graph.ops) - 1
        return first, max([first, *(self.position[reader] for reader in self.readers.get(tensor, ()))])

    def family_readers(self, tensor: int) -> set[int]:
        """Operators that read `tensor` or any view of it."""
        return {reader for view in self.views[tensor] for reader in self.readers.get(view, ())}

    def stays(self, tensor: int) -> bool:
        """Whether `tensor` or a view of it leaves the graph."""
        return not self.leaving.isdisjoint(self.views[tensor])

    def share(self, number: int, source: Mapping[int, int], output: int) -> Share | None:
        """What output `output` of operator `number` may do to bytes that die there.

        `source` maps the tensors that hold these bytes to where they begin in each. A distance is from the output's
        first byte up to the first of these bytes; negative when the output may start above it.
        """
        op = self.graph.ops[number]
        at = [(position, source[op.inputs[position]]) for position in self._read_at(number, source)]
        found = [(self.sharing(self.graph, op, self.plan.strategy, position, output), start) for position, start in at]
        known = [(share, start) for share, start in found if share is not None and share.mode != "view"]
        if not known or len(known) < len(found):
            return None
        distance = max(self.padded(share.distance) + start for share, start in known)
        scratch = self.padded(max(share.scratch for share, _ in known))
        if any(share.mode == "exact" for share, _ in known):
            return None if distance else Share("exact", 0, scratch)
        return None if scratch else Share("below", distance)

    def _read_at(self, number: int, tensors: Mapping[int, int]) -> list[int]:
        """Positions among the inputs of operator `number` that hold one of `tensors`."""
        inputs = self.graph.ops[number].inputs
        if len(inputs) <= len(tensors):
            return [position for position, tensor in enumerate(inputs) if tensor in tensors]
        known = self._positions.get(number)
        if known is None:
            known = self._positions[number] = {}
            for position, tensor in enumerate(inputs):
                known.setdefault(tensor, []).append(position)
        return sorted(position for tensor in tensors for position in known.get(tensor, ()))

    def before(self, number: int) -> set[int]:
        """Operators that must run before operator `number`: producers of its inputs, elders that touch its state."""
        op = self.graph.ops[number]
        found = {self.writer[tensor] for tensor in op.inputs if tensor in self.writer}
        state = {t for t in op.inputs if t != ABSENT and self.graph.tensors[t].variable}
        if state or op.kind in _STATE_BY_HANDLE:
            for other, elder in enumerate(self.graph.ops[:number]):
                handles = op.kind in _STATE_BY_HANDLE and elder.kind in _STATE_BY_HANDLE
                if handles or not state.isdisjoint(elder.inputs):
                    found.add(other)
        return found
