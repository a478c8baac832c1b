"""Placement of one order's buffers and scratch blocks, with the overlays that its lifetimes allow.

An overlay that must be exact is a choice: both buffers become one item, or they are apart. The choices tried are few;
the lower bound lets every overlay float, so a certificate still covers all choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mcuprof.memory.effort import Budget
from mcuprof.memory.liveness import Lifetime, footprints, lifetimes
from mcuprof.memory.place import Placement, place
from mcuprof.memory.problem import Overlay, Problem, saving


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Offsets per buffer; (offset, bytes) of the scratch blocks per step; arena and bound for this order, in bytes.

    `witness` is the step whose footprint is the largest.
    """

    offsets: tuple[int, ...]
    scratch: tuple[tuple[tuple[int, int], ...], ...]
    bytes: int
    bound: int
    proof: Literal["bound", "search"]
    witness: int


def arrange(problem: Problem, order: Sequence[int], budget: Budget) -> Arrangement:
    """The smallest arena for `order` found in `budget`, proven or with the best bound reached."""
    used = footprints(problem, order)
    floor = max(used)
    witness = order[used.index(floor)]
    spans = lifetimes(problem, order)
    active = active_overlays(problem, order)
    exact = [overlay for overlay in active if overlay.exact]
    best: tuple[Placement, list[Overlay]] | None = None
    choices = _choices(problem, order, spans, exact, floor) if exact else [[]]
    for remaining, taken in zip(range(len(choices), 0, -1), choices, strict=True):
        share = budget.part(1 / (remaining + bool(exact)))
        placed = _place(problem, order, spans, active, taken, floor, share)
        if best is None or placed.bytes < best[0].bytes:
            best = placed, taken
        if best[0].bytes == floor:
            break
    assert best is not None, "there is always a choice: to share nothing"
    placement, taken = best
    bound, proof = placement.bound, placement.proof
    if exact:
        bound, proof = floor, "bound"
        if placement.bytes > floor and not budget.over:
            relaxed = [replace(item, exact=False, scratch=0) for item in active]
            free = _place(problem, order, spans, relaxed, [], floor, budget)
            if free.bound > floor:
                bound, proof = free.bound, "search"
    scratch = _scratch(problem, order, placement, taken)
    return Arrangement(placement.offsets[: len(problem.buffers)], scratch, placement.bytes, bound, proof, witness)


def active_overlays(problem: Problem, order: Sequence[int]) -> list[Overlay]:
    """Overlays whose source dies at the step that may take it, in the order of these steps."""
    spans = lifetimes(problem, order)
    return [
        overlay
        for position, step in enumerate(order)
        for overlay in problem.steps[step].overlays
        if spans[overlay.source][1] == position and not problem.buffers[overlay.source].leaves
    ]


def _choices(
    problem: Problem, order: Sequence[int], spans: Sequence[Lifetime], exact: list[Overlay], floor: int
) -> list[list[Overlay]]:
    """Sets of exact overlays to take: only where the bound cannot be met without, all, and none.

    Of the overlays of one target, and of one source, only the one that saves most is ever taken.
    """
    every: list[Overlay] = []
    for overlay in sorted(exact, key=lambda item: -saving(item, problem.buffers)):
        if all(overlay.source != other.source and overlay.target != other.target for other in every):
            every.append(overlay)
    crowded = _crowded(problem, order, spans, floor)
    needed = [overlay for overlay in every if spans[overlay.target][0] in crowded]
    return [list(choice) for choice in dict.fromkeys((tuple(needed), tuple(every), ()))]


def _crowded(problem: Problem, order: Sequence[int], spans: Sequence[Lifetime], floor: int) -> set[int]:
    """Positions at which live bytes and scratch exceed `floor` when nothing shares."""
    change = [0] * (len(order) + 1)
    for buffer, (first, last) in zip(problem.buffers, spans, strict=True):
        change[first] += buffer.bytes
        change[last + 1] -= buffer.bytes
    live, found = 0, set()
    for position, step in enumerate(order):
        live += change[position]
        if live + sum(problem.steps[step].scratch) > floor:
            found.add(position)
    return found


def _place(
    problem: Problem,
    order: Sequence[int],
    spans: Sequence[Lifetime],
    active: list[Overlay],
    taken: list[Overlay],
    floor: int,
    budget: Budget,
) -> Placement:
    """Buffers, then the scratch blocks of each step; `taken` start together."""
    blocks = [(first, last, buffer.bytes) for buffer, (first, last) in zip(problem.buffers, spans, strict=True)]
    for position, step in enumerate(order):
        blocks += [(position, position, size) for size in _blocks(problem, step, taken)]
    below = {(item.target, item.source): item.distance for item in active if not item.exact}
    return place(
        blocks,
        alignment=problem.alignment,
        budget=budget,
        below=below,
        together=[*([(buffer, 0) for buffer in chain] for chain in _chains(taken)), *problem.rigid],
        floor=floor,
    )


def _blocks(problem: Problem, step: int, taken: Sequence[Overlay]) -> list[int]:
    mine = [item.scratch for item in taken if item.scratch and item in problem.steps[step].overlays]
    return [*problem.steps[step].scratch, *mine]


def _chains(taken: Sequence[Overlay]) -> list[list[int]]:
    """Buffers that follow each other in one place."""
    follower = {item.source: item.target for item in taken}
    found = []
    for head in follower.keys() - set(follower.values()):
        chain = [head]
        while chain[-1] in follower:
            chain.append(follower[chain[-1]])
        found.append(chain)
    return sorted(found)


def _scratch(
    problem: Problem, order: Sequence[int], placement: Placement, taken: Sequence[Overlay]
) -> tuple[tuple[tuple[int, int], ...], ...]:
    """(offset, bytes) of each step's blocks, by step."""
    found: list[tuple[tuple[int, int], ...]] = [()] * len(problem.steps)
    offsets = iter(placement.offsets[len(problem.buffers) :])
    for step in order:
        found[step] = tuple((next(offsets), size) for size in _blocks(problem, step, taken))
    return tuple(found)
