"""The short text report: one block of at most fifteen lines per model and device, verdict first."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from mcuprof.document import RegionUse, Result
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import (
    MARGIN,
    finding_lines,
    head,
    latency_words,
    meter,
    model_words,
    npu_words,
    occupied,
    prose,
    ram_parts,
    sorted_findings,
    verdict_lines,
)
from mcuprof.units import format_bytes

MAX_LINES = 15
MAX_REGIONS = 3
MAX_TENSORS = 3
# The block itself says what these say.
_SHOWN_ELSEWHERE = frozenset({"C901", "M106", "F202"})


@dataclass(frozen=True, slots=True)
class _Row:
    """Lines that stay or go together. `rank` says how dispensable they are; rank 0 is never dropped."""

    rank: int
    lines: list[Line]
    finding: bool = False


def block(page: Page, result: Result) -> list[Line]:
    """Does it fit, what is in the way, what to do; then the meters, the peak and the notes, as far as there is room."""
    errors = [finding for finding in sorted_findings(result) if finding.severity == "error"]
    others = [f for f in sorted_findings(result) if f.severity != "error" and f.code not in _SHOWN_ELSEWHERE]
    rows: list[_Row] = [_Row(0, verdict_lines(page, result))]
    for index, finding in enumerate(errors):
        rows.append(_Row(min(index, 1) * 2, finding_lines(page, finding), finding=True))
    rows += _ram_rows(page, result)
    rows += _flash_rows(page, result)
    words, basis = latency_words(result.latency, result.latency_reason)
    rows.append(_Row(1, prose(page, "latency", words, tail=basis)))
    if not isinstance(result.npu, msgspec.UnsetType):
        rows.append(_Row(2, prose(page, "NPU", npu_words(result.npu), "dim", limit=2)))
    rows += _peak_rows(page, result)
    for finding in others:
        rank = 4 if finding.severity == "warning" else 7
        rows.append(_Row(rank, finding_lines(page, finding), finding=True))
    rows.append(_Row(6, prose(page, "model", model_words(result), "dim")))
    return _shortened(page, rows)


def _ram_rows(page: Page, result: Result) -> list[_Row]:
    memory = result.memory
    if not memory.regions:
        needed = memory.min_arena_bytes + (memory.stack_bytes or 0)
        rows: list[_Row] = [_Row(1, prose(page, "RAM", format_bytes(needed), tail="not judged: no capacity known"))]
    else:
        # A region that is over its capacity must be among those shown.
        fullest = sorted(occupied(memory.regions), key=lambda r: r.used_bytes + r.reserved_bytes <= r.capacity_bytes)
        rows = [
            _Row(1, meter(page, region.name, *_amounts(region)))
            for region in (fullest or list(memory.regions))[:MAX_REGIONS]
        ]
    rows.append(_Row(4, prose(page, "", ram_parts(memory), "dim")))
    if (memory.order, memory.in_place) != ("as-is", "none"):
        # The stock runtime does this only when told so: without this line a FITS could be taken for granted.
        words = f"with order {memory.order}, in-place {memory.in_place}, as mcuprof plan writes it"
        rows.append(_Row(0, prose(page, "plan", words)))
    return rows


def _amounts(region: RegionUse) -> tuple[int, int, int]:
    return region.reserved_bytes, region.used_bytes, region.capacity_bytes


def _flash_rows(page: Page, result: Result) -> list[_Row]:
    flash = result.flash
    incomplete = any(finding.code == "F203" for finding in result.verdict.findings)
    prefix = "at least " if incomplete else ""
    if flash.capacity_bytes is None:
        words = prefix + format_bytes(flash.total_bytes)
        return [_Row(1, prose(page, "flash", words, tail="not judged: no capacity known"))]
    return [_Row(1, meter(page, "flash", 0, flash.total_bytes, flash.capacity_bytes, prefix))]


def _peak_rows(page: Page, result: Result) -> list[_Row]:
    peak = result.memory.peak
    if peak is None:
        return []
    words = f"operator {peak.operator_index}, {peak.operator}: {format_bytes(peak.live_bytes)} live"
    rows: list[_Row] = [_Row(3, prose(page, "peak", words))]
    shown = peak.tensors[:MAX_TENSORS]
    sizes = [format_bytes(tensor.bytes) for tensor in shown]
    width = max(map(len, sizes), default=0)
    for tensor, size in zip(shown, sizes, strict=True):
        room = page.width - MARGIN
        name = page.fit(page.clean(tensor.name), max(room - width - 2, 0))
        rows.append(_Row(5, [line(head(""), Piece(page.fit(f"{size:>{width}}", room), "dim"), f"  {name}")]))
    return rows


def _shortened(page: Page, rows: list[_Row]) -> list[Line]:
    """The rows' lines without the most dispensable rows, so that at most fifteen lines remain."""
    kept, hidden = list(rows), 0
    while sum(len(row.lines) for row in kept) + min(hidden, 1) > MAX_LINES and any(row.rank for row in kept):
        worst = max(row.rank for row in kept)
        dropped = kept.pop(max(index for index, row in enumerate(kept) if row.rank == worst))
        hidden += dropped.finding
    lines = [each for row in kept for each in row.lines]
    if not hidden:
        return lines
    return [*lines, *prose(page, "more", f"{hidden} more: mcuprof analyze", "dim")]
