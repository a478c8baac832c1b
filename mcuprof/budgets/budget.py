"""Budgets of a config: limits that hold besides the device's capacity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from mcuprof.budgets.amounts import BudgetSpec, LatencyBound
from mcuprof.budgets.judge import Limits, incomplete_bill, judge, memory_fix
from mcuprof.document import Finding, Latency, Result, Verdict, Where
from mcuprof.errors import UsageError
from mcuprof.units import format_bytes, format_ms, format_size


@dataclass(frozen=True, slots=True)
class Budget:
    """What a model may take, in bytes and milliseconds; `where` has the config's line of each of the three."""

    ram_bytes: int | None = None
    flash_bytes: int | None = None
    latency_ms: float | None = None
    latency_bound: LatencyBound = "upper"
    where: Mapping[str, Where] = field(default_factory=dict)


def resolve(spec: BudgetSpec, ram_capacity: int | None, flash_capacity: int | None) -> Budget:
    """`spec` for a device with these capacities. Raises UsageError for a part of one that is not known."""

    def told(name: str, capacity: int | None, what: str) -> int | None:
        amount = spec.ram if name == "ram" else spec.flash
        try:
            return None if amount is None else amount.bytes_of(capacity, what)
        except UsageError as error:
            line = spec.where.get(name)
            raise UsageError(f"{_place(line)}budget.{name}: {error}") from None

    return Budget(
        ram_bytes=told("ram", ram_capacity, "device's RAM"),
        flash_bytes=told("flash", flash_capacity, "device's flash"),
        latency_ms=spec.latency_ms,
        latency_bound=spec.latency_bound or "upper",
        where=spec.where,
    )


def _place(where: Where | None) -> str:
    return f"{where.path}:{where.line}: " if where else ""


def judge_budget(result: Result, limits: Limits, budget: Budget, target: Where | None = None) -> Result:
    """`judge`, and the budget. Findings about a limit carry its line; errors without one carry that of the `target`.

    RAM is the smallest arena that can start plus the stack: what `judge` holds against a region. Without a region to
    hold it against, the RAM budget is the region, and likewise for flash.
    """
    if not result.memory.regions and limits.ram_bytes is None and budget.ram_bytes is not None:
        limits = replace(limits, ram_bytes=budget.ram_bytes)
    if result.flash.capacity_bytes is None and limits.flash_bytes is None and budget.flash_bytes is not None:
        limits = replace(limits, flash_bytes=budget.flash_bytes)
    judged = judge(result, limits)
    found = [
        *_ram(judged, limits, budget),
        *_flash(judged, limits, budget),
        *_latency(judged.latency, judged.latency_reason, budget),
    ]
    kept = [
        _against_budget(finding, judged, budget)
        for finding in judged.verdict.findings
        if not (finding.code == "C901" and budget.latency_ms is not None)
    ]
    lines = {
        "M101": budget.where.get("ram") if limits.ram_bytes == budget.ram_bytes else None,
        "F201": budget.where.get("flash") if limits.flash_bytes == budget.flash_bytes else None,
    }
    findings = tuple(_located(finding, lines.get(finding.code) or target) for finding in (*kept, *found))
    verdict = Verdict(all(finding.severity != "error" for finding in findings), findings)
    return msgspec.structs.replace(judged, verdict=verdict)


def _against_budget(finding: Finding, result: Result, budget: Budget) -> Finding:
    """A flash bill with gaps must leave room for a runtime in the budget too."""
    if finding.code != "F203" or budget.flash_bytes is None:
        return finding
    tighter = incomplete_bill(finding, result.flash, budget.flash_bytes)
    return tighter if tighter.severity == "error" else finding


def _located(finding: Finding, where: Where | None) -> Finding:
    if where is None or not isinstance(finding.where, msgspec.UnsetType):
        return finding
    return msgspec.structs.replace(finding, where=where)


def _ram(result: Result, limits: Limits, budget: Budget) -> list[Finding]:
    if budget.ram_bytes is None or limits.ram_bytes == budget.ram_bytes:
        return []
    memory = result.memory
    needed = memory.min_arena_bytes + (memory.stack_bytes or 0)
    over = needed - budget.ram_bytes
    if over <= 0:
        return []
    fix, saves = memory_fix(memory, over, result.target.runtime)
    return [Finding("M101", "error", _over("RAM", needed, budget.ram_bytes, budget), fix, saves, _where(budget, "ram"))]


def _flash(result: Result, limits: Limits, budget: Budget) -> list[Finding]:
    if budget.flash_bytes is None or limits.flash_bytes == budget.flash_bytes:
        return []
    total = result.flash.total_bytes
    over = total - budget.flash_bytes
    if over <= 0:
        return []
    fix = f"free {format_bytes(over)}: fewer weights or fewer kernels"
    message = _over("flash", total, budget.flash_bytes, budget)
    return [Finding("F201", "error", message, fix, where=_where(budget, "flash"))]


def _over(what: str, needed: int, limit: int, budget: Budget) -> str:
    return (
        f"over the {what} budget of {format_size(limit)}{_said(budget, what.lower())} "
        f"by {format_bytes(needed - limit)}: needs {needed:,} B of {limit:,} B"
    )


def _said(budget: Budget, name: str) -> str:
    where = budget.where.get(name)
    return f" ({where.path}:{where.line})" if where else ""


def _latency(latency: Latency | None, reason: str | msgspec.UnsetType, budget: Budget) -> list[Finding]:
    if budget.latency_ms is None:
        return []
    line = _where(budget, "latency")
    upper = budget.latency_bound == "upper"
    value = None if latency is None else latency.high_ms if upper else latency.ms
    if value is None:
        why = "" if isinstance(reason, msgspec.UnsetType) else f" ({reason})"
        message = f"no data, so the latency budget of {format_ms(budget.latency_ms)} cannot be shown to hold{why}"
        return [Finding("L302", "error", message, "measure on the board and run mcuprof calibrate", where=line)]
    if value <= budget.latency_ms:  # written so that a NaN fails
        return []
    verb = "may reach" if upper else "is about"
    message = (
        f"latency {verb} {format_ms(value)}, the budget is {format_ms(budget.latency_ms)}{_said(budget, 'latency')}"
    )
    fix = "mcuprof analyze names the operators that take most of the time"
    return [Finding("L301", "error", message, fix, where=line)]


def _where(budget: Budget, name: str) -> Where | msgspec.UnsetType:
    return budget.where.get(name, msgspec.UNSET)
