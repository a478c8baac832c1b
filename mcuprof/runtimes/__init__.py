"""Floor 2: what an inference runtime adds to a network: its planner, its own allocations, its kernels.

One module per runtime with two functions, `arena` and `refusal`; adding a runtime adds a module and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mcuprof.errors import UsageError
from mcuprof.graph import Graph, Op
from mcuprof.hardware import Core
from mcuprof.runtimes import tflm
from mcuprof.runtimes.tflm import Arena
from mcuprof.runtimes.tflm.lifetimes import Request
from mcuprof.runtimes.tflm.support import refusal


class ArenaRule(Protocol):
    """Computes the arena of a graph with kernels of `library` on `core`."""

    def __call__(self, graph: Graph, *, library: str, core: Core | None) -> Arena: ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """One inference runtime: what its arena will be, and why it refuses an operator (None: it runs it)."""

    name: str
    arena: ArenaRule
    refusal: Callable[[Graph, Op], str | None]


_RUNTIMES: Mapping[str, Runtime] = {"tflm": Runtime("tflm", tflm.arena, refusal)}


def find(name: str) -> Runtime:
    """The runtime of that name. Raises UsageError when there is none."""
    if name not in _RUNTIMES:
        raise UsageError(f"no runtime {name!r} (there are {', '.join(_RUNTIMES)})")
    return _RUNTIMES[name]


__all__ = ["Arena", "Request", "Runtime", "find"]
