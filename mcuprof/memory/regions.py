"""Several memories instead of one arena: the most used bytes go to the region that is preferred most.

Each buffer and scratch block lies wholly in one region. Regions are filled in the order of preference; of what is left,
each takes the set of blocks that moves the most bytes per inference and still can be placed. Which set that is, is
sought by a few greedy rankings and repairs: good, not proven.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mcuprof.errors import McuprofError, UsageError
from mcuprof.graph import Graph
from mcuprof.memory.arrange import active_overlays
from mcuprof.memory.check import check
from mcuprof.memory.effort import Budget, Limit
from mcuprof.memory.liveness import lifetimes
from mcuprof.memory.place import Placement, place
from mcuprof.memory.plan import MemoryPlan
from mcuprof.memory.problem import Problem, Sharing, align, build_problem
from mcuprof.ops.sharing import share

UNBOUNDED = 1 << 40
DEFAULT = Limit(5.0)


@dataclass(frozen=True, slots=True)
class RegionUse:
    """One region: its capacity, the bytes used from its start, and the bytes read and written in it per inference.

    A tensor is written once and read once by each operator that takes it; scratch is written and read once.
    """

    name: str
    capacity_bytes: int
    used_bytes: int
    moved_bytes: int

    @property
    def fits(self) -> bool:
        """True when what was put here has room."""
        return self.used_bytes <= self.capacity_bytes


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """Where the tensors of a plan lie: (region, offset) per tensor, as `regions` counts, and per scratch block.

    All but the last region always fit; the last one takes what is left.
    """

    regions: tuple[RegionUse, ...]
    tensors: tuple[tuple[int, int] | None, ...]
    scratch: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def fits(self) -> bool:
        """True when every region has room for what was put there."""
        return all(region.fits for region in self.regions)


@dataclass(frozen=True, slots=True)
class _Block:
    first: int
    last: int
    bytes: int
    moved: int


def spread(
    graph: Graph,
    plan: MemoryPlan,
    regions: Sequence[tuple[str, int]],
    *,
    scratch: Sequence[Sequence[int]] | None = None,
    sharing: Sharing = share,
    limit: Limit = DEFAULT,
) -> RegionPlan:
    """The tensors of `plan`, in its order and strategy, over `regions`: (name, bytes), the preferred one first.

    `scratch` and `sharing` are what the plan was made with. Overlays that need one exact offset are not used here.
    Raises UsageError for no regions and for capacities below zero. The result has passed the checker.
    """
    if not regions or any(capacity < 0 for _, capacity in regions):
        raise UsageError("name at least one region, none with less than 0 bytes")
    problem = build_problem(
        graph, plan.strategy, sharing=sharing, alignment=plan.alignment, scratch=scratch, io=plan.io
    )
    order = (0, *(op + 1 for op in plan.order))
    blocks = list(_blocks(problem, order))
    below = {(item.target, item.source): item.distance for item in active_overlays(problem, order) if not item.exact}
    budget = limit.start()
    where: dict[int, tuple[int, int]] = {}
    uses = []
    for number, (name, capacity) in enumerate(regions):
        rest = [b for b in range(len(blocks)) if b not in where]
        room = capacity if number < len(regions) - 1 else UNBOUNDED
        share = budget.part(1 / (len(regions) - number))
        chosen, placed = _fill(blocks, below, rest, room, plan.alignment, share)
        where.update({b: (number, offset) for b, offset in zip(chosen, placed.offsets, strict=True)})
        uses.append(RegionUse(name, capacity, placed.bytes, sum(blocks[b].moved for b in chosen)))
    found = _translate(graph, problem, order, where, tuple(uses))
    _verify(graph, plan, found, sharing, scratch)
    return found


def _blocks(problem: Problem, order: Sequence[int]) -> Iterator[_Block]:
    """Buffers, then scratch blocks in the order of the steps."""
    for buffer, (first, last) in zip(problem.buffers, lifetimes(problem, order), strict=True):
        yield _Block(first, last, buffer.bytes, buffer.bytes * (1 + len(buffer.consumers)))
    for position, step in enumerate(order):
        for size in problem.steps[step].scratch:
            yield _Block(position, position, size, 2 * size)


def _fill(
    blocks: Sequence[_Block],
    below: Mapping[tuple[int, int], int],
    rest: Sequence[int],
    capacity: int,
    alignment: int,
    budget: Budget,
) -> tuple[list[int], Placement]:
    """Which of `rest` go into `capacity` bytes, and where: the best of a few rankings by bytes moved."""
    rankings = (
        lambda b: -blocks[b].moved / blocks[b].bytes,
        lambda b: -blocks[b].moved,
        lambda b: -blocks[b].moved / (blocks[b].bytes * (blocks[b].last - blocks[b].first + 1)),
        lambda b: blocks[b].bytes,
    )
    found: list[tuple[list[int], Placement]] = []
    for remaining, ranking in zip(range(len(rankings), 0, -1), rankings, strict=True):
        chosen = _profitable(blocks, below, sorted(rest, key=ranking), capacity)
        share = budget.part(1 / remaining)
        found.append(_placeable(blocks, below, chosen, capacity, alignment, share))
        if len(found[-1][0]) == len(rest):
            break
    return max(found, key=lambda fill: sum(blocks[b].moved for b in fill[0]))


def _profitable(
    blocks: Sequence[_Block], below: Mapping[tuple[int, int], int], ranked: Sequence[int], capacity: int
) -> list[int]:
    """From the first on, every block that leaves the bytes in use within `capacity` at every moment."""
    partners: dict[int, list[tuple[int, int]]] = {}
    for (target, source), distance in below.items():
        shared = min(blocks[source].bytes, blocks[target].bytes - distance)
        partners.setdefault(target, []).append((source, shared))
        partners.setdefault(source, []).append((target, shared))
    used = [0] * (1 + max((block.last for block in blocks), default=0))
    chosen: list[int] = []
    for b in ranked:
        needed = dict.fromkeys(range(blocks[b].first, blocks[b].last + 1), blocks[b].bytes)
        for other, shared in partners.get(b, ()):
            if other in chosen:
                needed[max(blocks[b].first, blocks[other].first)] -= shared
        if all(used[moment] + size <= capacity for moment, size in needed.items()):
            chosen.append(b)
            for moment, size in needed.items():
                used[moment] += size
    return chosen


def _placeable(
    blocks: Sequence[_Block],
    below: Mapping[tuple[int, int], int],
    chosen: list[int],
    capacity: int,
    alignment: int,
    budget: Budget,
) -> tuple[list[int], Placement]:
    """`chosen` without the blocks that stand in the way of a placement within `capacity`, least valuable first."""
    while True:
        index = {b: number for number, b in enumerate(chosen)}
        placed = place(
            [(blocks[b].first, blocks[b].last, blocks[b].bytes) for b in chosen],
            capacity,
            alignment=alignment,
            budget=budget.part(1 / 2),
            below={(index[t], index[s]): distance for (t, s), distance in below.items() if {t, s} <= index.keys()},
        )
        if placed.bytes <= capacity:
            return chosen, placed
        over = [b for b in chosen if placed.offsets[index[b]] + blocks[b].bytes > capacity]
        chosen = [b for b in chosen if b != min(over, key=lambda block: blocks[block].moved)]


def _translate(
    graph: Graph,
    problem: Problem,
    order: Sequence[int],
    where: Mapping[int, tuple[int, int]],
    uses: tuple[RegionUse, ...],
) -> RegionPlan:
    """From blocks back to tensors and operators."""
    tensors: list[tuple[int, int] | None] = [None] * len(graph.tensors)
    for number, buffer in enumerate(problem.buffers):
        for tensor in buffer.tensors:
            tensors[tensor] = where[number]
    scratch: list[tuple[tuple[int, int], ...]] = [()] * len(problem.steps)
    block = len(problem.buffers)
    for step in order:
        count = len(problem.steps[step].scratch)
        scratch[step] = tuple(where[b] for b in range(block, block + count))
        block += count
    return RegionPlan(uses, tuple(tensors), tuple(scratch[1:]))


def _verify(
    graph: Graph,
    plan: MemoryPlan,
    found: RegionPlan,
    sharing: Sharing,
    scratch: Sequence[Sequence[int]] | None,
) -> None:
    """Lays the regions end to end and has the checker look at the whole as one arena."""
    bases = [0]
    for region in found.regions:
        bases.append(bases[-1] + align(max(region.used_bytes, region.capacity_bytes), plan.alignment))
    sizes = [[align(size, plan.alignment) for size in wanted if size] for wanted in scratch or [()] * len(graph.ops)]
    blocks = [
        tuple((bases[region] + offset, size) for (region, offset), size in zip(places, wanted, strict=True))
        for places, wanted in zip(found.scratch, sizes, strict=True)
    ]
    offsets = [None if place is None else bases[place[0]] + place[1] for place in found.tensors]
    ends = [offset + size for places in blocks for offset, size in places]
    for tensor, offset in zip(graph.tensors, offsets, strict=True):
        if offset is not None:
            ends.append(offset + align(tensor.nbytes, plan.alignment))
    laid = replace(
        plan, offsets=tuple(offsets), scratch=tuple(blocks), arena_bytes=max(ends, default=0), lower_bound_bytes=0
    )
    if wrong := check(graph, laid, sharing=sharing, scratch=scratch):
        raise McuprofError(f"defect: the checker rejects the plan over regions: {wrong[0].message}")
