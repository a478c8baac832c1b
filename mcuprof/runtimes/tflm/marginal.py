"""What one more operator costs TFLM's arena: for a search that adds operators before there is a graph to ask about."""

from __future__ import annotations

from dataclasses import dataclass

from mcuprof.graph import Graph
from mcuprof.hardware import Core
from mcuprof.runtimes.tflm import abi, kernel_memory, target_of
from mcuprof.runtimes.tflm.abi import Abi
from mcuprof.runtimes.tflm.kernels import reference
from mcuprof.runtimes.tflm.kernels.base import KernelMemory
from mcuprof.runtimes.tflm.lifetimes import align


@dataclass(frozen=True, slots=True)
class Marginal:
    """Bytes per operator of the graph: persistent, were there another one of it, and scratch while it runs.

    `slice_bytes` is a SLICE that shares one of its two constants, `concatenation_bytes` a CONCATENATION.
    """

    persistent: tuple[int, ...]
    scratch: tuple[int, ...]
    slice_bytes: int
    concatenation_bytes: int


def marginal(graph: Graph, *, library: str, core: Core | None) -> Marginal:
    """With kernels of `library` on `core`; see `tflm.arena` for what is raised."""
    target = target_of(core)
    asks = kernel_memory(library, core, target)
    memory = [asks(graph, op) for op in graph.ops]
    persistent = tuple(_persistent(op.kind, item, target) for op, item in zip(graph.ops, memory, strict=True))
    scratch = tuple(sum(map(align, item.scratch)) for item in memory)
    tensor, node = target.pick(abi.EVAL_TENSOR), target.pick(abi.NODE_AND_REGISTRATION)
    record = KernelMemory((target.pick(reference.CONCATENATION),))
    return Marginal(persistent, scratch, node + 2 * tensor, _persistent("CONCATENATION", record, target) - tensor)


def _persistent(kind: str, memory: KernelMemory, target: Abi) -> int:
    """Operator, its output tensor, its options, what its kernel allocates, and scratch handles."""
    layouts = abi.BUILTIN_DATA.get(kind)
    options = layouts[target.index].size if layouts else 0
    records = sum(map(align, memory.init)) + sum(map(align, memory.prepare))
    handles = target.pick(abi.SCRATCH_HANDLE) * len(memory.scratch)
    return target.pick(abi.NODE_AND_REGISTRATION) + target.pick(abi.EVAL_TENSOR) + options + records + handles
