"""Placement by OR-Tools' CP-SAT, the optional extra `mcuprof[exact]`, for instances that the own search leaves open."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from mcuprof.memory.layout import Ints, Layout


def available() -> bool:
    """Whether the extra is installed."""
    return find_spec("ortools") is not None


def improve(layout: Layout, best: Ints, bound: int, goal: int, time_limit: float) -> tuple[Ints, int]:
    """Offsets at least as good as `best`, and a lower bound in bytes at least as good as `bound`.

    Ends as soon as an arena of `goal` bytes is reached, or when `time_limit` seconds have passed.

    Items that only need to be disjoint are rectangles in time and bytes; with overlays or rigid groups every pair has a
    difference that may take certain values. Sizes are divided by their common grain.
    """
    from ortools.sat.python import cp_model

    grain = layout.grain
    height = (layout.height // grain).tolist()
    limit = int((best + layout.height).max(initial=0)) // grain
    model = cp_model.CpModel()
    least = max(-(-bound // grain), goal // grain)
    arena = model.new_int_var(least, limit, "arena")
    offsets = [model.new_int_var(0, limit - size, "") for size in height]
    for offset, size, hint in zip(offsets, height, (best // grain).tolist(), strict=True):
        model.add(offset + size <= arena)
        model.add_hint(offset, hint)
    if layout.below or any(len(group) > 1 for group in layout.members):
        for item, near in enumerate(layout.near):
            for other, forbidden in near.items():
                if item < other:
                    ends = [-limit, *(end // grain for span in forbidden for end in span), limit]
                    gaps = [(low, high) for low, high in zip(ends[::2], ends[1::2], strict=True) if low <= high]
                    allowed = cp_model.Domain.from_intervals(gaps)
                    model.add_linear_expression_in_domain(offsets[other] - offsets[item], allowed)
    else:
        # Ranks of moments instead of moments: presolve grows with the numbers.
        ranks = np.searchsorted(layout.moments, layout.first), np.searchsorted(layout.moments, layout.last, "right")
        spans = zip(ranks[0].tolist(), (ranks[1] - ranks[0]).tolist(), strict=True)
        lifetimes = [model.new_fixed_size_interval_var(first, length, "") for first, length in spans]
        places = [model.new_fixed_size_interval_var(y, size, "") for y, size in zip(offsets, height, strict=True)]
        model.add_no_overlap_2d(lifetimes, places)
    model.minimize(arena)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = time_limit
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return best, bound
    found = np.array([solver.value(offset) for offset in offsets], np.int64) * grain
    proven = round(solver.best_objective_bound)
    return found, max(bound, proven * grain) if proven > least else bound
