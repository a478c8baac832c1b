"""From a graph to checked plans: one for an order and a strategy, or the whole table, sharing work between its rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal

from mcuprof.errors import McuprofError, UsageError
from mcuprof.graph import Graph
from mcuprof.memory.check import check
from mcuprof.memory.liveness import footprints
from mcuprof.memory.plan import MemoryPlan
from mcuprof.memory.problem import Io, Problem, Sharing, build_problem
from mcuprof.memory.solve import Solution, solve_as_is, solve_optimal
from mcuprof.memory.views import View
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
    views: Mapping[int, View] | None = None,
) -> MemoryPlan:
    """The smallest arena for `graph` with this order and in-place strategy that is found in `time_limit` seconds.

    `scratch` holds, per operator, the bytes of each block that only this operator uses. `sharing` says what kernels
    allow (default: reference kernels). `views` maps tensors to where they lie inside others; the operators that only
    copy between them then copy bytes onto themselves. The plan has passed `check`. Raises UsageError for options that
    make no sense and ModelError for graphs that cannot be planned: not in a runnable order, a tensor written twice or
    above 2 GiB.
    """
    planner = _Planner(graph, alignment, scratch, io, sharing, views or {})
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
    planner = _Planner(graph, alignment, scratch, io, sharing, {})
    orders: tuple[Schedule, ...] = ("as-is", "optimal")
    rows = [(order, strategy) for order in orders for strategy in STRATEGIES]
    deadline = time.monotonic() + time_limit
    found = []
    for done, (order, strategy) in enumerate(rows):
        fair_share = max(0.0, deadline - time.monotonic()) / (len(rows) - done)
        found.append(planner.plan(order, strategy, 2 * fair_share))
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
        self._solved: dict[tuple[Problem, str], Solution] = {}

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
            views=self._views,
        )
        found = self._translate(problem, self._solve(problem, order, time_limit), order, strategy)
        if wrong := check(self._graph, found, sharing=self._sharing, scratch=self._scratch):
            raise McuprofError(f"defect: the checker rejects the {order} plan for {strategy}: {wrong[0].message}")
        return found

    def _solve(self, problem: Problem, order: Schedule, time_limit: float) -> Solution:
        if (problem, order) not in self._solved:
            if order == "as-is":
                found = solve_as_is(problem, time_limit)
            else:
                found = solve_optimal(problem, self._solve(problem, "as-is", time_limit / 2), time_limit / 2)
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
