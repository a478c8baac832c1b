"""Placement by OR-Tools' CP-SAT, the optional extra `mcuprof[exact]`, for instances that the own search leaves open."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from mcuprof.memory.effort import Budget
from mcuprof.memory.layout import Ints, Layout
from mcuprof.memory.problem import align

# CP-SAT's own count of work, in seconds where effort.py was measured.
SECONDS_PER_UNIT = 25.0


def available() -> bool:
    """Whether the extra is installed."""
    return find_spec("ortools") is not None


def improve(layout: Layout, best: Ints, bound: int, goal: int, budget: Budget) -> tuple[Ints, int]:
    """Offsets at least as good as `best`, and a lower bound in bytes at least as good as `bound`.

    Ends as soon as an arena of `goal` bytes is reached, or when `budget` is over. First half of it
    goes to the mere question whether the least arena that is wanted can be had: without anything to minimise and
    without a hint the solver answers within seconds what it else does not in minutes (6 of MiniMalloc's 11 instances).
    """
    grain = layout.grain
    bound = align(max(bound, int(layout.height.max(initial=0))), grain)
    wanted = max(bound, goal // grain * grain)
    found, least = _fit(layout, wanted, budget.part(1 / 2))
    if found is not None:
        return found, bound
    if least > wanted:  # exhausted
        bound = max(bound, least)
    return _minimize(layout, best, max(bound, wanted), bound, budget)


def _fit(layout: Layout, capacity: int, budget: Budget) -> tuple[Ints | None, int]:
    """Offsets within `capacity` bytes or None, and a lower bound: one grain more than `capacity` if there are none."""
    from ortools.sat.python import cp_model

    model, offsets = _model(layout, capacity // layout.grain)
    solver, status = _solve(model, budget)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return _values(layout, solver, offsets), 0
    return None, capacity + layout.grain if status == cp_model.INFEASIBLE else 0


def _minimize(layout: Layout, best: Ints, least: int, bound: int, budget: Budget) -> tuple[Ints, int]:
    """The smallest arena of at least `least` bytes, from `best` on, and the bound proven on the way."""
    from ortools.sat.python import cp_model

    grain = layout.grain
    limit = int((best + layout.height).max(initial=0)) // grain
    if budget.over or least >= limit * grain:
        return best, bound
    model, offsets = _model(layout, limit)
    arena = model.new_int_var(least // grain, limit, "arena")
    heights = (layout.height // grain).tolist()
    for offset, size, hint in zip(offsets, heights, (best // grain).tolist(), strict=True):
        model.add(offset + size <= arena)
        model.add_hint(offset, hint)
    model.minimize(arena)
    solver, status = _solve(model, budget)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return best, bound
    proven = round(solver.best_objective_bound) * grain
    return _values(layout, solver, offsets), max(bound, proven) if proven > least else bound


def _model(layout: Layout, limit: int) -> tuple[Any, list[Any]]:
    """Placements within `limit` grains, and the variables of the offsets.

    Items that only need to be disjoint are rectangles in time and bytes; with overlays or rigid groups every pair has a
    difference that may take certain values. Sizes are divided by their common grain.
    """
    from ortools.sat.python import cp_model

    grain = layout.grain
    height = (layout.height // grain).tolist()
    model = cp_model.CpModel()
    offsets = [model.new_int_var(0, limit - size, "") for size in height]
    if layout.below or any(len(group) > 1 for group in layout.members):
        for item, near in enumerate(layout.near):
            for other, forbidden in near.items():
                if item < other:
                    ends = [-limit, *(end // grain for span in forbidden for end in span), limit]
                    gaps = [(low, high) for low, high in zip(ends[::2], ends[1::2], strict=True) if low <= high]
                    allowed = cp_model.Domain.from_intervals(gaps)
                    model.add_linear_expression_in_domain(offsets[other] - offsets[item], allowed)
        return model, offsets
    # Ranks of moments instead of moments: presolve grows with the numbers.
    ranks = np.searchsorted(layout.moments, layout.first), np.searchsorted(layout.moments, layout.last, "right")
    spans = zip(ranks[0].tolist(), (ranks[1] - ranks[0]).tolist(), strict=True)
    lifetimes = [model.new_fixed_size_interval_var(first, length, "") for first, length in spans]
    places = [model.new_fixed_size_interval_var(y, size, "") for y, size in zip(offsets, height, strict=True)]
    model.add_no_overlap_2d(lifetimes, places)
    return model, offsets


def _solve(model: Any, budget: Budget) -> tuple[Any, Any]:
    """The solver and its status after a search that is the same wherever it runs.

    One worker, since several race for the first answer. The search by hints alone solves more of MiniMalloc's instances
    than eight strategies side by side, each in less time, even where there is no hint.
    """
    from ortools.sat.python import cp_model

    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.linearization_level = 0
    solver.parameters.search_branching = cp_model.HINT_SEARCH
    if budget.by_clock:
        solver.parameters.max_time_in_seconds = budget.left
    else:
        solver.parameters.max_deterministic_time = budget.left / SECONDS_PER_UNIT
    status = solver.solve(model)
    budget.spend(solver.ResponseProto().deterministic_time * SECONDS_PER_UNIT)
    return solver, status


def _values(layout: Layout, solver: Any, offsets: list[Any]) -> Ints:
    return np.array([solver.value(offset) for offset in offsets], np.int64) * layout.grain
