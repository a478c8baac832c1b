"""One arena for several models that run one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcuprof.runtimes import Arena


@dataclass(frozen=True, slots=True)
class SharedArena:
    """Bytes of one arena for all models.

    `rebuilt_bytes`: each model's interpreter is built anew in the arena when it is its turn. `together_bytes`: all
    interpreters stay, on one MicroAllocator; the heads share their bytes, the tails add up (an upper bound: what the
    allocator keeps for itself is counted once per model).
    """

    rebuilt_bytes: int
    together_bytes: int


def share_arena(arenas: Sequence[Arena]) -> SharedArena:
    """What `arenas` need as one (TFLM, docs/memory_management.md, on multi-tenant arenas)."""
    rebuilt = max((arena.min_arena_bytes for arena in arenas), default=0)
    tails = sum(-(-arena.tail.nbytes // 16) * 16 for arena in arenas)
    # While a model is planned, the planner works above its head, in what the other tails leave.
    needs = max((arena.min_arena_bytes - arena.tail.nbytes for arena in arenas), default=0)
    return SharedArena(rebuilt, tails + -(-needs // 16) * 16)
