"""Costs of many networks on one device. What is known of an operator is kept, so that the next network that has it,
or one like it, costs only what changed.

The numbers are those of `mcuprof.analyze`: the same rules and laws are asked, only less often.
"""

from __future__ import annotations

import msgspec

from mcuprof import costs, runtimes
from mcuprof.analysis import Options, setting_of
from mcuprof.analysis.memory import AS_IT_IS, describe
from mcuprof.costs.kernels import kernel_class
from mcuprof.costs.laws import count
from mcuprof.document import Latency
from mcuprof.graph import Graph
from mcuprof.hardware import Device
from mcuprof.ops import macs
from mcuprof.search.memo import Memo


class Cost(msgspec.Struct, frozen=True):
    """What one network needs on one device; None where there is no data, or where it was not asked for.

    `ram_bytes` is the smallest arena with which the runtime starts plus its stack, as `check` judges it (without the
    stack where that is unknown). `flash_bytes` is a lower bound unless `flash_complete`; `arena_exact` is false where
    a kernel's allocations are not known. `ms` lies between `low_ms` and `high_ms` as in a report, `basis` says why.
    """

    flash_bytes: int
    flash_complete: bool
    macs: int
    instructions: int | None
    cycles: int | None
    ms: float | None
    low_ms: float | None
    high_ms: float | None
    basis: str
    arena_bytes: int | None = None
    min_arena_bytes: int | None = None
    stack_bytes: int | None = None
    arena_exact: bool | None = None

    @property
    def ram_bytes(self) -> int | None:
        """Smallest arena + stack."""
        return None if self.min_arena_bytes is None else self.min_arena_bytes + (self.stack_bytes or 0)


class Evaluator:
    """Costs on `device` under `options` (those of `analyze`; an `order` or `in_place` of theirs is planned for each).

    Raises UsageError for options that the device rules out. Not for several threads at once.
    """

    def __init__(self, device: Device, options: Options | None = None) -> None:
        self.device = device
        self.options = options or Options()
        self.setting = setting_of(device, self.options)
        self._runtime = runtimes.find(self.options.runtime)
        self._core = device.core
        self._bills: dict[tuple[str, ...], costs.FlashBill | costs.NoData] = {}
        self._memo = Memo()
        remembering = self._memo.remembering
        self._asks = remembering("memory", self._runtime.kernel_memory(self.setting.kernels, self._core))
        self._count = remembering("count", count)
        self._macs = remembering("macs", macs)
        self._classify = remembering("class", kernel_class)

    def cost(self, graph: Graph, *, memory: bool = True) -> Cost:
        """What `graph` needs. Without `memory` neither arena nor stack, which take most of the time.

        Raises ModelError for a graph that the runtime cannot plan.
        """
        self._memo.begin(graph)
        flash, complete = self.flash(graph)
        work = self.work(graph)
        if isinstance(work, costs.NoData):
            total = sum(self._macs(graph, op) for op in graph.ops)
            latency = Latency(None, None, None, None, None, f"no data: {work.reason}", ())
        else:
            total, latency = sum(work.macs), work.on(self.device)
        found = Cost(
            flash,
            complete,
            total,
            latency.instructions,
            latency.cycles,
            latency.ms,
            latency.low_ms,
            latency.high_ms,
            latency.basis,
        )
        return self._with_memory(found, graph) if memory else found

    def work(self, graph: Graph) -> costs.Work | costs.NoData:
        """`cost.work` of this setting."""
        self._memo.begin(graph)
        runtime, kernels = self.options.runtime, self.setting.kernels
        return costs.work(graph, self._core, runtime=runtime, kernels=kernels, count=self._count, macs=self._macs)

    def flash(self, graph: Graph) -> tuple[int, bool]:
        """Bytes of model and runtime, and whether all code is in them."""
        kinds = tuple(dict.fromkeys(op.kind for part in (graph, *graph.subgraphs) for op in part.ops))
        code, complete = self.code(kinds, graph)
        return graph.origin.nbytes + code, complete

    def code(self, kinds: tuple[str, ...], graph: Graph) -> tuple[int, bool]:
        """Bytes of the runtime with kernels for `kinds`, those of `graph`, and whether all are in them."""
        bill = self._bills.get(kinds)
        if bill is None:
            names = {"kernels": self.setting.kernels, "runtime": self.options.runtime}
            bill = self._bills[kinds] = costs.flash_bill(graph, core=self._core, **names)
        if isinstance(bill, costs.NoData):
            return 0, False
        return sum(item.bytes for item in bill.items if item.name != "model"), not bill.uncounted

    def _with_memory(self, found: Cost, graph: Graph) -> Cost:
        kernels, options = self.setting.kernels, self.options
        arena = self._runtime.arena(graph, library=kernels, core=self._core, asks=self._asks)
        least, whole = arena.min_arena_bytes, arena.arena_bytes
        if (options.order, options.in_place) != AS_IT_IS:
            plain = options if not options.detail else Options(order=options.order, in_place=options.in_place)
            planned = describe(graph, self._runtime, arena, kernels, self._core, plain).memory
            least, whole = planned.min_arena_bytes, planned.arena_bytes
        stack = costs.stack_bytes(graph, self._core, kernels, self._classify)
        return msgspec.structs.replace(
            found,
            arena_bytes=whole,
            min_arena_bytes=least,
            stack_bytes=stack[0] if stack else None,
            arena_exact=not arena.inexact,
        )
