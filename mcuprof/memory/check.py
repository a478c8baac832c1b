"""The independent checker: re-derives from the graph everything that a plan claims, without any of the solvers' code.

It knows graphs, the sharing rules of kernels, and plans. What it cannot re-derive in reasonable time (that a search was
exhaustive on a large graph) it takes on the search's word; `check_bound.py` says where that line runs.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from mcuprof.graph import Graph
from mcuprof.memory.check_bound import Keeping, bound_errors, footprints
from mcuprof.memory.contents import Contents
from mcuprof.memory.facts import Facts, GraphFacts
from mcuprof.memory.plan import MemoryPlan
from mcuprof.memory.replay import replay

if TYPE_CHECKING:
    from mcuprof.memory.problem import Sharing


@dataclass(frozen=True, slots=True)
class Violation:
    """A claim that does not hold: its kind (`order`, `lifetime`, `offset`, `scratch`, `overlap`, `bound`) and why."""

    kind: str
    message: str


class _Block(NamedTuple):
    """Bytes in use from position `first` to `last`: a tensor's, or an operator's scratch (`tensor` is −1)."""

    tensor: int
    name: str
    offset: int
    nbytes: int
    first: int
    last: int


def check(
    graph: Graph, plan: MemoryPlan, *, sharing: Sharing, scratch: Sequence[Sequence[int]] | None = None
) -> list[Violation]:
    """All that is wrong with `plan` for `graph`; empty for a good plan.

    `sharing` and `scratch` are what the plan was made with.
    """
    return Checker(graph, sharing=sharing, scratch=scratch).check(plan)


class Checker:
    """Checks plans of one graph; what they have in common is derived once."""

    def __init__(self, graph: Graph, *, sharing: Sharing, scratch: Sequence[Sequence[int]] | None = None) -> None:
        self._known = GraphFacts(graph, sharing, scratch or [()] * len(graph.ops))
        self._contents: list[Contents] = []

    def check(self, plan: MemoryPlan) -> list[Violation]:
        """As the function `check`."""
        facts = Facts(self._known, plan)
        return list(_order(facts)) or _claims(facts, self._held)

    def _held(self, facts: Facts) -> Contents:
        """What the plan's bytes hold: the same as for another plan with the same views, whatever order and offsets."""
        found = next((contents for contents in self._contents if contents.fit(facts)), None)
        if found is None:
            found = Contents(facts)
            self._contents.append(found)
        return found


def _claims(facts: Facts, held: Callable[[Facts], Contents]) -> list[Violation]:
    """All that is wrong with a plan in a runnable order."""
    plan = facts.plan
    if found := [*_lifetimes(facts), *_offsets(facts), *_scratch(facts)]:
        return found
    contents, blocks = held(facts), list(_blocks(facts))
    lost = replay(facts, contents) if plan.views else ()
    found = [Violation("overlap", message) for message in lost] if plan.views else list(_overlaps(facts, blocks))
    ends = [block.offset + facts.padded(block.nbytes) for block in blocks if block.tensor not in plan.views]
    reach = max(ends, default=0)
    if plan.arena_bytes != reach:
        found.append(
            Violation("offset", f"the arena is given as {plan.arena_bytes} bytes, the blocks reach to {reach}")
        )
    keeping = Keeping(facts, contents)
    if list(plan.footprints) != footprints(keeping):
        found.append(Violation("bound", "the footprints are not those of the order"))
    return found + [Violation("bound", message) for message in bound_errors(keeping)]


def _order(facts: Facts) -> Iterator[Violation]:
    if sorted(facts.plan.order) != list(range(len(facts.graph.ops))):
        yield Violation("order", f"not every operator runs exactly once: {facts.plan.order}")
        return
    for number, op in enumerate(facts.graph.ops):
        for other in facts.before(number):
            if facts.position[other] >= facts.position[number]:
                yield Violation("order", f"operator {number} ({op.kind}) runs before operator {other}, which it needs")
    if facts.plan.schedule == "as-is" and list(facts.plan.order) != sorted(facts.plan.order):
        yield Violation("order", "the order is given as that of the file, which it is not")


def _lifetimes(facts: Facts) -> Iterator[Violation]:
    for tensor, found in enumerate(facts.plan.lifetimes):
        expected = facts.lifetime(tensor) if tensor in facts.views else None
        if found != expected:
            name = facts.graph.tensors[tensor].name
            yield Violation("lifetime", f"tensor {name!r} lives over {expected}, the plan says {found}")


def _offsets(facts: Facts) -> Iterator[Violation]:
    plan = facts.plan
    if len(plan.offsets) != len(facts.graph.tensors) or len(plan.lifetimes) != len(facts.graph.tensors):
        yield Violation("offset", "there must be one offset and one lifetime per tensor")
        return
    for tensor, offset in enumerate(plan.offsets):
        name = facts.graph.tensors[tensor].name
        if (offset is None) == (tensor in facts.views):
            yield Violation("offset", f"tensor {name!r} {'needs' if offset is None else 'needs no'} place in the arena")
        elif offset is not None and tensor in plan.views:
            view = plan.views[tensor]
            if plan.offsets[view.parent] is None or offset != (plan.offsets[view.parent] or 0) + view.offset:
                yield Violation("offset", f"tensor {name!r} is not where it is said to lie in its parent")
        elif offset is not None and (offset < 0 or offset % plan.alignment):
            yield Violation("offset", f"tensor {name!r} is at {offset}, not a multiple of {plan.alignment}")


def _scratch(facts: Facts) -> Iterator[Violation]:
    if len(facts.plan.scratch) != len(facts.graph.ops):
        yield Violation("scratch", "there must be one list of scratch blocks per operator")
        return
    for number, blocks in enumerate(facts.plan.scratch):
        wanted = [size for size in facts.asked[number] if size]
        if len(blocks) < len(wanted) or any(has < size for (_, has), size in zip(blocks, wanted, strict=False)):
            yield Violation("scratch", f"operator {number} asks for scratch of {wanted} bytes and has {list(blocks)}")
        for offset, _ in blocks:
            if offset < 0 or offset % facts.plan.alignment:
                yield Violation("scratch", f"operator {number} has scratch at {offset}, which is not aligned")


def _blocks(facts: Facts) -> Iterator[_Block]:
    plan = facts.plan
    for tensor in facts.tensors:
        offset, spec = plan.offsets[tensor], facts.graph.tensors[tensor]
        assert offset is not None, "offsets are checked first"
        yield _Block(tensor, spec.name, offset, spec.nbytes, *facts.lifetime(tensor))
    for number, blocks in enumerate(plan.scratch):
        at = facts.position[number]
        for offset, size in blocks:
            yield _Block(-1, f"scratch of operator {number}", offset, size, at, at)


def _overlaps(facts: Facts, given: list[_Block]) -> Iterator[Violation]:
    """Blocks in use at one position must be disjoint, views, or an output on a dying input as the rules allow."""
    blocks = sorted(given, key=lambda item: item.first)
    # Blocks in use, as numbers: those that end first, and by bits of their size ascending by offset. A block meets only
    # what begins within its bytes, or below them by less than so many bits count.
    ending: list[tuple[int, int]] = []
    alive: dict[int, list[tuple[int, int]]] = {}
    for number, block in enumerate(blocks):
        while ending and ending[0][0] < block.first:
            ended = heappop(ending)[1]
            alike = alive[blocks[ended].nbytes.bit_length()]
            del alike[bisect_left(alike, (blocks[ended].offset, ended))]
        close: list[int] = []
        for order, alike in alive.items():
            low = bisect_left(alike, (block.offset - (1 << order), -1))
            close += [each for _, each in alike[low : bisect_left(alike, (block.offset + block.nbytes, -1))]]
        for other in (blocks[each] for each in sorted(close)):
            meet = block.offset < other.offset + other.nbytes and other.offset < block.offset + block.nbytes
            if meet and not _may_meet(facts, block, other) and not _may_meet(facts, other, block):
                yield Violation("overlap", f"{block.name!r} and {other.name!r} share bytes at position {block.first}")
        insort(alive.setdefault(block.nbytes.bit_length(), []), (block.offset, number))
        heappush(ending, (block.last, number))


def _may_meet(facts: Facts, target: _Block, source: _Block) -> bool:
    if target.tensor < 0 or source.tensor < 0:
        return False
    if facts.views[target.tensor] is facts.views[source.tensor]:
        return target.offset == source.offset
    number = facts.writer.get(target.tensor)
    if number is None or number not in facts.family_readers(source.tensor) or facts.stays(source.tensor):
        return False
    if any(facts.position[reader] > facts.position[number] for reader in facts.family_readers(source.tensor)):
        return False
    family = dict.fromkeys(facts.views[source.tensor], 0)
    share = facts.share(number, family, facts.graph.ops[number].outputs.index(target.tensor))
    if share is None:
        return False
    if share.mode == "below":
        return target.offset + share.distance <= source.offset
    wanted = len([size for size in facts.asked[number] if size])
    spare = [size for _, size in facts.plan.scratch[number][wanted:]]
    return target.offset == source.offset and (not share.scratch or max(spare, default=0) >= share.scratch)
