"""Markdown for pull requests: one row per result, then what is in the way."""

from __future__ import annotations

import re

import msgspec

from mcuprof.document import Report, Result
from mcuprof.report.labels import target_name
from mcuprof.report.page import Page
from mcuprof.report.pieces import judged, latency_words, npu_words, occupied, percent, sorted_findings
from mcuprof.units import format_bytes, format_size

_SPECIAL = re.compile(r"[\\`*_\[\]<>|~$#]")


def render(report: Report, page: Page, detail: bool) -> str:
    """A table of verdicts and a list of findings: errors and warnings, with `detail` also notes."""
    lines = ["| verdict | model | device | RAM | flash | latency |", "|---|---|---|---|---|---|"]
    lines += [_row(page, result) for result in report.results]
    found = [text for result in report.results for text in (*_npu(page, result), *_findings(page, result, detail))]
    return page.own("\n".join([*lines, "", *found] if found else lines) + "\n")


def _row(page: Page, result: Result) -> str:
    regions = result.memory.regions
    ram = "<br>".join(
        (f"{plain_text(page, region.name)}: " if len(regions) > 1 else "")
        + _share(region.used_bytes + region.reserved_bytes, region.capacity_bytes)
        for region in occupied(regions)
    ) or format_bytes(result.memory.min_arena_bytes + (result.memory.stack_bytes or 0))
    capacity = result.flash.capacity_bytes
    total = result.flash.total_bytes
    flash = format_bytes(total) if capacity is None else _share(total, capacity)
    latency = latency_words(result.latency, result.latency_reason)[0]
    verdict = "**does not fit**" if not result.verdict.fits else "fits" if judged(result) else "not judged"
    device = code_span(page, target_name(result)) if target_name(result) else ""
    cells = (verdict, code_span(page, result.model.path), device, ram, flash, plain_text(page, latency))
    return f"| {' | '.join(cells)} |"


def _share(part: int, whole: int) -> str:
    return f"{format_bytes(part)} of {format_size(whole)}, {percent(part, whole)}"


def _npu(page: Page, result: Result) -> list[str]:
    """What the model would take once compiled for the device's accelerator."""
    if isinstance(result.npu, msgspec.UnsetType):
        return []
    return [f"- NPU, {_where(page, result)}: {plain_text(page, npu_words(result.npu))}"]


def _where(page: Page, result: Result) -> str:
    where = code_span(page, result.model.path)
    return f"{where} on {code_span(page, target_name(result))}" if target_name(result) else where


def _findings(page: Page, result: Result, notes: bool) -> list[str]:
    where = _where(page, result)
    return [
        f"- {finding.severity} {plain_text(page, finding.code)}, {where}: {plain_text(page, finding.message)}"
        + (f". Fix: {plain_text(page, finding.fix)}" if finding.fix else "")
        for finding in sorted_findings(result)
        if notes or finding.severity != "note"
    ]


def plain_text(page: Page, text: str) -> str:
    """Prose that may quote a model: no markup, no mentions, no links of its own."""
    escaped = _SPECIAL.sub(r"\\\g<0>", page.clean(text).replace("&", "&amp;"))
    return escaped.replace("@", "@<!-- -->").replace("://", "&#58;//").replace("www.", "www&#46;")


def code_span(page: Page, text: str) -> str:
    """A name as a code span, whatever backticks it contains. A bar, which ends a cell, is escaped like the rest."""
    text = page.clean(text).replace("|", "\\x7c")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"
