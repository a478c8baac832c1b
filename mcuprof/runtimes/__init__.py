"""Floor 2: what an inference runtime adds to a network: its planner, its own allocations, its kernels.

One module per runtime with two functions, `arena` and `refusal`; adding a runtime adds a module and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mcuprof.errors import UsageError
from mcuprof.graph import Graph, Op
from mcuprof.hardware import Core
from mcuprof.ops.sharing import Share
from mcuprof.runtimes import foreign, tflm
from mcuprof.runtimes.tflm import Arena
from mcuprof.runtimes.tflm.kernels import KernelMemory
from mcuprof.runtimes.tflm.lifetimes import MAX_OFFSET, ONLINE, Request, with_plan
from mcuprof.runtimes.tflm.support import refusal


class Sharing(Protocol):
    """As `mcuprof.memory.Sharing`, which stands on the same floor."""

    def __call__(
        self, graph: Graph, op: Op, strategy: str, input_position: int, output_position: int
    ) -> Share | None: ...


class ArenaRule(Protocol):
    """Computes the arena of a graph with kernels of `library` on `core`; `asks` remembers what kernels ask for."""

    def __call__(
        self,
        graph: Graph,
        *,
        library: str,
        core: Core | None,
        asks: Callable[[Graph, Op], KernelMemory] | None = None,
    ) -> Arena: ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """One inference runtime: what its arena will be, and why it refuses an operator (None: it runs it).

    `sharing(library, core)` says which bytes its kernels let outputs share with dying inputs; `with_plan(graph, order,
    offsets)` is the graph as a file would hold it that tells the runtime to obey this plan; `kernel_memory(library,
    core)` says what an operator's kernel asks of the arena. `memory_known` is false where the arena is only what the
    tensors need; `kernels` is the kernel set that a runtime brings, whatever the device.
    """

    name: str
    arena: ArenaRule
    refusal: Callable[[Graph, Op], str | None]
    sharing: Callable[[str, Core | None], Sharing]
    with_plan: Callable[[Graph, Sequence[int], Sequence[int | None]], Graph]
    kernel_memory: Callable[[str, Core | None], Callable[[Graph, Op], KernelMemory]]
    memory_known: bool = True
    kernels: str | None = None


def _tflm_sharing(library: str, core: Core | None) -> Sharing:
    """The overlap rules, loaded when a plan is asked for: most checks take the runtime's own."""
    from mcuprof.runtimes.tflm.overlap import rules

    return rules(library, core)


_RUNTIMES: Mapping[str, Runtime] = {
    "tflm": Runtime("tflm", tflm.arena, refusal, _tflm_sharing, with_plan, tflm.kernel_memory),
    **{
        name: Runtime(
            name,
            foreign.arena,
            foreign.refusal,
            foreign.sharing,
            with_plan,
            foreign.kernel_memory,
            memory_known=False,
            kernels=foreign.kernels_of(name),
        )
        for name in foreign.names()
    },
}


def find(name: str) -> Runtime:
    """The runtime of that name. Raises UsageError when there is none."""
    if name not in _RUNTIMES:
        raise UsageError(f"no runtime {name!r} (there are {', '.join(_RUNTIMES)})")
    return _RUNTIMES[name]


__all__ = ["MAX_OFFSET", "ONLINE", "Arena", "KernelMemory", "Request", "Runtime", "find"]
