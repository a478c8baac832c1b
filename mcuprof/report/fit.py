"""Rendering what `mcuprof fit` found: text, JSON or Markdown."""

from __future__ import annotations

import msgspec

from mcuprof.errors import UsageError
from mcuprof.fit_document import FitReport
from mcuprof.report import fit_markdown, fit_text
from mcuprof.report.page import Page

FIT_FORMATS = ("text", "json", "markdown")


def render_fit(report: FitReport, format: str, page: Page, count: int | None) -> str:
    """`report` as text that ends in a newline; `count` devices of each list are shown (None: all), in JSON always all.

    Raises UsageError for a format that does not exist.
    """
    if format == "text":
        return page.paint(fit_text.lines(report, page, count))
    if format == "markdown":
        return page.own(fit_markdown.text(report, page, count))
    if format == "json":
        return msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=2).decode() + "\n"
    raise UsageError(f"no such format: {format!r} (there are {', '.join(FIT_FORMATS)})")
