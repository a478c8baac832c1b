"""What a TFLM kernel asks of the arena, in the words every kernel library shares.

A kernel allocates in three moments: its data in Init, per-channel tables and the like in Prepare (both persistent, in
the tail), and scratch buffers that it requests in Prepare and the planner places in the head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcuprof.graph import Graph, Op
from mcuprof.runtimes.tflm.abi import Abi


@dataclass(frozen=True, slots=True)
class KernelMemory:
    """Bytes a kernel asks for: `init` and `prepare` are persistent allocations in order, `scratch` arena requests.

    `exact` is false where mcuprof does not know what this kernel allocates; the other fields then hold what is known.
    """

    init: tuple[int, ...] = ()
    prepare: tuple[int, ...] = ()
    scratch: tuple[int, ...] = ()
    exact: bool = True


Rule = Callable[[Graph, Op, Abi], KernelMemory]
"""(graph, operator, target) → what its kernel asks for."""

Rules = Mapping[str, Rule]


def data(arm: int, ilp32: int | None = None, host64: int | None = None) -> Rule:
    """A kernel that allocates one record in Init and nothing else; sizes default to the one before."""
    second = arm if ilp32 is None else ilp32
    memories = tuple(KernelMemory((size,)) for size in (arm, second, second if host64 is None else host64))
    return lambda graph, op, target: memories[target.index]


def nothing(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """A kernel that allocates nothing."""
    return KernelMemory()
