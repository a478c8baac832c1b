"""The only place that puts the parts together: a graph and a device in, one `Result` of the report document out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from mcuprof import costs, runtimes
from mcuprof.analysis.memory import describe
from mcuprof.analysis.model_findings import model_findings
from mcuprof.analysis.spread import Spreadable
from mcuprof.document import (
    Finding,
    Flash,
    FlashItem,
    Latency,
    Memory,
    ModelFacts,
    Result,
    Spread,
    Target,
    Verdict,
)
from mcuprof.graph import Graph
from mcuprof.hardware import Core, Device
from mcuprof.ops import parameters, total_macs
from mcuprof.ops.scheme import scheme
from mcuprof.regions import place, rooms_for_tensors
from mcuprof.runtimes import Arena

if TYPE_CHECKING:
    from mcuprof.analysis.waste import Waste

DEFAULT_KERNELS = "reference"


@dataclass(frozen=True, slots=True)
class Options:
    """What to assume of the firmware. `kernels` None means what the device's vendor ships.

    `reserve` is RAM that the firmware keeps, by region, beyond what the device's own entry says; `arena_regions` are
    where the arena may lie, in order of preference (default: wherever it has most room). `detail` adds the plan, the
    strategies table, the tensors spread over regions and what no output needs to the result; `time_limit` is
    for the search for plans, in seconds of the clock: what it finds then depends on the machine, else it goes as far on
    any. With `io` "outside" the table is that of a firmware whose caller holds inputs and
    outputs; the verdict stays that of the runtime. `exit_rates` are shares of inferences that stop at each output of a
    network with early exits.
    """

    runtime: str = "tflm"
    kernels: str | None = None
    order: str = "as-is"
    in_place: str = "none"
    detail: bool = False
    reserve: Mapping[str, int] = field(default_factory=dict)
    arena_regions: tuple[str, ...] = ()
    time_limit: float | None = None
    io: str = "in-arena"
    exit_rates: tuple[float, ...] = ()


def analyze(graph: Graph, device: Device | None = None, options: Options | None = None) -> Result:
    """Everything mcuprof knows of this model on this device, not yet judged: `verdict` holds findings on the model.

    Without a device, sizes are those of an Arm Cortex-M with reference kernels. Raises UsageError for options that
    contradict each other and ModelError for a model that the runtime cannot plan.
    """
    options = options or Options()
    studied = study(graph, setting_of(device, options), options)
    result = studied.on(device)
    if options.detail:
        result = _detailed(result, graph, studied, device)
    if options.exit_rates:
        from mcuprof.costs.exits import exits

        result = msgspec.structs.replace(result, exits=exits(graph, result.latency, options.exit_rates))
    if device is None or device.accelerator is None:
        return result
    from mcuprof.analysis.accelerated import npu  # its models are loaded for devices that have one

    compiled = npu(graph, device, result.latency)
    return result if compiled is None else msgspec.structs.replace(result, npu=compiled)


def _detailed(result: Result, graph: Graph, studied: Study, device: Device | None) -> Result:
    """With arithmetic and energy, which a check does not wait for."""
    from mcuprof.costs.arithmetic import arithmetic
    from mcuprof.costs.energy import energy

    known = None if isinstance(studied.work, costs.NoData) else studied.work
    result = msgspec.structs.replace(result, arithmetic=arithmetic(graph, known, result.latency, device))
    if device is None:
        return msgspec.structs.replace(result, energy_reason="no device was named")
    target = result.target
    found = energy(result.latency, device, runtime=target.runtime, kernels=target.kernels)
    if isinstance(found, costs.NoData):
        return msgspec.structs.replace(result, energy_reason=found.reason)
    return msgspec.structs.replace(result, energy=found)


@dataclass(frozen=True, slots=True)
class Setting:
    """What of a device decides what a model needs: its core, the kernels, whether there is an Ethos-U."""

    core: Core | None
    kernels: str
    ethos: bool

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for settings that give equal studies. Device files may change the options of a core, not its words."""
        core = self.core
        return (self.kernels, self.ethos, *((core.id, core.dsp, core.mve, core.fpu) if core else ()))


def setting_of(device: Device | None, options: Options) -> Setting:
    """What `study` needs to know of a device."""
    own = runtimes.find(options.runtime).kernels
    kernels = options.kernels or own or (device.kernels if device else DEFAULT_KERNELS)
    accelerator = (device.accelerator if device else None) or ""
    return Setting(device.core if device else None, kernels, accelerator.startswith("ethos-u"))


@dataclass(frozen=True, slots=True)
class Study:
    """What a model needs on every device of one setting. `on` adds one device's memory, clock and board, cheaply."""

    facts: ModelFacts
    setting: Setting
    options: Options
    memory: Memory
    bill: costs.FlashBill | costs.NoData | None
    work: costs.Work | costs.NoData | None
    findings: tuple[Finding, ...]
    waste: Waste | None = None
    spreadable: Spreadable | None = None

    def on(self, device: Device | None) -> Result:
        """The result for a device of this setting, not yet judged."""
        core = self.setting.core
        memory, options = self.memory, self.options
        stack = memory.stack_bytes or 0
        regions, found = place(memory.min_arena_bytes, stack, device, options.reserve, options.arena_regions)
        flash, flash_found = _flash(self.facts.bytes, self.bill, device)
        latency, reason = _latency(self.work, device)
        wasted = _wasted(self.waste, latency)
        findings = (*self.findings, *found, *flash_found, *wasted)
        return Result(
            model=self.facts,
            target=Target(
                device.id if device else None,
                core.id if core else None,
                device.clock_hz if device else None,
                options.runtime,
                self.setting.kernels,
                device.accelerator if device else None,
            ),
            memory=msgspec.structs.replace(memory, regions=regions, spread=self._spread(device)),
            flash=flash,
            latency=latency,
            verdict=Verdict(all(finding.severity != "error" for finding in findings), findings),
            latency_reason=msgspec.UNSET if reason is None else reason,
        )

    def _spread(self, device: Device | None) -> Spread | msgspec.UnsetType:
        """Where there is a choice of regions: the plan's tensors over them."""
        if device is None or self.spreadable is None:
            return msgspec.UNSET
        memory, options = self.memory, self.options
        stack = memory.stack_bytes or 0
        rooms = rooms_for_tensors(device, memory.tail_bytes, stack, options.reserve, options.arena_regions)
        return self.spreadable.over(rooms) if len(rooms) > 1 else msgspec.UNSET


def study(graph: Graph, setting: Setting, options: Options) -> Study:
    """The part of `analyze` that takes time, once for all devices of one setting. Raises what `analyze` raises."""
    core, kernels = setting.core, setting.kernels
    runtime = runtimes.find(options.runtime)
    arena = runtime.arena(graph, library=kernels, core=core)
    stack = costs.stack_bytes(graph, core, kernels) if core and runtime.memory_known else None
    described = describe(graph, runtime, arena, kernels, core, options)
    memory = msgspec.structs.replace(described.memory, stack_bytes=stack[0] if stack else None)
    return Study(
        facts=_facts(graph),
        setting=setting,
        options=options,
        memory=memory,
        bill=costs.flash_bill(graph, core=core, kernels=kernels, runtime=options.runtime) if core else None,
        work=costs.work(graph, core, runtime=options.runtime, kernels=kernels) if core else None,
        findings=(
            *model_findings(graph, runtime, setting.ethos),
            *_arena_findings(arena, runtime, kernels),
            *described.findings,
        ),
        waste=_waste_of(graph) if options.detail else None,
        spreadable=described.spreadable,
    )


# The rewrites that find waste are loaded where they are asked: a check in a hook does not wait for them.


def _waste_of(graph: Graph) -> Waste:
    from mcuprof.analysis.waste import waste_of

    return waste_of(graph)


def _wasted(waste: Waste | None, latency: Latency | None) -> tuple[Finding, ...]:
    if waste is None:
        return ()
    from mcuprof.analysis.waste import findings

    return tuple(findings(waste, latency))


def _facts(graph: Graph) -> ModelFacts:
    origin = graph.origin
    return ModelFacts(
        origin.path,
        origin.sha256,
        origin.format,
        scheme(graph),
        origin.nbytes,
        len(graph.ops),
        total_macs(graph),
        parameters(graph),
    )


# Flash ----------------------------------------------------------------------------------------------------------------

# The largest TFLM firmware without its model among those linked for device_db/flash (seven models, -Os to -O2).
LARGEST_LINKED_RUNTIME_BYTES = 86_808


def _flash(
    model_bytes: int, bill: costs.FlashBill | costs.NoData | None, device: Device | None
) -> tuple[Flash, tuple[Finding, ...]]:
    """The bill, and a finding where code has no size: an error when the room left is less than any runtime took."""
    capacity = (device.flash_bytes or device.total_bytes("external-flash")) if device else None
    stored = FlashItem("model", model_bytes, "exact: stored file")
    if isinstance(bill, costs.FlashBill) and not bill.uncounted:
        return Flash(bill.total_bytes, capacity, bill.items), ()
    if isinstance(bill, costs.FlashBill):
        flash = Flash(bill.total_bytes, capacity, bill.items)
        reason = f"no code size for {', '.join(bill.uncounted)}"
    else:
        flash = Flash(stored.bytes, capacity, (stored,))
        reason = bill.reason if bill else "no device was named"
    text = f"{reason}: the flash total is a lower bound"
    tight = capacity is not None and capacity - stored.bytes < LARGEST_LINKED_RUNTIME_BYTES
    if tight and flash.total_bytes <= (capacity or 0):
        text += ", and what is left may be too little"
    return flash, (Finding("F203", "error" if tight else "warning" if device else "note", text),)


# Latency --------------------------------------------------------------------------------------------------------------


def _latency(work: costs.Work | costs.NoData | None, device: Device | None) -> tuple[Latency | None, str | None]:
    if device is None or work is None:
        return None, "no device was named"
    return (None, work.reason) if isinstance(work, costs.NoData) else (work.on(device), None)


def _arena_findings(arena: Arena, runtime: runtimes.Runtime, kernels: str) -> Iterator[Finding]:
    if not runtime.memory_known:
        text = f"no data on the memory of {runtime.name}: shown is what the tensors need, without scratch and its own"
        yield Finding("M109", "error", text, "take the RAM that its own tool prints, or judge for --runtime tflm")
    if arena.inexact:
        kinds = ", ".join(arena.inexact)
        text = f"no data on what the {kernels} kernels of {kinds} allocate: the arena shown may be too small"
        yield Finding("M109", "error", text, "measure arena_used_bytes() on the board, or use kernels with data")
