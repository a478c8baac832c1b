"""Memory of one model: what the runtime will use as it is or under a plan, what every order and strategy would take."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mcuprof import runtimes
from mcuprof.analysis.advice import advice
from mcuprof.analysis.spread import Spreadable
from mcuprof.document import Finding, Memory, Peak, PeakTensor, Placement, Strategy
from mcuprof.errors import McuprofError, UsageError
from mcuprof.graph import Graph
from mcuprof.hardware import Core
from mcuprof.runtimes import Arena, Runtime

if TYPE_CHECKING:
    from mcuprof.analysis import Options
    from mcuprof.memory import MemoryPlan

ALIGNMENT = 16
# Seconds of work: nobody at a terminal waits longer for a table that the median model fills in milliseconds.
EFFORT = 10.0
AS_IT_IS = ("as-is", "none")


@dataclass(frozen=True, slots=True)
class Described:
    """The memory part of a result without the device's regions and the stack, and what to say about it.

    `spreadable` is the plan that could be spread over regions, for a detailed result.
    """

    memory: Memory
    findings: tuple[Finding, ...] = ()
    spreadable: Spreadable | None = None


def describe(
    graph: Graph, runtime: Runtime, arena: Arena, kernels: str, core: Core | None, options: Options
) -> Described:
    """Memory under the order and in-place strategy of `options`; `arena` is the runtime's own.

    With `options.detail` the plan and the table of strategies are added. Raises UsageError for a plan that the model
    or the options do not allow, ModelError for a graph that cannot be planned.
    """
    planner = _Planner(graph, runtime, arena, kernels, core, options)
    scheme = (options.order, options.in_place)
    memory = _as_it_is(graph, arena, options.detail)
    if scheme != AS_IT_IS:
        if options.io == "outside":
            raise UsageError(f"{runtime.name} keeps inputs and outputs in its arena: no verdict on --io outside")
        memory = planner.planned(*scheme, options.detail)
    if not options.detail:
        return Described(memory)
    try:
        plans = planner.table()
    except McuprofError as error:
        found = Finding("M111", "note", f"no orders and strategies compared: the model {error}")
        return Described(msgspec.structs.replace(memory, strategies=()), (found,))
    memory = msgspec.structs.replace(memory, strategies=tuple(planner.row(plan) for plan in plans))
    chosen = next(plan for plan in plans if (plan.schedule, plan.strategy) == scheme)
    spreadable = Spreadable(graph, chosen, planner.scratch, planner.sharing, options.time_limit)
    return Described(memory, tuple(advice(memory, runtime.name)), spreadable)


def _as_it_is(graph: Graph, arena: Arena, detail: bool) -> Memory:
    live = _live_bytes(arena)
    stored = any(request.offset != runtimes.ONLINE for request in arena.requests)
    # A plan in the file may share bytes, where live bytes bound nothing; the largest buffer always does.
    largest = max((request.nbytes for request in arena.requests), default=0)
    bound = largest if stored else max(live.values(), default=0)
    certificate = "none: plan stored in the model" if stored else _certificate(arena.head_bytes, bound)
    return _memory(graph, arena, AS_IT_IS, bound, certificate, live, (), detail)


def _memory(
    graph: Graph,
    arena: Arena,
    scheme: tuple[str, str],
    bound: int,
    certificate: str,
    live: dict[int, int],
    order: Sequence[int],
    detail: bool,
) -> Memory:
    return Memory(
        order=scheme[0],
        in_place=scheme[1],
        arena_bytes=arena.arena_bytes,
        head_bytes=arena.head_bytes,
        tail_bytes=arena.tail.nbytes,
        min_arena_bytes=arena.min_arena_bytes,
        stack_bytes=None,
        lower_bound_bytes=bound,
        certificate=certificate,
        peak=_peak(graph, arena, live, order),
        regions=(),
        plan=_placements(graph, arena, order) if detail else msgspec.UNSET,
        operator_order=tuple(order) if detail and scheme[0] != AS_IT_IS[0] else msgspec.UNSET,
    )


class _Planner:
    """Plans of one graph for one firmware, and what the runtime makes of them."""

    def __init__(
        self, graph: Graph, runtime: Runtime, arena: Arena, kernels: str, core: Core | None, options: Options
    ) -> None:
        self.graph, self.runtime, self.kernels, self.core = graph, runtime, kernels, core
        self.scratch = arena.scratch(len(graph.ops))
        self.sharing = runtime.sharing(kernels, core)
        self.time_limit, self.io = options.time_limit, options.io
        self._arenas: dict[tuple[tuple[int, ...], tuple[int | None, ...]], tuple[Graph, Arena]] = {}

    def planned(self, order: str, in_place: str, detail: bool) -> Memory:
        """What the runtime uses when the model carries the best plan of this order and strategy."""
        from mcuprof import memory

        self._check_subgraphs()
        plan = memory.plan(
            self.graph,
            order,  # type: ignore[arg-type]  # memory.plan refuses what is no order
            in_place,
            alignment=ALIGNMENT,
            scratch=self.scratch,
            sharing=self.sharing,
            limit=memory.limit_of(self.time_limit, EFFORT),
        )
        written, arena = self._obeyed(plan)
        certificate = plan.certificate if arena.head_bytes == plan.arena_bytes else "none: scratch lies elsewhere"
        scheme = (order, in_place)
        return _memory(
            written, arena, scheme, plan.lower_bound_bytes, certificate, _live_bytes(arena), plan.order, detail
        )

    def table(self) -> tuple[MemoryPlan, ...]:
        """A plan for every order and strategy."""
        from mcuprof import memory

        self._check_subgraphs()
        return memory.strategies(
            self.graph,
            alignment=ALIGNMENT,
            scratch=self.scratch,
            io=self.io,  # type: ignore[arg-type]  # memory.strategies refuses what is no place
            sharing=self.sharing,
            limit=memory.limit_of(self.time_limit, EFFORT),
        )

    def row(self, plan: MemoryPlan) -> Strategy:
        """The head that the runtime would have under `plan`, with bound and proof."""
        if plan.io == "outside":  # every runtime here holds inputs and outputs in its arena: the plan's own bytes
            sizes = plan.arena_bytes, plan.lower_bound_bytes
            return Strategy(plan.schedule, plan.strategy, *sizes, plan.certificate, (), plan.io)
        if plan.arena_bytes > runtimes.MAX_OFFSET:  # no stored plan can hold it
            sizes = plan.arena_bytes, plan.lower_bound_bytes
            return Strategy(plan.schedule, plan.strategy, *sizes, plan.certificate, ())
        _, arena = self._obeyed(plan)
        runs_on = (self.runtime.name,) if self.runtime.memory_known else ()
        same = arena.head_bytes == plan.arena_bytes
        certificate = plan.certificate if same else "none: scratch lies elsewhere"
        return Strategy(plan.schedule, plan.strategy, arena.head_bytes, plan.lower_bound_bytes, certificate, runs_on)

    def _obeyed(self, plan: MemoryPlan) -> tuple[Graph, Arena]:
        """The runtime's own arena for a model that carries `plan`: it places scratch around it by itself."""
        key = plan.order, plan.offsets
        if key not in self._arenas:
            written = self.runtime.with_plan(self.graph, *key)
            self._arenas[key] = written, self.runtime.arena(written, library=self.kernels, core=self.core)
        return self._arenas[key]

    def _check_subgraphs(self) -> None:
        if self.graph.subgraphs:
            raise UsageError("has several subgraphs, for which stored plans are not reliable")


def _live_bytes(arena: Arena) -> dict[int, int]:
    """Scope → bytes of all buffers that are live in it, for the scopes that operators open."""
    changes: Counter[int] = Counter()
    for request in arena.requests:
        changes[request.first] += request.nbytes
        changes[request.last + 1] -= request.nbytes
    live = 0
    found: dict[int, int] = {}
    for scope in sorted({*changes, *arena.scopes}):
        live += changes[scope]
        if scope in arena.scopes:
            found[scope] = live
    return found


def _certificate(head: int, bound: int) -> str:
    """Whether these offsets are as good as any for this order without sharing bytes."""
    if head <= bound or not bound:
        return "optimal: bound"
    return f"gap {100 * (head - bound) / bound:.1f} %"


def _peak(graph: Graph, arena: Arena, live: dict[int, int], order: Sequence[int]) -> Peak | None:
    """The operator at which most is live; `order` maps positions to the file's operator indices, for a moved order."""
    if not live:
        return None
    scope = max(live, key=lambda scope: (live[scope], -scope))
    subgraph, index = arena.scopes[scope]
    op = (graph, *graph.subgraphs)[subgraph].ops[index]
    buffers = [request for request in arena.requests if request.first <= scope <= request.last]
    tensors = sorted(
        (PeakTensor(_name(graph, request, order), request.nbytes) for request in buffers),
        key=lambda tensor: (-tensor.bytes, tensor.name),
    )
    return Peak(_in_file(index, subgraph, order), op.kind, live[scope], tuple(tensors))


def _in_file(index: int, subgraph: int, order: Sequence[int]) -> int:
    """The file's index of an operator of a graph that was written in `order`."""
    return order[index] if order and subgraph == 0 else index


def _placements(graph: Graph, arena: Arena, order: Sequence[int]) -> tuple[Placement, ...]:
    """The head's plan, times as places of the main graph's operators (buffers of subgraphs: of their caller)."""
    starts = sorted(scope for scope, (subgraph, _) in arena.scopes.items() if subgraph == 0)

    def operator(scope: int) -> int:
        position = bisect_right(starts, scope) - 1
        return arena.scopes[starts[position]][1] if position >= 0 else 0

    rows = (
        Placement(_name(graph, request, order), request.nbytes, offset, operator(request.first), operator(request.last))
        for request, offset in zip(arena.requests, arena.offsets, strict=True)
    )
    return tuple(sorted(rows, key=lambda row: (row.first, row.offset, row.tensor)))


def _name(graph: Graph, request: runtimes.Request, order: Sequence[int]) -> str:
    owner = (graph, *graph.subgraphs)[request.subgraph]
    if request.tensor is not None:
        return owner.tensors[request.tensor].name
    if request.op is None:
        return f"scratch of operator {request.op} ()"
    return f"scratch of operator {_in_file(request.op, request.subgraph, order)} ({owner.ops[request.op].kind})"
