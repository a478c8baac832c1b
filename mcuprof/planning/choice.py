"""Which plan: every order and way of sharing that is allowed, each judged by what TFLM makes of the written file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcuprof import memory
from mcuprof.graph import Graph
from mcuprof.hardware import Core
from mcuprof.memory import Limit, MemoryPlan
from mcuprof.readers.tflite import read_tflite
from mcuprof.runtimes import Arena, tflm
from mcuprof.runtimes.tflm.overlap import OverlapRules, rules
from mcuprof.writers.tflite import ONLINE, FilePlan, with_plan

ALIGNMENT = 16  # what TFLM's kernels may expect of a tensor
EFFORT = Limit(30.0)


@dataclass(frozen=True, slots=True)
class Firmware:
    """What runs the model: TFLM with kernels of `library` on `core` (None: an Arm core with DSP extension)."""

    library: str
    core: Core | None = None

    def arena(self, graph: Graph) -> Arena:
        """The arena that this firmware needs for `graph`, to the byte."""
        return tflm.arena(graph, library=self.library, core=self.core)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a plan may do: change the order (`optimal`) or not (`as-is`), and share bytes up to `in_place`.

    `effort` is for the search.
    """

    order: str = "optimal"
    in_place: str = "overlap"
    effort: Limit = EFFORT


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A plan, the rules it keeps, the file that carries it and what TFLM makes of that file."""

    plan: MemoryPlan
    rules: OverlapRules
    data: bytes
    graph: Graph
    arena: Arena

    @property
    def head_bytes(self) -> int:
        """What TFLM will reserve for tensors and scratch."""
        return self.arena.head_bytes


def candidates(graph: Graph, data: bytes, firmware: Firmware, wishes: Wishes) -> list[Candidate]:
    """All plans worth writing, the ones that ask least of the firmware first.

    `graph` is what the reader made of `data`, which carries no plan.
    """
    scratch = firmware.arena(graph).scratch(len(graph.ops))
    rows = _rows(firmware, wishes)
    found: list[Candidate] = []
    for order, strategy, allowed in rows:
        plan = memory.plan(
            graph,
            order,  # type: ignore[arg-type]  # checked by the command line, and by memory.plan again
            strategy,
            alignment=ALIGNMENT,
            scratch=scratch,
            sharing=allowed,
            limit=wishes.effort * (1 / len(rows)),
        )
        found.append(_written(plan, allowed, data, firmware))
    return found


def best(found: Sequence[Candidate]) -> Candidate:
    """The smallest head; among equals the first."""
    return min(found, key=lambda candidate: candidate.head_bytes)


def _rows(firmware: Firmware, wishes: Wishes) -> list[tuple[str, str, OverlapRules]]:
    """Orders and strategies from the least demanding on: portable distances before the library's own."""
    orders = ["as-is"] if wishes.order == "as-is" else ["as-is", wishes.order]
    own = rules(firmware.library, firmware.core)
    portable = rules(firmware.library, firmware.core, portable=True)
    rows = [(order, "none", portable) for order in orders]
    if wishes.in_place != "none":
        rows += [(order, wishes.in_place, portable) for order in orders]
    if wishes.in_place == "overlap" and firmware.library != "reference":
        rows += [(order, wishes.in_place, own) for order in orders]
    return rows


def _written(plan: MemoryPlan, allowed: OverlapRules, data: bytes, firmware: Firmware) -> Candidate:
    offsets = tuple(ONLINE if offset is None else offset for offset in plan.offsets)
    written = with_plan(data, FilePlan(plan.order, offsets))
    graph = read_tflite(written, {})
    return Candidate(plan, allowed, written, graph, firmware.arena(graph))
