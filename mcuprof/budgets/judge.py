"""The verdict: does what analysis found fit into what there is."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from mcuprof.document import Finding, Flash, Latency, Memory, RegionUse, Result, Strategy, Verdict
from mcuprof.units import format_bytes, format_ms

AD_HOC_REGION = "RAM"
# What the analysis says of the device's own RAM (layout unknown, arena outside the chip); a RAM budget replaces it.
_ABOUT_DEVICE_RAM = frozenset({"M106", "M108"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What must hold, in bytes and milliseconds. None: no such limit beyond the device's own capacity.

    `ram_bytes` and `flash_bytes` replace the device's capacity; `reserve_ram_bytes` is RAM that the firmware keeps.
    """

    ram_bytes: int | None = None
    flash_bytes: int | None = None
    latency_ms: float | None = None
    reserve_ram_bytes: int | None = None


def judge(result: Result, limits: Limits) -> Result:
    """`result` with capacities from `limits`, findings about budgets and capacity, and `verdict.fits`.

    A region holds when used + reserved ≤ capacity, where used is the smallest arena that can start plus the stack. The
    latency budget is held against the upper end of the band; without a band it cannot be shown to hold and fails.
    Findings already in the result stay, and their errors count, except those about a capacity that a limit replaces.
    """
    memory = msgspec.structs.replace(result.memory, regions=_regions(result.memory, limits))
    capacity = result.flash.capacity_bytes if limits.flash_bytes is None else limits.flash_bytes
    flash = msgspec.structs.replace(result.flash, capacity_bytes=capacity)
    found = (
        *_oversized_budgets(result, limits),
        *_memory_findings(memory, result.target.runtime),
        *_flash_findings(flash),
        *_latency_findings(result.latency, result.latency_reason, limits.latency_ms),
    )
    if not memory.regions and capacity is None and limits.latency_ms is None:
        found = (_nothing_to_judge(),)
    findings = _kept_findings(result, limits) + found
    verdict = Verdict(fits=all(finding.severity != "error" for finding in findings), findings=findings)
    return msgspec.structs.replace(result, memory=memory, flash=flash, verdict=verdict)


def _kept_findings(result: Result, limits: Limits) -> tuple[Finding, ...]:
    kept: list[Finding] = []
    for finding in result.verdict.findings:
        if finding.code in _ABOUT_DEVICE_RAM and limits.ram_bytes is not None:
            continue
        if finding.code == "F203" and limits.flash_bytes is not None:
            finding = incomplete_bill(finding, result.flash, limits.flash_bytes)
        kept.append(finding)
    return tuple(kept)


def incomplete_bill(finding: Finding, flash: Flash, budget: int) -> Finding:
    """An error when the stored model leaves less of the budget than runtimes took: the rule of the analysis."""
    from mcuprof.analysis import LARGEST_LINKED_RUNTIME_BYTES

    stored = sum(item.bytes for item in flash.items if item.name == "model")
    if budget - stored >= LARGEST_LINKED_RUNTIME_BYTES:
        return msgspec.structs.replace(finding, severity="warning")
    message = f"{finding.message}; the model leaves {format_bytes(max(budget - stored, 0))} for the runtime"
    return msgspec.structs.replace(finding, severity="error", message=message)


def _regions(memory: Memory, limits: Limits) -> tuple[RegionUse, ...]:
    reserve = limits.reserve_ram_bytes or 0
    if limits.ram_bytes is not None:
        used = memory.min_arena_bytes + (memory.stack_bytes or 0)
        return (RegionUse(AD_HOC_REGION, used, reserve, limits.ram_bytes),)
    if not reserve or not memory.regions:
        return memory.regions
    # Where the firmware's own data lies is not known; beside the arena is the case that can fail.
    arena = max(range(len(memory.regions)), key=lambda index: memory.regions[index].used_bytes)
    return tuple(
        msgspec.structs.replace(region, reserved_bytes=region.reserved_bytes + reserve) if index == arena else region
        for index, region in enumerate(memory.regions)
    )


def _oversized_budgets(result: Result, limits: Limits) -> tuple[Finding, ...]:
    regions = result.memory.regions
    ram = sum(max(region.capacity_bytes - region.reserved_bytes, 0) for region in regions) if regions else None
    pairs = (
        ("--ram", limits.ram_bytes, ram, "RAM"),
        ("--flash", limits.flash_bytes, result.flash.capacity_bytes, "flash"),
    )
    return tuple(
        Finding(
            "C902", "warning", f"{option} is {format_bytes(budget)}; the device offers {format_bytes(has)} of {what}"
        )
        for option, budget, has, what in pairs
        if budget is not None and has is not None and budget > has
    )


def _memory_findings(memory: Memory, runtime: str) -> tuple[Finding, ...]:
    if not memory.regions:
        return (Finding("M106", "note", "RAM was not judged: no capacity is known", "name a device or --ram"),)
    findings = [
        _over_region(memory, region, runtime)
        for region in memory.regions
        if region.used_bytes + region.reserved_bytes > region.capacity_bytes
    ]
    # An arena that was placed nowhere must not pass because every region is empty.
    if sum(region.used_bytes for region in memory.regions) < memory.min_arena_bytes:
        text = f"no region holds the arena of {format_bytes(memory.min_arena_bytes)}"
        findings.append(Finding("M101", "error", text, *memory_fix(memory, memory.min_arena_bytes, runtime)))
    if memory.stack_bytes is None:
        text = "no data on the stack: the RAM verdict covers the arena only"
        findings.append(Finding("M105", "note", text, "measure the stack and pass it with --reserve-ram"))
    return tuple(findings)


def _over_region(memory: Memory, region: RegionUse, runtime: str) -> Finding:
    needed = region.used_bytes + region.reserved_bytes
    over = needed - region.capacity_bytes
    message = f"{region.name} lacks {format_bytes(over)}: needs {needed:,} B of {region.capacity_bytes:,} B"
    if over > region.used_bytes:
        return Finding("M101", "error", message, f"reserve {format_bytes(over)} less for the firmware")
    fix, saves = memory_fix(memory, over, runtime)
    return Finding("M101", "error", message, fix, saves)


def memory_fix(memory: Memory, over: int, runtime: str) -> tuple[str, int | None]:
    """The least invasive way open to this runtime and the head bytes it saves; None where only a bound is known."""
    strategy = _smallest_step(memory, over, runtime)
    if strategy is not None:
        saved = memory.head_bytes - strategy.head_bytes
        options = f"--order {strategy.order} --in-place {strategy.in_place}"
        return f"mcuprof plan {options}: {format_bytes(saved)} less", saved
    slack = memory.head_bytes - memory.lower_bound_bytes
    if slack >= over:
        return f"mcuprof plan: up to {format_bytes(slack)} less", None
    return f"free {format_bytes(over)}: a smaller input, narrower layers at the peak, or another device", None


def _smallest_step(memory: Memory, over: int, runtime: str) -> Strategy | None:
    """The first strategy (they go from least to most invasive) that saves `over` bytes on this runtime."""
    if isinstance(memory.strategies, msgspec.UnsetType):
        return None
    saving = (s for s in memory.strategies if runtime in s.runs_on and memory.head_bytes - s.head_bytes >= over)
    return next(saving, None)


def _flash_findings(flash: Flash) -> tuple[Finding, ...]:
    if flash.capacity_bytes is None:
        return (Finding("F202", "note", "flash was not judged: no capacity is known", "name a device or --flash"),)
    over = flash.total_bytes - flash.capacity_bytes
    if over <= 0:
        return ()
    message = f"flash lacks {format_bytes(over)}: needs {flash.total_bytes:,} B of {flash.capacity_bytes:,} B"
    return (Finding("F201", "error", message, f"free {format_bytes(over)}: fewer weights or fewer kernels"),)


def _latency_findings(
    latency: Latency | None, reason: str | msgspec.UnsetType, budget_ms: float | None
) -> tuple[Finding, ...]:
    if budget_ms is None:
        return ()
    high = None if latency is None else latency.high_ms
    if high is None:
        why = "" if isinstance(reason, msgspec.UnsetType) else f" ({reason})"
        message = f"no data, so the latency budget of {format_ms(budget_ms)} cannot be shown to hold{why}"
        return (Finding("L302", "error", message, "measure on the board and run mcuprof calibrate"),)
    # Written so that a NaN fails.
    if high <= budget_ms:
        return ()
    message = f"latency may reach {format_ms(high)}, the budget is {format_ms(budget_ms)}"
    fix = "mcuprof analyze names the operators that take most of the time"
    return (Finding("L301", "error", message, fix),)


def _nothing_to_judge() -> Finding:
    return Finding("C901", "note", "no device and no budget was named: nothing was judged", "name a device with -d")
