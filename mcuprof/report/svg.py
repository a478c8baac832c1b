"""The memory map alone as a standalone SVG, one below the other when there are several results."""

from __future__ import annotations

from mcuprof.document import Report, Result
from mcuprof.report.html import ascii_only, asset
from mcuprof.report.html.markup import Markup, join, tag
from mcuprof.report.html.memory_map import MemoryMap, gutter, memory_map, operator_ticks, plot
from mcuprof.report.html.overview import target_words
from mcuprof.report.page import Page
from mcuprof.units import format_bytes

WIDTH = 960
_EMPTY, _FULL = 84, 460
_LEFT, _RIGHT, _TOP, _PLOT = 80, 24, 72, 340
# A name longer than this would leave the drawing.
_MAX_NAME = 96


def render(report: Report, page: Page, detail: bool) -> str:
    """One drawing a result, or a line that says why there is none; `detail` changes nothing."""
    screen = Page()  # not that of a terminal, which may be narrow or know only ASCII
    top = 0
    drawings = []
    for result in report.results:
        drawn = memory_map(result)
        drawings.append(tag("svg", _drawing(result, drawn, screen), y=top, width=WIDTH, height=_FULL))
        top += _EMPTY if drawn is None else _FULL
    root = tag(
        "svg",
        tag("style", Markup(asset("map.css"))),
        tag("rect", class_="paper", width="100%", height="100%"),
        *drawings,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {max(top, 1)}",
        width=WIDTH,
        height=max(top, 1),
        class_="map",
        role="img",
    )
    return ascii_only(f"{root}\n")


def _drawing(result: Result, drawn: MemoryMap | None, page: Page) -> Markup:
    path = page.fit(page.clean(result.model.path), _MAX_NAME)
    title = join(
        tag("text", path, class_="title", x=_LEFT, y=28),
        tag("text", page.fit(page.clean(_words(result, drawn)), 130), x=_LEFT, y=48),
    )
    if drawn is None:
        return title
    width = WIDTH - _LEFT - _RIGHT
    return join(
        title,
        tag("svg", gutter(drawn), y=_TOP, width=_LEFT, height=_PLOT),
        tag("svg", plot(drawn), x=_LEFT, y=_TOP, width=width, height=_PLOT),
        tag("rect", class_="frame", x=_LEFT, y=_TOP, width=width, height=_PLOT),
        tag("svg", operator_ticks(drawn), x=_LEFT, y=_TOP + _PLOT + 4, width=width, height=24),
    )


def _words(result: Result, drawn: MemoryMap | None) -> str:
    if drawn is None:
        return "no memory plan in this report: mcuprof analyze makes one"
    memory = result.memory
    return f"{target_words(result)}: head {format_bytes(memory.head_bytes)}, {memory.certificate}"
