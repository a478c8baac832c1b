"""The plan: which operator runs when, where every tensor lies, how much that takes, and why no plan takes less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mcuprof.memory.views import View

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Where everything lies in the arena. Bytes throughout; positions count operators in `order`, −1 is the caller.

    `offsets` and `lifetimes` go by tensor index, None for tensors outside the arena (constants, state, empty ones, and
    the graph's inputs and outputs under `io="outside"`). Lifetimes are first and last position, inclusive; graph inputs
    begin at −1. `scratch` holds per operator its blocks as (offset, bytes): the ones asked for, then what an in-place
    kernel needs. `footprints` holds per position the least bytes in use under the strategy; no placement can use less.
    `views` are tensors that lie inside others, whose rows then die one after the other.
    """

    schedule: Literal["as-is", "optimal"]
    strategy: str
    io: Literal["in-arena", "outside"]
    alignment: int
    order: tuple[int, ...]
    offsets: tuple[int | None, ...]
    lifetimes: tuple[Span | None, ...]
    scratch: tuple[tuple[Span, ...], ...]
    footprints: tuple[int, ...]
    arena_bytes: int
    lower_bound_bytes: int
    proof: Literal["bound", "search"]
    witness: int
    views: Mapping[int, View] = field(default_factory=dict)

    @property
    def optimal(self) -> bool:
        """True when no plan takes less: with this order (`as-is`), or with any order (`optimal`)."""
        return self.arena_bytes == self.lower_bound_bytes

    @property
    def gap(self) -> float:
        """How far the arena may be from the optimum, as a fraction of the lower bound."""
        return (self.arena_bytes - self.lower_bound_bytes) / max(1, self.lower_bound_bytes)

    @property
    def certificate(self) -> str:
        """`optimal: bound`, `optimal: search`, or `gap n %` with n rounded up to a tenth."""
        if self.optimal:
            return f"optimal: {self.proof}"
        tenths = -(-(self.arena_bytes - self.lower_bound_bytes) * 1000 // max(1, self.lower_bound_bytes))
        return f"gap {tenths / 10:g} %"

    @property
    def peak_position(self) -> int:
        """The first position at which the most bytes are in use; −1 when there is no operator."""
        return self.footprints.index(max(self.footprints)) if self.footprints else -1
