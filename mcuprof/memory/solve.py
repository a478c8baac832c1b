"""Order and placement together, for the abstract problem: what each part proves, and what that proves for the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mcuprof.memory.arrange import Arrangement, arrange
from mcuprof.memory.effort import Budget
from mcuprof.memory.order import Order, best_order, orders_below
from mcuprof.memory.problem import Problem

# So many orders are placed one by one where the best arena is not the least peak.
MAX_RIVALS = 64


@dataclass(frozen=True, slots=True)
class Solution:
    """An order of steps, its arrangement, and a lower bound in bytes with where it comes from."""

    order: Order
    arrangement: Arrangement
    bound: int
    proof: Literal["bound", "search"]
    witness: int


def solve_as_is(problem: Problem, budget: Budget) -> Solution:
    """The best placement for the steps as they come; the bound is for this order."""
    order = tuple(range(len(problem.steps)))
    found = arrange(problem, order, budget)
    return Solution(order, found, found.bound, found.proof, found.witness)


def solve_optimal(problem: Problem, given: Solution, budget: Budget) -> Solution:
    """The best order and placement; the bound is for all orders. `given` is the solution as is.

    No arena is smaller than the least peak of any order, so a placement that reaches it is the best of all. Where none
    does, every order with a peak below the best arena is placed, if they are few; the others cannot do better.
    """
    result = best_order(problem, budget.part(1 / 2))
    placed = {given.order: given.arrangement}
    if result.order not in placed and given.arrangement.bytes > result.bound:
        placed[result.order] = arrange(problem, result.order, budget.part(1 / 2))
    bound, proof = result.bound, result.proof
    least = min(found.bytes for found in placed.values())
    rivals = orders_below(problem, least, MAX_RIVALS, budget) if least > bound else None
    if rivals is not None:
        for remaining, order in zip(range(len(rivals), 0, -1), rivals, strict=True):
            if order not in placed:
                placed[order] = arrange(problem, order, budget.part(1 / remaining))
        reached = min([least, *(placed[order].bound for order in rivals)])
        if reached > bound:
            bound, proof = reached, "search"
    order = min(placed, key=lambda candidate: placed[candidate].bytes)
    return Solution(order, placed[order], bound, proof, result.witness)
