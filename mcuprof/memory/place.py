"""Offsets for buffers with given lifetimes: greedy portfolio, then exact search, with a certificate either way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mcuprof.errors import UsageError
from mcuprof.memory import exact
from mcuprof.memory.effort import Budget, Limit
from mcuprof.memory.greedy import best_greedy
from mcuprof.memory.layout import Ints, Layout, build_layout
from mcuprof.memory.local import local_search
from mcuprof.memory.problem import MAX_BUFFER_BYTES, align
from mcuprof.memory.stacking import OutOfTimeError, Stacking

# The search keeps a matrix over pairs of items; beyond this many it would not finish anyway.
MAX_ITEMS = 1000


@dataclass(frozen=True, slots=True)
class Placement:
    """Offsets in the order of the buffers, the arena they need, and a lower bound on any arena; all in bytes.

    `proof` says where the bound comes from: `bound` (bytes held at one moment) or `search` (smaller arenas exhausted).
    """

    offsets: tuple[int, ...]
    bytes: int
    bound: int
    proof: Literal["bound", "search"]
    nodes: int = 0

    @property
    def optimal(self) -> bool:
        """True when no smaller arena exists."""
        return self.bytes == self.bound


def place(
    buffers: Sequence[tuple[int, int, int]],
    capacity: int | None = None,
    *,
    alignment: int = 1,
    budget: Budget | None = None,
    below: Mapping[tuple[int, int], int] | None = None,
    together: Sequence[Sequence[tuple[int, int]]] = (),
    floor: int = 0,
) -> Placement:
    """The smallest arena for `buffers` found in `budget` (default: 10 s); each is (first, last, bytes), last inclusive.

    Sizes are rounded up to `alignment` and offsets are multiples of it. `below` maps (target, source) to the bytes that
    the target must start below the source unless they are disjoint. Each group of `together` moves as one: pairs of
    (buffer, bytes that it starts above the group), where buffers either all start with the group or are disjoint parts,
    whose sizes are not rounded up. `floor` is a lower bound the caller knows. With a `capacity` the first placement
    that fits it is good enough. Raises UsageError for lifetimes that end before they begin, negative sizes and sizes
    above 2 GiB.
    """
    _check(buffers, alignment)
    parts = {buffer: start for group in together if any(start for _, start in group) for buffer, start in group}
    sized = [
        (first, last, size if number in parts else align(size, alignment))
        for number, (first, last, size) in enumerate(buffers)
    ]
    used = [number for number, (_, _, size) in enumerate(sized) if size]
    index = {number: position for position, number in enumerate(used)}
    layout = build_layout(
        [sized[number] for number in used],
        {(index[t], index[s]): d for (t, s), d in (below or {}).items() if {t, s} <= index.keys()},
        [[(index[number], start) for number, start in group if number in index] for group in together],
        alignment,
    )
    placed = _solve(layout, max(floor, layout.bound), capacity or 0, budget or Limit(10.0).start())
    offsets = [0] * len(buffers)
    for group, offset in zip(layout.members, placed.offsets, strict=True):
        for member in group:
            offsets[used[member]] = offset + layout.shift[member]
    return Placement(tuple(offsets), placed.bytes, placed.bound, placed.proof, placed.nodes)


def _check(buffers: Sequence[tuple[int, int, int]], alignment: int) -> None:
    if alignment < 1:
        raise UsageError("alignment must be at least 1 byte")
    for number, (first, last, size) in enumerate(buffers):
        if last < first:
            raise UsageError(f"buffer {number} ends at {last}, before it begins at {first}")
        if not 0 <= size <= MAX_BUFFER_BYTES:
            raise UsageError(f"buffer {number} has {size:,} bytes; sizes go from 0 to {MAX_BUFFER_BYTES:,}")


def _solve(layout: Layout, bound: int, capacity: int, budget: Budget) -> Placement:
    """The portfolio, then exact tries: first at the bound, which most instances meet, then wherever time allows.

    Arenas are multiples of `grain`. Below `least` nothing fits; at `stuck` a try has run out of time.
    """
    grain = layout.grain
    held = bound  # what the checker can see; that arenas are multiples of the grain is the search's word
    bound = least = align(bound, grain)
    best = best_greedy(layout, max(bound, capacity))
    needed = _needed(layout, best)
    if needed == bound or len(layout) > MAX_ITEMS:
        return Placement(tuple(best.tolist()), needed, bound, "bound" if bound == held else "search")
    if not layout.simple:
        return _improved(layout, best, bound, held, capacity, budget)
    search = Stacking(layout)
    # What the own search finds it finds early: with the extra installed, most of the time is left for that.
    own = budget.part(0.25) if exact.available() else budget
    stuck: int | None = None
    step = 0
    while max(least, capacity + 1) <= needed - grain:
        target = min(needed - grain, least + step if stuck is None else (stuck + needed) // 2 // grain * grain + grain)
        target = max(target, capacity // grain * grain)
        if target == stuck or own.over:
            break
        try:
            found = search.fit(target, own.part(0.5))
        except OutOfTimeError:
            stuck = target
            continue
        if found is None:
            least, stuck, step = target + grain, None, 2 * step + grain
        else:
            best, needed = found, _needed(layout, found)
    if max(least, capacity + 1) <= needed - grain and exact.available() and not budget.over:
        best, least = exact.improve(layout, best, least, capacity, budget)
        needed = _needed(layout, best)
    proof: Literal["bound", "search"] = "bound" if least == held else "search"
    return Placement(tuple(best.tolist()), needed, min(least, needed), proof, search.nodes)


def _improved(layout: Layout, best: Ints, bound: int, held: int, capacity: int, budget: Budget) -> Placement:
    """Rigid groups with others between their parts: local search, then the extra where it is installed."""
    own = budget.part(0.25) if exact.available() else budget
    best = local_search(layout, best, max(bound, capacity), own)
    least = bound
    if _needed(layout, best) > max(bound, capacity) and exact.available() and not budget.over:
        best, least = exact.improve(layout, best, bound, capacity, budget)
    needed = _needed(layout, best)
    return Placement(tuple(best.tolist()), needed, min(least, needed), "bound" if least == held else "search")


def _needed(layout: Layout, offsets: Ints) -> int:
    return int((offsets + layout.height).max(initial=0))
