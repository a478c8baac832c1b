"""TensorFlow Lite Micro: the arena that its interpreter will really use, to the byte.

Head (planned, reused) from the greedy planner over tensors and scratch buffers; tail (persistent) from the structures
and kernel records; and the smallest arena with which AllocateTensors succeeds, which can be larger than what it reports
as used, because the plan is computed in the space of the head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcuprof.graph import Graph, Op
from mcuprof.hardware import Core
from mcuprof.runtimes.tflm import abi, kernels
from mcuprof.runtimes.tflm.abi import Abi
from mcuprof.runtimes.tflm.kernels.base import KernelMemory, Rules
from mcuprof.runtimes.tflm.lifetimes import ALIGNMENT, Request, lifetimes
from mcuprof.runtimes.tflm.persistent import Tail, tail
from mcuprof.runtimes.tflm.planner import head_bytes, plan
from mcuprof.runtimes.tflm.preparing import MAX_SCRATCH_REQUESTS_PER_OP, preparing_bytes


@dataclass(frozen=True, slots=True)
class Arena:
    """The arena of one model on one target.

    `requests` and `offsets` are the head's plan; `scopes` says which (subgraph, operator) each of its scopes is.
    `inexact` names the operator kinds whose kernels mcuprof has no allocation data for: where it is not empty, the
    sizes are not exact.
    """

    requests: tuple[Request, ...]
    offsets: tuple[int, ...]
    scopes: Mapping[int, tuple[int, int]]
    tail: Tail
    head_bytes: int
    min_arena_bytes: int
    inexact: tuple[str, ...]

    @property
    def arena_bytes(self) -> int:
        """What `MicroInterpreter::arena_used_bytes()` returns: head + tail."""
        return self.head_bytes + self.tail.nbytes

    def scratch(self, ops: int) -> list[list[int]]:
        """Bytes of the scratch buffers that each of the `ops` operators of the main graph asks for."""
        found: list[list[int]] = [[] for _ in range(ops)]
        for request in self.requests:
            if request.op is not None and request.subgraph == 0:
                found[request.op].append(request.nbytes)
        return found


def target_of(core: Core | None) -> Abi:
    """The layout rules of a core: short enums on Arm, 4-byte enums elsewhere; 64-bit words mean the host build."""
    if core is None or core.id.startswith("cortex-"):
        return abi.ARM
    return abi.HOST64 if core.word_bytes == 8 else abi.ILP32


def arena(
    graph: Graph,
    *,
    library: str,
    core: Core | None,
    target: Abi | None = None,
    asks: Callable[[Graph, Op], KernelMemory] | None = None,
) -> Arena:
    """The arena with kernels of `library` on `core` (an Arm core with DSP extension when None).

    Exact for 16-byte aligned arenas and a plain MicroInterpreter. `asks` is `kernel_memory` of the same library, core
    and target, for a caller with many graphs who remembers its answers. Raises UsageError for a library that the core
    cannot run and ModelError for a model that TFLM cannot plan.
    """
    target = target or target_of(core)
    asks = asks or kernel_memory(library, core, target)
    memory = [[asks(g, op) for op in g.ops] for g in (graph, *graph.subgraphs)]
    scratch = {
        (number, index): item.scratch
        for number, group in enumerate(memory)
        for index, item in enumerate(group)
        if item.scratch
    }
    live = lifetimes(graph, scratch)
    buffers = live.requests
    offsets = plan(buffers)
    head = head_bytes(buffers, offsets)
    persistent = tail(graph, memory, target)
    tensors = sum(len(g.tensors) for g in (graph, *graph.subgraphs))
    planning = _planning_bytes(tensors, sum(map(len, scratch.values())), len(buffers), target)
    preparing = preparing_bytes(graph, memory, persistent, target)
    least = max(head + persistent.nbytes, planning + _up(persistent.planning_bytes), preparing)
    inexact = {
        op.kind
        for g, group in zip((graph, *graph.subgraphs), memory, strict=True)
        for op, item in zip(g.ops, group, strict=True)
        if not item.exact
    }
    return Arena(buffers, offsets, live.scopes, persistent, head, _up(least), tuple(sorted(inexact)))


def kernel_memory(library: str, core: Core | None, target: Abi | None = None) -> Callable[[Graph, Op], KernelMemory]:
    """What the kernel of an operator asks of the arena: a function of it and its tensors. Raises as `arena` does."""
    target = target or target_of(core)
    rules = kernels.rules(library, core)
    return lambda graph, op: _kernel(rules, graph, op, target)


def _kernel(rules: Rules, graph: Graph, op: Op, target: Abi) -> KernelMemory:
    rule = rules.get(op.kind)
    if rule is None:
        return KernelMemory(exact=False)
    try:
        return rule(graph, op, target)
    except (LookupError, ValueError):  # operands that the kernel's Prepare refuses
        return KernelMemory(exact=False)


def _planning_bytes(tensors: int, scratch: int, buffers: int, target: Abi) -> int:
    """What the planner needs at once: requests, allocation records, subgraph offset, its own lists per buffer.

    The planner gets the rest of the arena between aligned ends (GetAvailableMemory in CommitStaticMemoryPlan).
    """
    records = (
        target.pick(abi.SCRATCH_REQUEST) * (scratch + MAX_SCRATCH_REQUESTS_PER_OP)
        + target.pick(abi.ALLOCATION_INFO) * (tensors + scratch)
        + 4
    )
    return _up(records) + target.pick(abi.PLANNER_BUFFER) * buffers


def _up(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
