"""The top of a result: the verdict, the meters, what is in the way; and the list when there are several results."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mcuprof.document import Finding, Latency, RegionUse, Result
from mcuprof.report.html.markup import Markup, join, tag
from mcuprof.report.html.parts import Cell, Column, bar, facts, section, table
from mcuprof.report.labels import target_name
from mcuprof.report.pieces import (
    energy_words,
    judged,
    latency_words,
    occupied,
    percent,
    sorted_findings,
    verdict_word,
)
from mcuprof.units import format_bytes, format_count, format_ms, format_size, format_uj

_SEVERITY = {"error": "bad", "warning": "warn", "note": "dim"}


def verdict_class(result: Result) -> str:
    """The colour of the verdict."""
    return "plain" if not judged(result) else "good" if result.verdict.fits else "bad"


def target_words(result: Result) -> str:
    """Where the model is to run, in one line."""
    target = result.target
    clock = None if target.clock_hz is None else f"{target.clock_hz / 1e6:g} MHz"
    runtime = f"{target.runtime} with {target.kernels} kernels"
    device = target.device or "no device"
    named = target_name(result)
    place = device if named in ("", device) else f"{named} ({device})"
    return " · ".join(filter(None, (place, target.core, clock, target.accelerator, runtime)))


def verdict(result: Result) -> Markup:
    """The word, the model and the target."""
    return tag(
        "header",
        tag("p", verdict_word(result).text, class_=f"verdict {verdict_class(result)}"),
        tag("h1", result.model.path),
        tag("p", target_words(result), class_="target"),
        class_="result-head",
    )


def meters(result: Result) -> Markup:
    """RAM per region, flash and latency, each with a bar where there is something to measure against."""
    memory, flash = result.memory, result.flash
    regions = sorted(occupied(memory.regions), key=_free)
    cards = [_meter(region.name, region.reserved_bytes, region.used_bytes, region.capacity_bytes) for region in regions]
    if not cards:
        needed = memory.min_arena_bytes + (memory.stack_bytes or 0)
        cards.append(_card("RAM", format_size(needed), f"{needed:,} B, not judged: no capacity known"))
    incomplete = any(finding.code == "F203" for finding in result.verdict.findings)
    prefix = "at least " if incomplete else ""
    if flash.capacity_bytes is None:
        words = f"{prefix}{flash.total_bytes:,} B, not judged: no capacity known"
        cards.append(_card("flash", format_size(flash.total_bytes), words))
    else:
        cards.append(_meter("flash", 0, flash.total_bytes, flash.capacity_bytes, prefix))
    cards.append(_latency(result))
    cards += _energy(result)
    plan = Markup()
    if (memory.order, memory.in_place) != ("as-is", "none"):
        words = f"With order {memory.order} and in-place {memory.in_place}, as mcuprof plan writes it."
        plan = tag("p", words, class_="note")
    return tag("section", tag("div", *cards, class_="cards"), plan, aria_label="Memory, flash and time")


def findings(result: Result) -> Markup:
    """What is in the way and what to do about it, errors first."""
    found = sorted_findings(result)
    return section("Findings", tag("ul", *map(_finding, found), class_="findings")) if found else Markup()


def model(result: Result) -> Markup:
    """What was read."""
    facts_of = result.model
    return section(
        "Model",
        facts(
            ("format", f"{facts_of.format}, {facts_of.quantization}"),
            ("file", format_bytes(facts_of.bytes)),
            ("operators", f"{facts_of.operators:,}"),
            ("parameters", f"{format_count(facts_of.parameters)}"),
            ("MACs", f"{format_count(facts_of.macs)} an inference"),
            ("SHA-256", facts_of.sha256),
        ),
    )


def summary(results: Sequence[Result]) -> Markup:
    """The list of all results, each a link to its own."""
    heads = (
        Column("verdict"),
        Column("model"),
        Column("target"),
        Column("RAM", number=True, first="descending"),
        Column("flash", number=True, first="descending"),
        Column("latency", number=True, first="descending"),
    )
    fitting = sum(result.verdict.fits and judged(result) for result in results)
    rows = [_summary_row(number, result) for number, result in enumerate(results, 1)]
    title = f"{fitting} of {len(results)} fit"
    return tag(
        "section", tag("h1", title), table("All results", heads, rows, sortable=True), class_="summary", id="all"
    )


def _summary_row(number: int, result: Result) -> tuple[Cell, ...]:
    word = verdict_word(result).text
    need = sum(region.used_bytes + region.reserved_bytes for region in result.memory.regions)
    ram = need or result.memory.min_arena_bytes + (result.memory.stack_bytes or 0)
    latency = result.latency
    ms = None if latency is None else latency.ms
    return (
        Cell(tag("span", word, class_=f"word {verdict_class(result)}"), word),
        Cell(tag("a", result.model.path, href=f"#r{number}"), result.model.path),
        Cell(target_name(result) or "none", target_name(result)),
        Cell(format_size(ram), str(ram)),
        Cell(format_size(result.flash.total_bytes), str(result.flash.total_bytes)),
        Cell("no data" if ms is None else format_ms(ms), "" if ms is None else repr(ms)),
    )


def _free(region: RegionUse) -> tuple[bool, str]:
    """Regions that are over their capacity first."""
    return region.used_bytes + region.reserved_bytes <= region.capacity_bytes, region.name


def _card(name: str, value: str, words: str, drawn: str = "", basis: str = "") -> Markup:
    said = tag("p", words, class_="note")
    why = tag("details", tag("summary", "basis"), tag("p", basis), class_="note") if basis else ""
    return tag("div", tag("h3", name), tag("p", value, class_="value"), drawn, said, why, class_="card")


def _meter(name: str, reserved: int, used: int, capacity: int, prefix: str = "") -> Markup:
    needed = reserved + used
    over = max(needed - capacity, 0)
    whole = max(needed, capacity, 1)
    kept = min(reserved, whole - over)
    drawn = bar(
        ("reserved", kept),
        ("used", needed - over - kept),
        ("over", over),
        whole=whole,
        mark=capacity if over else None,
    )
    words = f"{prefix}{needed:,} of {capacity:,} B"
    if reserved:
        words += f", {reserved:,} of them reserved"
    if over:
        words += f": {over:,} B too many"
    value = join(percent(needed, capacity), " ", tag("small", f"of {format_size(capacity)}"))
    return _card(name, value, words, drawn)


def _latency(result: Result) -> Markup:
    latency = result.latency
    if latency is None or latency.ms is None:
        words, basis = latency_words(latency, result.latency_reason)
        return _card("latency", "no data", words.removeprefix("no data").lstrip(":; "), basis=basis)
    return _card("latency", format_ms(latency.ms), _band(latency), _band_bar(latency), latency.basis)


def _energy(result: Result) -> list[Markup]:
    """A card a supply; one with the reason where nothing was measured, none where the document does not say."""
    found = result.energy
    if isinstance(found, msgspec.UnsetType) or not found:
        words, _ = energy_words(result)
        return [_card("energy", "no data", words.removeprefix("no data: "))] if words else []
    return [
        _card(
            f"energy, {one.supply}",
            format_uj(one.uj),
            f"{format_uj(one.low_uj)} to {format_uj(one.high_uj)}",
            bar(("none", one.low_uj), ("band", one.high_uj - one.low_uj), whole=one.high_uj * 1.15, mark=one.uj),
            one.basis,
        )
        for one in found
    ]


def _band(latency: Latency) -> str:
    if latency.low_ms is None or latency.high_ms is None:
        return "no band"
    return f"{format_ms(latency.low_ms)} to {format_ms(latency.high_ms)}"


def _band_bar(latency: Latency) -> Markup:
    if latency.ms is None or latency.low_ms is None or latency.high_ms is None:
        return Markup()
    low, high = latency.low_ms, latency.high_ms
    return bar(("none", low), ("band", high - low), whole=high * 1.15, mark=latency.ms)


def _finding(finding: Finding) -> Markup:
    style = _SEVERITY[finding.severity]
    fix = tag("p", tag("b", "Fix: "), finding.fix, class_="fix") if finding.fix else Markup()
    saves = (
        tag("p", f"saves {format_bytes(finding.saves_bytes)}", class_="note")
        if finding.saves_bytes is not None
        else Markup()
    )
    where = finding.where
    line = (
        Markup()
        if isinstance(where, msgspec.UnsetType)
        else tag("p", f"asked for in {where.path}, line {where.line}", class_="note")
    )
    label = tag("p", tag("span", finding.severity, class_=f"word {style}"), " ", tag("code", finding.code))
    return tag("li", label, tag("div", tag("p", finding.message), fix, saves, line), class_=f"edge {style}")
