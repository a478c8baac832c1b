"""What a TFLM kernel asks of the arena, in the words every kernel library shares.

A kernel allocates in three moments: its data in Init, per-channel tables and the like in Prepare (both persistent, in
the tail), and scratch buffers that it requests in Prepare and the planner places in the head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcuprof.graph import Graph, Op


@dataclass(frozen=True, slots=True)
class KernelMemory:
    """Bytes a kernel asks for: `init` and `prepare` are persistent allocations in order, `scratch` arena requests.

    `exact` is false where mcuprof does not know what this kernel allocates; the other fields then hold what is known.
    """

    init: tuple[int, ...] = ()
    prepare: tuple[int, ...] = ()
    scratch: tuple[int, ...] = ()
    exact: bool = True


Rule = Callable[[Graph, Op, int], KernelMemory]
"""(graph, operator, word bytes of the target: 4 or 8) → what its kernel asks for."""

Rules = Mapping[str, Rule]


def data(size32: int, size64: int | None = None) -> Rule:
    """A kernel that allocates one record in Init and nothing else; `size64` is its size on 64-bit hosts."""
    small = KernelMemory((size32,))
    large = small if size64 is None else KernelMemory((size64,))
    return lambda graph, op, word: small if word == 4 else large


def nothing(graph: Graph, op: Op, word: int) -> KernelMemory:
    """A kernel that allocates nothing."""
    return KernelMemory()
