"""From a graph to checked plans: one for an order and a strategy, or the whole table, sharing work between its rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mcuprof.errors import McuprofError, UsageError
from mcuprof.graph import Graph
from mcuprof.memory.arrange import Arrangement, arrange
from mcuprof.memory.check import check
from mcuprof.memory.liveness import footprints
from mcuprof.memory.order import Order, OrderResult, best_order
from mcuprof.memory.plan import MemoryPlan
from mcuprof.memory.problem import Io, Problem, Sharing, build_problem
from mcuprof.ops.sharing import STRATEGIES, share

Schedule = Literal["as-is", "optimal"]


def plan(
    graph: Graph,
    order: Schedule = "as-is",
    in_place: str = "none",
    *,
    alignment: int = 16,
    scratch: Sequence[Sequence[int]] | None = None,
    io: Io = "in-arena",
    sharing: Sharing = share,
    time_limit: float = 10.0,
) -> MemoryPlan:
    """The smallest arena for `graph` with this order and in-place strategy that is found in `time_limit` seconds.

    `scratch` holds, per operator, the bytes of each block that only this operator uses. `sharing` says what kernels
    allow (default: reference kernels). The plan has passed `check`. Raises UsageError for options that make no sense
    and ModelError for graphs that cannot be planned: not in a runnable order, a tensor written twice or above 2 GiB.
    """
    planner = _Planner(graph, alignment, scratch, io, sharing)
    return planner.plan(order, in_place, time_limit)


def strategies(
    graph: Graph,
    *,
    alignment: int = 16,
    scratch: Sequence[Sequence[int]] | None = None,
    io: Io = "in-arena",
    sharing: Sharing = share,
    time_limit: float = 10.0,
) -> tuple[MemoryPlan, ...]:
    """Plans for every order and in-place strategy, `as-is` first, each as by `plan`; `time_limit` is for all together.

    Strategies that allow this graph the same share one solution.
    """
    planner = _Planner(graph, alignment, scratch, io, sharing)
    orders: tuple[Schedule, ...] = ("as-is", "optimal")
    rows = [(order, strategy) for order in orders for strategy in STRATEGIES]
    deadline = time.monotonic() + time_limit
    found = []
    for done, (order, strategy) in enumerate(rows):
        fair_share = max(0.0, deadline - time.monotonic()) / (len(rows) - done)
        found.append(planner.plan(order, strategy, 2 * fair_share))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Solution:
    """An order of steps, its arrangement, and the best bound known with its proof."""

    order: Order
    arrangement: Arrangement
    bound: int
    proof: Literal["bound", "search"]
    witness: int


class _Planner:
    """Solves and translates; remembers solutions of equal problems."""

    def __init__(
        self,
        graph: Graph,
        alignment: int,
        scratch: Sequence[Sequence[int]] | None,
        io: Io,
        sharing: Sharing,
    ) -> None:
        self._graph = graph
        self._alignment, self._scratch, self._io, self._sharing = alignment, scratch, io, sharing
        self._solved: dict[tuple[Problem, str], _Solution] = {}

    def plan(self, order: Schedule, strategy: str, time_limit: float) -> MemoryPlan:
        """As the function `plan`."""
        if order not in ("as-is", "optimal"):
            raise UsageError(f"no order {order!r}: choose as-is or optimal")
        if time_limit < 0:
            raise UsageError(f"a time limit of {time_limit:g} s makes no sense")
        problem = build_problem(
            self._graph,
            strategy,
            sharing=self._sharing,
            alignment=self._alignment,
            scratch=self._scratch,
            io=self._io,
        )
        if (problem, order) not in self._solved:
            solve = self._solve_as_is if order == "as-is" else self._solve_optimal
            self._solved[problem, order] = solve(problem, time_limit)
        found = self._translate(problem, self._solved[problem, order], order, strategy)
        if wrong := check(self._graph, found, sharing=self._sharing, scratch=self._scratch):
            raise McuprofError(f"defect: the checker rejects the {order} plan for {strategy}: {wrong[0].message}")
        return found

    def _solve_as_is(self, problem: Problem, time_limit: float) -> _Solution:
        order = tuple(range(len(problem.steps)))
        arrangement = arrange(problem, order, time_limit)
        witness = arrangement.witness
        return _Solution(order, arrangement, arrangement.bound, arrangement.proof, witness)

    def _solve_optimal(self, problem: Problem, time_limit: float) -> _Solution:
        """Least peak over orders first; the plan is the best over orders and placements when its arena is that peak."""
        deadline = time.monotonic() + time_limit
        given = self._solved.get((problem, "as-is"))
        result = best_order(problem, time_limit=time_limit / 2)
        if given is not None and (given.arrangement.bytes == result.bound or given.order == result.order):
            return _over_orders(given.order, given.arrangement, result)
        arrangement = arrange(problem, result.order, max(0.0, deadline - time.monotonic()))
        if arrangement.bytes > result.bound and given is None:
            given = self._solve_as_is(problem, max(0.0, deadline - time.monotonic()))
        if given is not None and given.arrangement.bytes < arrangement.bytes:
            return _over_orders(given.order, given.arrangement, result)
        return _over_orders(result.order, arrangement, result)

    def _translate(self, problem: Problem, solution: _Solution, order: Schedule, strategy: str) -> MemoryPlan:
        """From steps and buffers back to operators and tensors."""
        graph, arrangement = self._graph, solution.arrangement
        position = {step - 1: number - 1 for number, step in enumerate(solution.order)}
        offsets: list[int | None] = [None] * len(graph.tensors)
        spans: list[tuple[int, int] | None] = [None] * len(graph.tensors)
        end = len(graph.ops) - 1
        for number, buffer in enumerate(problem.buffers):
            for tensor in buffer.tensors:
                first = position[graph.producer[tensor]] if tensor in graph.producer else -1
                last = max((position[reader] for reader in graph.consumers.get(tensor, ())), default=first)
                offsets[tensor] = arrangement.offsets[number]
                spans[tensor] = first, end if tensor in graph.outputs else last
        return MemoryPlan(
            schedule=order,
            strategy=strategy,
            io=self._io,
            alignment=self._alignment,
            order=tuple(step - 1 for step in solution.order[1:]),
            offsets=tuple(offsets),
            lifetimes=tuple(spans),
            scratch=arrangement.scratch[1:],
            footprints=tuple(footprints(problem, solution.order)[1:]),
            arena_bytes=arrangement.bytes,
            lower_bound_bytes=min(solution.bound, arrangement.bytes),
            proof=solution.proof,
            witness=solution.witness - 1,
        )


def _over_orders(order: Order, arrangement: Arrangement, result: OrderResult) -> _Solution:
    return _Solution(order, arrangement, result.bound, result.proof, result.witness)
