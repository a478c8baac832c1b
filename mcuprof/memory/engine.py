"""From a graph to checked plans: one for an order and a strategy, or the whole table, sharing work between its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from mcuprof.errors import McuprofError, UsageError
from mcuprof.graph import Graph
from mcuprof.memory.check import Checker
from mcuprof.memory.effort import Budget, Limit
from mcuprof.memory.liveness import footprints
from mcuprof.memory.plan import MemoryPlan
from mcuprof.memory.problem import Io, Problem, Sharing, build_problem
from mcuprof.memory.solve import Solution, solve_as_is, solve_optimal
from mcuprof.memory.views import View
from mcuprof.ops.sharing import STRATEGIES, share

Schedule = Literal["as-is", "optimal"]
DEFAULT = Limit(10.0)


def plan(
    graph: Graph,
    order: Schedule = "as-is",
    in_place: str = "none",
    *,
    alignment: int = 16,
    scratch: Sequence[Sequence[int]] | None = None,
    io: Io = "in-arena",
    sharing: Sharing = share,
    limit: Limit = DEFAULT,
    views: Mapping[int, View] | None = None,
) -> MemoryPlan:
    """The smallest arena for `graph` with this order and in-place strategy that is found within `limit`.

    `scratch` holds, per operator, the bytes of each block that only this operator uses. `sharing` says what kernels
    allow (default: reference kernels). `views` maps tensors to where they lie inside others; the operators that only
    copy between them then copy bytes onto themselves. The plan has passed `check`. Raises UsageError for options that
    make no sense and ModelError for graphs that cannot be planned: not in a runnable order, a tensor written twice or
    above 2 GiB.
    """
    planner = _Planner(graph, alignment, scratch, io, sharing, views or {})
    return planner.plan(order, in_place, limit.start())


def strategies(
    graph: Graph,
    *,
    alignment: int = 16,
    scratch: Sequence[Sequence[int]] | None = None,
    io: Io = "in-arena",
    sharing: Sharing = share,
    limit: Limit = DEFAULT,
) -> tuple[MemoryPlan, ...]:
    """Plans for every order and in-place strategy, `as-is` first, each as by `plan`; `limit` is for all together.

    Strategies that allow this graph the same share one solution.
    """
    planner = _Planner(graph, alignment, scratch, io, sharing, {})
    orders: tuple[Schedule, ...] = ("as-is", "optimal")
    rows = [(order, strategy) for order in orders for strategy in STRATEGIES]
    budget = limit.start()
    found = []
    for done, (order, strategy) in enumerate(rows):
        found.append(planner.plan(order, strategy, budget.part(min(1.0, 2 / (len(rows) - done)))))
    return tuple(found)


class _Planner:
    """Solves and translates; remembers solutions of equal problems."""

    def __init__(
        self,
        graph: Graph,
        alignment: int,
        scratch: Sequence[Sequence[int]] | None,
        io: Io,
        sharing: Sharing,
        views: Mapping[int, View],
    ) -> None:
        self._graph, self._views = graph, views
        self._alignment, self._scratch, self._io, self._sharing = alignment, scratch, io, sharing
        self._problems: dict[str, Problem] = {}
        self._solved: dict[tuple[Problem, str], Solution] = {}
        self._plans: dict[tuple[Problem, str], MemoryPlan] = {}
        self._checker = Checker(graph, sharing=sharing, scratch=scratch)

    def plan(self, order: Schedule, strategy: str, budget: Budget) -> MemoryPlan:
        """As the function `plan`."""
        if order not in ("as-is", "optimal"):
            raise UsageError(f"no order {order!r}: choose as-is or optimal")
        problem = self._problem(strategy)
        known = self._plans.get((problem, order))  # strategies that allow the same here are one problem
        if known is None:
            known = self._translate(problem, self._solve(problem, order, budget), order, strategy)
            self._plans[problem, order] = known
        found = replace(known, strategy=strategy)
        if wrong := self._checker.check(found):
            raise McuprofError(f"defect: the checker rejects the {order} plan for {strategy}: {wrong[0].message}")
        return found

    def _problem(self, strategy: str) -> Problem:
        if strategy not in self._problems:
            self._problems[strategy] = build_problem(
                self._graph,
                strategy,
                sharing=self._sharing,
                alignment=self._alignment,
                scratch=self._scratch,
                io=self._io,
                views=self._views,
            )
        return self._problems[strategy]

    def _solve(self, problem: Problem, order: Schedule, budget: Budget) -> Solution:
        if (problem, order) not in self._solved:
            if order == "as-is":
                found = solve_as_is(problem, budget)
            else:
                given = self._solve(problem, "as-is", budget.part(1 / 2))
                found = solve_optimal(problem, given, budget)
            self._solved[problem, order] = found
        return self._solved[problem, order]

    def _translate(self, problem: Problem, solution: Solution, order: Schedule, strategy: str) -> MemoryPlan:
        """From steps and buffers back to operators and tensors."""
        graph, arrangement = self._graph, solution.arrangement
        position = {step - 1: number - 1 for number, step in enumerate(solution.order)}
        offsets: list[int | None] = [None] * len(graph.tensors)
        spans: list[tuple[int, int] | None] = [None] * len(graph.tensors)
        end = len(graph.ops) - 1
        for number, buffer in enumerate(problem.buffers):
            for tensor, start in zip(buffer.tensors, buffer.starts, strict=True):
                first = position[graph.producer[tensor]] if tensor in graph.producer else -1
                last = max((position[reader] for reader in graph.consumers.get(tensor, ())), default=first)
                offsets[tensor] = arrangement.offsets[number] + start
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
            views=dict(self._views),
        )
