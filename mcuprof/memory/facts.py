"""What a graph says about a plan's tensors, derived afresh for the checker: nothing here is shared with the solvers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mcuprof.graph import ABSENT, Graph
from mcuprof.memory.plan import MemoryPlan
from mcuprof.ops.sharing import Share

if TYPE_CHECKING:
    from mcuprof.memory.problem import Io, Sharing

# Operators that may reach state which no tensor of theirs names: their order among themselves is part of the program.
_STATE_BY_HANDLE = {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "IF", "WHILE"}


class GraphFacts:
    """What a graph says whatever the plan: who writes and reads a tensor, who is a view of whom under a strategy.

    `asked` are the scratch sizes per operator. One of these serves all plans of a graph.
    """

    def __init__(self, graph: Graph, sharing: Sharing, asked: Sequence[Sequence[int]]) -> None:
        self.graph, self.sharing, self.asked = graph, sharing, asked
        self.leaving = set(graph.outputs)
        self.writer = {tensor: number for number, op in enumerate(graph.ops) for tensor in op.outputs}
        self.readers: dict[int, set[int]] = {}
        for number, op in enumerate(graph.ops):
            for tensor in op.inputs:
                self.readers.setdefault(tensor, set()).add(number)
        self.positions: dict[int, dict[int, list[int]]] = {}
        self.before = list(self._before())
        self._views: dict[tuple[Io, str], dict[int, set[int]]] = {}
        self._leads: dict[tuple[Io, str], dict[int, int]] = {}

    def views(self, io: Io, strategy: str) -> dict[int, set[int]]:
        """Tensor → all tensors that are the same bytes by definition, itself included (one set object per family).

        Of all tensors that need bytes in the arena, ascending.
        """
        if (io, strategy) in self._views:
            return self._views[io, strategy]
        graph = self.graph
        outside = {*graph.inputs, *graph.outputs} if io == "outside" else set()
        used = {tensor for op in graph.ops for tensor in (*op.inputs, *op.outputs)}
        appearing = {*graph.inputs, *graph.outputs, *used} - outside - {ABSENT}
        found = {tensor: {tensor} for tensor in sorted(appearing) if self._needs_bytes(tensor)}
        for op in graph.ops:
            for position, source in enumerate(op.inputs):
                for output, target in enumerate(op.outputs):
                    if source not in found or target not in found:
                        continue
                    share = self.sharing(graph, op, strategy, position, output)
                    if share is not None and share.mode == "view" and found[source] is not found[target]:
                        found[source] |= found[target]
                        found.update(dict.fromkeys(found[target], found[source]))
        self._views[io, strategy] = found
        return found

    def leads(self, io: Io, strategy: str) -> dict[int, int]:
        """Tensor → the first of those that are the same bytes."""
        if (io, strategy) not in self._leads:
            views = self.views(io, strategy)
            first = {number: min(family) for number, family in {id(f): f for f in views.values()}.items()}
            self._leads[io, strategy] = {tensor: first[id(family)] for tensor, family in views.items()}
        return self._leads[io, strategy]

    def _needs_bytes(self, tensor: int) -> bool:
        found = self.graph.tensors[tensor]
        return found.nbytes > 0 and not found.variable and not found.is_constant

    def _before(self) -> Iterator[set[int]]:
        """Per operator those that must run first: producers of its inputs, and the last elder that touches its state.

        Elders before that one follow from it, as it has elders of its own.
        """
        touched: dict[int, int] = {}  # by state, ABSENT for all that is reached by handles
        for number, op in enumerate(self.graph.ops):
            found = {self.writer[tensor] for tensor in op.inputs if tensor in self.writer}
            state = {t for t in op.inputs if t != ABSENT and self.graph.tensors[t].variable}
            if op.kind in _STATE_BY_HANDLE:
                state.add(ABSENT)
            for item in state:
                if item in touched:
                    found.add(touched[item])
                touched[item] = number
            yield found


class Facts:
    """Which tensors need arena bytes, when they live in the plan's order, who is a view of whom, who may lie on whom.

    `asked` are the scratch sizes per operator. Positions count operators in the plan's order, −1 is the caller.
    """

    def __init__(self, known: GraphFacts, plan: MemoryPlan) -> None:
        self.graph, self.sharing, self.asked, self.plan = known.graph, known.sharing, known.asked, plan
        self.leaving, self.writer, self.readers = known.leaving, known.writer, known.readers
        self.views = known.views(plan.io, plan.strategy)
        self.leads = known.leads(plan.io, plan.strategy)
        self.tensors = list(self.views)
        self.position = {op: number for number, op in enumerate(plan.order)}
        self._positions = known.positions
        self._before = known.before
        self._lifetimes: dict[int, tuple[int, int]] = {}

    def padded(self, count: int) -> int:
        """`count` rounded up to the plan's alignment."""
        return count + -count % self.plan.alignment

    def lifetime(self, tensor: int) -> tuple[int, int]:
        """First and last position at which `tensor` holds its bytes, inclusive."""
        found = self._lifetimes.get(tensor)
        if found is None:
            first = last = self.position[self.writer[tensor]] if tensor in self.writer else -1
            if tensor in self.leaving:
                last = len(self.graph.ops) - 1
            else:
                for reader in self.readers.get(tensor, ()):
                    last = max(last, self.position[reader])
            found = self._lifetimes[tensor] = first, last
        return found

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
        """Operators that must run before operator `number`, as far as others of these do not ask for them already."""
        return self._before[number]
