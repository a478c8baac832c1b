"""Plans made wrong, or only different, on purpose: three kinds of mutation of a plan for a real network."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mcuprof.graph import ABSENT, Graph
from mcuprof.memory import MemoryPlan
from tests.runner.judge import SAME_BYTES

Spans = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True)
class Mutant:
    """What `runner.arena.Plan` asks for, and the kind of the mutation."""

    kind: str
    order: tuple[int, ...]
    offsets: tuple[int | None, ...]
    lifetimes: Spans
    scratch: tuple[tuple[tuple[int, int], ...], ...]
    strategy: str
    arena_bytes: int
    views: Mapping[int, object] = field(default_factory=dict)


def mutants(net: Graph, plan: MemoryPlan, rng: random.Random) -> Iterator[Mutant]:
    """All kinds in random order, without end in sight for a network of some size."""
    kinds = [list(shortened(net, plan)), list(moved(net, plan, rng)), list(swapped(net, plan))]
    for kind in kinds:
        rng.shuffle(kind)
    while any(kinds):
        for kind in kinds:
            if kind:
                yield kind.pop()


def shortened(net: Graph, plan: MemoryPlan) -> Iterator[Mutant]:
    """An output that lies on an input of its operator comes one alignment unit nearer to what is still to be read."""
    for op in net.ops:
        for source in op.inputs:
            for target in op.outputs:
                if source != ABSENT and op.kind not in SAME_BYTES and _meet(net, plan.offsets, source, target):
                    yield _shifted(net, plan, "shortened", target, plan.alignment)
                    yield _shifted(net, plan, "shortened", source, -plan.alignment)


def moved(net: Graph, plan: MemoryPlan, rng: random.Random) -> Iterator[Mutant]:
    """A tensor is put onto some bytes of one that lives at the same time."""
    placed = [tensor for tensor, offset in enumerate(plan.offsets) if offset is not None]
    for tensor in placed:
        for other in placed:
            a, b = plan.lifetimes[tensor], plan.lifetimes[other]
            together = a and b and a[0] <= b[1] and b[0] <= a[1]
            if not together or other in _family(net, plan, tensor):
                continue
            low, high = -net.tensors[tensor].nbytes + 1, net.tensors[other].nbytes - 1
            at = (plan.offsets[other] or 0) + rng.randint(low, high) // plan.alignment * plan.alignment
            yield _shifted(net, plan, "moved", tensor, max(0, at) - (plan.offsets[tensor] or 0))


def swapped(net: Graph, plan: MemoryPlan) -> Iterator[Mutant]:
    """An operator changes places with one that reads its output, or with its neighbour of which it knows nothing."""
    for first, index in enumerate(plan.order):
        for second in range(first + 1, len(plan.order)):
            after = net.ops[plan.order[second]]
            dependent = bool(set(net.ops[index].outputs) & set(after.inputs))
            if dependent or second == first + 1:
                order = list(plan.order)
                order[first], order[second] = order[second], order[first]
                yield _mutant(net, plan, "swapped" if dependent else "reordered", order, plan.offsets)


def _shifted(net: Graph, plan: MemoryPlan, kind: str, tensor: int, by: int) -> Mutant:
    """The tensor and its views move; the whole arena moves up where they would begin below it."""
    family = _family(net, plan, tensor)
    offsets = [None if at is None else at + by * (t in family) for t, at in enumerate(plan.offsets)]
    lowest = min(offset for offset in offsets if offset is not None)
    return _mutant(net, plan, kind, plan.order, [None if at is None else at - min(0, lowest) for at in offsets])


def _family(net: Graph, plan: MemoryPlan, tensor: int) -> set[int]:
    """The tensor and what shares its bytes for good: through RESHAPE and its kind, in the same place."""
    family, grown = {tensor}, True
    while grown:
        links = [
            {op.inputs[0], op.outputs[0]}
            for op in net.ops
            if op.kind in SAME_BYTES and plan.offsets[op.inputs[0]] == plan.offsets[op.outputs[0]]
        ]
        more = set().union(family, *(link for link in links if link & family))
        grown, family = more != family, more
    return family


def _meet(net: Graph, offsets: Sequence[int | None], source: int, target: int) -> bool:
    a, b = offsets[source], offsets[target]
    if a is None or b is None:
        return False
    return a < b + net.tensors[target].nbytes and b < a + net.tensors[source].nbytes


def _mutant(net: Graph, plan: MemoryPlan, kind: str, order: Sequence[int], offsets: Sequence[int | None]) -> Mutant:
    """Lifetimes are those of the new order: a mutant is wrong in one thing only."""
    position = {index: at for at, index in enumerate(order)}
    spans: list[tuple[int, int] | None] = []
    for tensor, offset in enumerate(offsets):
        first = position[net.producer[tensor]] if tensor in net.producer else -1
        last = max([first, *(position[reader] for reader in net.consumers.get(tensor, ()))])
        spans.append(None if offset is None else (first, len(order) - 1 if tensor in net.outputs else last))
    reach = max(at + net.tensors[tensor].nbytes for tensor, at in enumerate(offsets) if at is not None)
    reach = max([reach, *(offset + size for blocks in plan.scratch for offset, size in blocks)])
    return Mutant(kind, tuple(order), tuple(offsets), tuple(spans), plan.scratch, plan.strategy, reach, plan.views)
