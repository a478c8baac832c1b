"""The long text report: everything the document holds, in sections."""

from __future__ import annotations

import msgspec

from mcuprof.document import Latency, Result, Strategy
from mcuprof.report.arithmetic_text import arithmetic_section
from mcuprof.report.exits_text import exits_section
from mcuprof.report.npu_text import npu_section
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import (
    energy_words,
    finding_lines,
    latency_words,
    model_words,
    percent,
    prose,
    runs_on,
    sorted_findings,
    verdict_lines,
)
from mcuprof.report.split_front import split_section
from mcuprof.report.table import Column, table
from mcuprof.report.timeline import timeline
from mcuprof.units import format_bytes, format_count


def block(page: Page, result: Result) -> list[Line]:
    """Verdict and findings first, then the facts they rest on."""
    sections = [
        verdict_lines(page, result),
        _findings(page, result),
        _model(page, result),
        _memory(page, result),
        _regions(page, result),
        _peak(page, result),
        _timeline(page, result),
        _strategies(page, result),
        _spread(page, result),
        _flash(page, result),
        _latency(page, result),
        _operators(page, result.latency),
        arithmetic_section(page, result.arithmetic),
        exits_section(page, result.exits),
        npu_section(page, result.npu),
        split_section(page, result.split),
    ]
    lines: list[Line] = []
    for section in sections:
        if section:
            lines += [line(), *section] if lines else section
    return lines


def _section(title: str, lines: list[Line]) -> list[Line]:
    return [line(Piece(title, "strong")), *lines] if lines else []


def _findings(page: Page, result: Result) -> list[Line]:
    return _section("Findings", [row for each in sorted_findings(result) for row in finding_lines(page, each)])


def _model(page: Page, result: Result) -> list[Line]:
    model, target = result.model, result.target
    clock = "" if target.clock_hz is None else f"{target.clock_hz / 1e6:g} MHz"
    device = ", ".join(filter(None, (target.device, target.core, clock, target.accelerator))) or "none"
    lines = prose(page, "model", model_words(result))
    lines += prose(page, "file", f"{format_bytes(model.bytes)}, {format_count(model.parameters)} parameters")
    lines += prose(page, "device", device)
    lines += prose(page, "runtime", f"{target.runtime}, {target.kernels} kernels")
    return _section("Model and target", lines)


def _memory(page: Page, result: Result) -> list[Line]:
    memory = result.memory
    stack = "no data" if memory.stack_bytes is None else format_bytes(memory.stack_bytes)
    rows = [
        ("arena", format_bytes(memory.arena_bytes), "head + tail, as the runtime reports it"),
        ("  head", format_bytes(memory.head_bytes), "planned: activations and scratch"),
        ("  tail", format_bytes(memory.tail_bytes), "persistent: interpreter, operator data"),
        ("smallest arena", format_bytes(memory.min_arena_bytes), "the least that starts"),
        ("stack", stack, "of the interpreter"),
        (
            "lower bound",
            format_bytes(memory.lower_bound_bytes),
            "no plan of this order has less",
        ),
    ]
    lines = table(page, (Column("RAM"), Column("bytes", right=True), Column("", flexible=18, drop=1)), rows)
    words = f"order {memory.order}, in-place {memory.in_place}; {memory.certificate}"
    return _section("Memory", [*lines, *prose(page, "plan", words)])


def _regions(page: Page, result: Result) -> list[Line]:
    heads = (
        Column("region", flexible=18),
        Column("used", right=True),
        Column("reserved", right=True, drop=2),
        Column("capacity", right=True),
        Column("", right=True),
    )
    rows = [
        (
            page.clean(region.name),
            f"{region.used_bytes:,}",
            f"{region.reserved_bytes:,}",
            f"{region.capacity_bytes:,}",
            percent(region.used_bytes + region.reserved_bytes, region.capacity_bytes),
        )
        for region in result.memory.regions
    ]
    return _section("Regions, bytes", table(page, heads, rows) if rows else [])


def _peak(page: Page, result: Result) -> list[Line]:
    peak = result.memory.peak
    if peak is None:
        return []
    words = f"operator {peak.operator_index}, {peak.operator}: {format_bytes(peak.live_bytes)} live"
    rows = [
        (f"{tensor.bytes:,}", f"{tensor.bytes * 100 / max(peak.live_bytes, 1):.0f} %", page.clean(tensor.name))
        for tensor in peak.tensors
    ]
    heads = (Column("bytes", right=True), Column("share", right=True), Column("tensor", flexible=18))
    return _section("Peak", [*prose(page, "at", words), *(table(page, heads, rows) if rows else [])])


def _timeline(page: Page, result: Result) -> list[Line]:
    plan = result.memory.plan
    if isinstance(plan, msgspec.UnsetType):
        return []
    return _section("Live bytes", timeline(page, plan, result.model.operators))


def _strategies(page: Page, result: Result) -> list[Line]:
    strategies = result.memory.strategies
    if isinstance(strategies, msgspec.UnsetType) or not strategies:
        return []
    heads = (
        Column("order"),
        Column("in-place"),
        Column("head bytes", right=True),
        Column("saves", right=True, drop=1),
        Column("bound", right=True, drop=4),
        Column("proof", drop=3),
        Column("runs on", flexible=18, drop=2),
    )
    rows = [_strategy_row(page, strategy, result.memory.head_bytes) for strategy in strategies]
    outside = any(strategy.io == "outside" for strategy in strategies)
    title = "Orders and in-place strategies" + (", inputs and outputs outside" if outside else "")
    return _section(title, table(page, heads, rows))


def _strategy_row(page: Page, strategy: Strategy, head_bytes: int) -> tuple[str, ...]:
    return (
        page.clean(strategy.order),
        page.clean(strategy.in_place),
        f"{strategy.head_bytes:,}",
        f"{head_bytes - strategy.head_bytes:,}",
        f"{strategy.lower_bound_bytes:,}",
        page.clean(strategy.certificate),
        page.clean(runs_on(strategy.runs_on)),
    )


def _spread(page: Page, result: Result) -> list[Line]:
    """The regions down to the last one in use, then what had to leave the preferred one, largest first."""
    spread = result.memory.spread
    if isinstance(spread, msgspec.UnsetType) or not spread.regions:
        return []
    heads = (
        Column("region, preferred first", flexible=18),
        Column("used", right=True),
        Column("free for tensors", right=True, drop=1),
        Column("moved per inference", right=True),
        Column("", right=True),
    )
    used = [region.used_bytes > 0 for region in spread.regions]
    regions = spread.regions[: len(used) - used[::-1].index(True)] if any(used) else spread.regions[:1]
    moved = sum(region.moved_bytes for region in regions)
    rows = [
        (
            page.clean(region.name),
            f"{region.used_bytes:,}",
            f"{region.free_bytes:,}",
            f"{region.moved_bytes:,}",
            percent(region.moved_bytes, moved),
        )
        for region in regions
    ]
    lines = [*table(page, heads, rows)]
    away = sorted((each for each in spread.plan if each.region != regions[0].name), key=lambda each: -each.bytes)
    for region in regions[1:]:
        names = [f"{each.tensor} ({each.bytes:,} B)" for each in away if each.region == region.name]
        if names:
            lines += prose(page, "there", f"{region.name}: {', '.join(names)}", limit=2)
    words = f"order {spread.order}, in-place {spread.in_place}"
    lines += prose(page, "plan", words if spread.fits else f"{words}; the last region is too small")
    lines += prose(page, "runs on", f"{runs_on(spread.runs_on)}: the verdict has the arena in one block")
    return _section("Tensors spread over regions, bytes", lines)


def _flash(page: Page, result: Result) -> list[Line]:
    flash = result.flash
    heads = (Column("item"), Column("bytes", right=True), Column("basis", flexible=18, drop=1))
    rows = [(page.fit(page.clean(item.name), 32), f"{item.bytes:,}", page.clean(item.basis)) for item in flash.items]
    capacity = "" if flash.capacity_bytes is None else f"of {flash.capacity_bytes:,}"
    share = "" if flash.capacity_bytes is None else f", {percent(flash.total_bytes, flash.capacity_bytes)}"
    rows.append(("total", f"{flash.total_bytes:,}", f"{capacity}{share}"))
    return _section("Flash, bytes", table(page, heads, rows))


def _latency(page: Page, result: Result) -> list[Line]:
    latency = result.latency
    words, basis = latency_words(latency, result.latency_reason)
    lines = prose(page, "time", words)
    if basis:
        lines += prose(page, "basis", basis, limit=None)
    if latency is not None:
        counted = ((latency.cycles, "cycles"), (latency.instructions, "instructions"))
        known = [f"{format_count(count)} {what}" for count, what in counted if count is not None]
        lines += prose(page, "count", ", ".join(known)) if known else []
    energy, why = energy_words(result)
    lines += prose(page, "energy", energy) if energy else []
    lines += prose(page, "basis", why, limit=None) if why else []
    return _section("Time and energy" if energy else "Latency", lines)


def _operators(page: Page, latency: Latency | None) -> list[Line]:
    """One row per operator; the share is of cycles where all are known, else of instructions, else there is none."""
    if latency is None or not latency.operators:
        return []
    costs = latency.operators
    shares = _shares([cost.cycles for cost in costs]) or _shares([cost.instructions for cost in costs])
    heads = (
        Column("#", right=True),
        Column("operator", flexible=18),
        Column("kernel", drop=3),
        Column("MACs", right=True, drop=1),
        Column("instr.", right=True, drop=4),
        Column("cycles", right=True, drop=2),
        Column("share", right=True),
        Column("basis", drop=5),
    )
    rows = [
        (
            str(cost.index),
            page.clean(cost.operator),
            page.fit(page.clean(cost.kernel), 24),
            format_count(cost.macs),
            _count(cost.instructions),
            _count(cost.cycles),
            shares[index] if shares else "",
            page.fit(page.clean(cost.basis), 24),
        )
        for index, cost in enumerate(costs)
    ]
    return _section("Operators", table(page, heads, rows))


def _count(value: int | None) -> str:
    return "no data" if value is None else format_count(value)


def _shares(values: list[int | None]) -> list[str]:
    """Percentages of the sum with one decimal; empty when a value is missing or there is nothing to divide."""
    known = [value for value in values if value is not None]
    total = sum(known)
    if len(known) < len(values) or total <= 0:
        return []
    return [f"{value * 100 / total:.1f} %" for value in known]
