"""`mcuprof fit` as Markdown: a table of what fits and one of the nearest misses per model."""

from __future__ import annotations

from mcuprof.fit_document import DeviceFit, FitReport, ModelFit
from mcuprof.report.fit_text import common, misses, others, reasons_of, size_words, time_words
from mcuprof.report.markdown import code_span, plain_text
from mcuprof.report.page import Page
from mcuprof.units import format_ms


def text(report: FitReport, page: Page, count: int | None) -> str:
    """One section per model, `count` devices of each table."""
    return "\n".join("\n".join(_model(model, page, count)) + "\n" for model in report.models)


def _model(model: ModelFit, page: Page, count: int | None) -> list[str]:
    fitting = [each for each in model.devices if each.status == "fits"]
    lines = [f"### {code_span(page, model.model.path)}: fits {len(fitting)} of {len(model.devices)} devices", ""]
    lines += [f"- {finding.code}: {plain_text(page, finding.message)}" for finding in common(model)]
    if fitting:
        lines += ["| device | core | RAM | free | flash | free | latency |", "|---|---|---:|---:|---:|---:|---:|"]
        lines += [_fitting(page, each) for each in fitting[:count]]
        lines += _left(len(fitting), count)
    if lacking := misses(model):
        lines += ["", "| nearest misses | core | lacks RAM | lacks flash | too slow by |", "|---|---|---:|---:|---:|"]
        lines += [_missing(page, each) for each in lacking[:count]]
        lines += _left(len(lacking), count)
    if unknown := others(model):
        lines += ["", "Not shown to fit, or out for another reason:", ""]
        for (finding, message), names in reasons_of(unknown).items():
            devices = ", ".join(code_span(page, name) for name in names)
            lines.append(f"- {plain_text(page, finding)}, {plain_text(page, message)}: {devices}")
    return lines


def _left(total: int, count: int | None) -> list[str]:
    return [] if count is None or total <= count else ["", f"and {total - count} more"]


def _fitting(page: Page, each: DeviceFit) -> str:
    sizes = (each.ram_bytes, each.free_ram_bytes, each.flash_bytes, each.free_flash_bytes)
    cells = (code_span(page, each.device), code_span(page, each.core), *map(size_words, sizes), time_words(each))
    return f"| {' | '.join(cells)} |"


def _missing(page: Page, each: DeviceFit) -> str:
    ram, flash = (f"{lack:,} B" if lack else "" for lack in (each.lacks_ram_bytes, each.lacks_flash_bytes))
    slow = format_ms(each.over_ms) if each.over_ms else ""
    return f"| {code_span(page, each.device)} | {code_span(page, each.core)} | {ram} | {flash} | {slow} |"
