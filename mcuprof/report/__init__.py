"""Rendering: the report document for people and for machines. One renderer per file, named here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Protocol, cast

from mcuprof.document import Report
from mcuprof.errors import UsageError
from mcuprof.report.page import MIN_WIDTH, Page

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "text": "mcuprof.report.text",
        "json": "mcuprof.report.json_",
        "markdown": "mcuprof.report.markdown",
        "html": "mcuprof.report.html",
        "svg": "mcuprof.report.svg",
        "sarif": "mcuprof.report.sarif",
        "junit": "mcuprof.report.junit",
        "github": "mcuprof.report.github",
        "gitlab": "mcuprof.report.gitlab",
        "openmetrics": "mcuprof.report.openmetrics",
    }
)


class Renderer(Protocol):
    """What a module in `FORMATS` provides."""

    def render(self, report: Report, page: Page, detail: bool) -> str:
        """The report as text that ends in a newline. `detail`: the long form, where the format has one."""


def render(
    report: Report, format: str, *, width: int = 80, color: bool = False, detail: bool = False, unicode: bool = True
) -> str:
    """`report` in `format` (a key of `FORMATS`), ending in a newline.

    `width` (columns, at least 40 are used) and `color` (ANSI styles) concern text only; with `unicode` false the result
    is ASCII. Names that come from models cannot smuggle control characters through. Raises UsageError for a format
    that does not exist.
    """
    if format not in FORMATS:
        raise UsageError(f"no such format: {format!r} (there are {', '.join(FORMATS)})")
    renderer = cast(Renderer, import_module(FORMATS[format]))
    return renderer.render(report, Page(max(width, MIN_WIDTH), color, unicode), detail)
