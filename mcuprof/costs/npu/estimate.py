"""From a graph and an Ethos-U to cycles, traffic and SRAM, operation by operation."""

from __future__ import annotations

from dataclasses import dataclass

from mcuprof.cost_document import Bound
from mcuprof.costs.laws import NoData
from mcuprof.costs.npu import footprint
from mcuprof.costs.npu.lower import lower
from mcuprof.costs.npu.machine import Machine
from mcuprof.costs.npu.schedule import Scheduler, Step
from mcuprof.costs.npu.sheet import Unmodelled
from mcuprof.costs.npu.weights import Coder
from mcuprof.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class NpuEstimate:
    """What one inference takes on the NPU. `cycles` are the NPU's alone; `fallen` operators run on the host, with
    their reasons. `traffic` is bytes on the bus by memory. `sram_bytes` is the peak of maps and weight buffers.
    """

    machine: Machine
    steps: tuple[Step, ...]
    fallen: dict[int, str]
    cycles: int
    sram_bytes: int
    weight_bytes: int
    traffic: dict[str, int]
    busy: dict[str, int]
    macs: int
    evicted: int

    @property
    def ms(self) -> float:
        """Milliseconds at the clock of the system, host operators excluded."""
        return self.cycles / self.machine.clock_hz * 1000

    def cycles_of(self, operator: int) -> int:
        """Cycles of all operations that an operator of the graph became."""
        return sum(step.cycles for step in self.steps if step.work.source == operator)

    def bound_of(self, operator: int) -> Bound | None:
        """What limits an operator: its arithmetic, or a memory that is busy for longer; None where it takes none."""
        steps = [step for step in self.steps if step.work.source == operator]
        if not any(step.cycles for step in steps):
            return None
        moving = sum(max(step.busy.values(), default=0) for step in steps)
        return "memory" if moving > sum(step.working for step in steps) else "compute"


def estimate(graph: Graph, machine: Machine) -> NpuEstimate | NoData:
    """Cycles, traffic and SRAM of one inference of `graph`; NoData with the reason where its form is not modelled."""
    if graph.subgraphs:
        return NoData("models of several subgraphs are not modelled on an NPU")
    try:
        lowered = lower(graph, machine.u85)
        works, buffers = lowered.works, lowered.buffers
        scheduler = Scheduler(machine, buffers, Coder(machine))
        kept = footprint.fitting(works, buffers, machine.limit) if machine.spills else None
        steps = scheduler.plan(works, footprint.used_at(works, buffers, kept))
        if kept is not None:
            kept = _evicted(scheduler, steps, kept, machine.limit)
            scheduler.staged = kept
        scheduler.measure(steps)
    except Unmodelled as error:
        return NoData(str(error))
    except (LookupError, ValueError) as error:
        return NoData(f"the graph cannot be put on the NPU: {error}")
    busy, traffic = dict[str, int](), dict[str, int]()
    for step in steps:
        for name, count in step.busy.items():
            busy[name] = busy.get(name, 0) + count
        for name, count in step.moved.items():
            traffic[name] = traffic.get(name, 0) + count
    coded = {id(step.coded): step.coded.total for step in steps if step.coded is not None}
    stays = {
        index
        for index, buffer in enumerate(buffers)
        if not buffer.host and not buffer.constant and not buffer.persistent
    }
    return NpuEstimate(
        machine,
        tuple(steps),
        lowered.fallen,
        sum(step.cycles for step in steps),
        footprint.peak(works, buffers, steps, kept),
        sum(coded.values()),
        traffic,
        busy,
        sum(step.work.macs for step in steps),
        len(stays - kept) if kept is not None else 0,
    )


def _evicted(scheduler: Scheduler, steps: list[Step], kept: set[int], limit: int) -> set[int]:
    """Weight buffers come first: maps leave the SRAM, largest first, until both fit."""
    works = tuple(step.work for step in steps)
    while kept and footprint.peak(works, scheduler.buffers, steps, kept) > limit:
        kept = kept - {max(kept, key=lambda index: scheduler.buffers[index].nbytes)}
    return kept
