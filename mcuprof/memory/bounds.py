"""Lower bounds on the arena that hold for every order and every placement, overlays included.

For each operator, the bytes in use while it runs are at least the least over all downsets in which it may run; the
largest of these is a bound that any order must pay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from mcuprof.memory.downsets import Downsets, bits
from mcuprof.memory.effort import Budget
from mcuprof.memory.liveness import footprints, saved_bytes
from mcuprof.memory.problem import Problem

# Beyond this many inputs that an operator may overwrite, all subsets are too many; the bound stays valid, less tight.
MAX_SOURCES = 3
SECONDS_PER_ARC = 1.5e-7  # of a cut, as counted; where effort.py was measured


@dataclass(frozen=True, slots=True)
class Bound:
    """No order needs less than `bytes`; `witness` is the step that shows it."""

    bytes: int
    witness: int


def working_set(problem: Problem) -> Bound:
    """The largest of: an operator's inputs, outputs and scratch, less all that its overlays can save."""
    return max(
        (
            Bound(_own_bytes(problem, number) + _input_bytes(problem, number), number)
            for number in range(len(problem.steps))
        ),
        key=lambda bound: bound.bytes,
    )


def downset_bound(problem: Problem, orders: Sequence[Sequence[int]], budget: Budget | None = None) -> Bound:
    """The largest over operators of the least footprint over all downsets in which they may run (one cut or few each).

    `orders` are known orders: an operator whose footprint in any of them is no more than the bound so far cannot raise
    it and is skipped. Stops when the bound meets the best of them, or when `budget` is over.
    """
    best = working_set(problem)
    known: dict[int, int] = {}
    peaks = []
    for order in orders:
        found = footprints(problem, order)
        peaks.append(max(found))
        for step, footprint in zip(order, found, strict=True):
            known[step] = min(footprint, known.get(step, footprint))
    downsets = Downsets(problem)
    for step in sorted(known, key=lambda number: -known[number]):
        if known[step] <= best.bytes or best.bytes >= min(peaks) or (budget and budget.over):
            break
        before = downsets.work
        least = least_footprint(downsets, step)
        if budget:
            budget.spend((downsets.work - before) * SECONDS_PER_ARC)
        if least > best.bytes:
            best = Bound(least, step)
    return best


def least_footprint(downsets: Downsets, number: int) -> int:
    """The least bytes in use while step `number` runs, over all downsets in which it may run.

    An input can be overwritten only where all its other readers have run; each set of inputs to overwrite is a cut of
    its own, with those readers forced into the downset.
    """
    problem = downsets.problem
    step = problem.steps[number]
    outside = downsets.descendants[number] | 1 << number
    sources = sorted({overlay.source for overlay in step.overlays})
    sources = [source for source in sources if not downsets.readers[source] & downsets.descendants[number]]
    own = sum(problem.buffers[output].bytes for output in step.outputs) + sum(step.scratch)
    if len(sources) > MAX_SOURCES:
        return downsets.least_live(downsets.ancestors[number], outside) + own - saved_bytes(problem, step, sources)
    least = None
    for size in range(len(sources) + 1):
        for dying in combinations(sources, size):
            inside = downsets.ancestors[number]
            for source in dying:
                for reader in bits(downsets.readers[source] & ~(1 << number)):
                    inside |= downsets.ancestors[reader] | 1 << reader
            if not inside & outside:
                found = downsets.least_live(inside, outside) + own - saved_bytes(problem, step, dying)
                least = found if least is None else min(least, found)
    assert least is not None, "no input to overwrite is always feasible"
    return least


def _own_bytes(problem: Problem, number: int) -> int:
    step = problem.steps[number]
    saved = saved_bytes(problem, step, {overlay.source for overlay in step.overlays})
    return sum(problem.buffers[output].bytes for output in step.outputs) + sum(step.scratch) - saved


def _input_bytes(problem: Problem, number: int) -> int:
    return sum(problem.buffers[source].bytes for source in problem.steps[number].inputs)
