"""What the sections of the page share: headings, bars, tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcuprof.report.html.markup import Markup, join, percentage, tag

# Words up to this long are not broken; names can be as long as a stranger likes.
_SHORT = 32
# Rows that a browser lays out without effort; the JSON document has all of them.
MAX_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: `number` aligns right, `first` is the direction of the first sort: "descending" for costs."""

    title: str
    number: bool = False
    first: str = "ascending"


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows, and the value it is sorted by (empty: no data, always last)."""

    shown: str
    value: str = ""


def section(title: str, *children: str, note: str = "") -> Markup:
    """A section of the page with its heading; nothing without children."""
    inside = join(*children)
    if not inside:
        return Markup()
    head = tag("div", tag("h2", title), tag("p", note, class_="note") if note else Markup(), class_="head")
    return tag("section", head, inside)


def bar(*segments: tuple[str, float], whole: float, mark: float | None = None) -> Markup:
    """A bar of `whole` units: (class, length) one after the other, a tick at `mark`. Decoration: text says it too."""
    drawn: list[Markup] = []
    start = 0.0
    for name, length in segments:
        if length > 0:
            width = percentage(length, whole)
            drawn.append(tag("rect", class_=name, x=percentage(start, whole), y="0", width=width, height="100%"))
            start += length
    if mark is not None:
        at = percentage(mark, whole)
        drawn.append(tag("line", class_="mark", x1=at, x2=at, y1="0", y2="100%"))
    return tag("svg", *drawn, class_="bar", aria_hidden="true")


def table(
    caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], sortable: bool = False, class_: str = ""
) -> Markup:
    """A table in a box of its own that scrolls where it is narrow. `sortable` headers are buttons."""
    head = tag("tr", *(_heading(column, sortable) for column in columns))
    body = [tag("tr", *map(_cell, columns, row)) for row in rows[:MAX_ROWS]]
    inner = tag(
        "table",
        tag("caption", caption, class_="quiet"),
        tag("thead", head),
        tag("tbody", *body),
        class_=class_ or None,
        data_sortable=sortable,
    )
    more = len(rows) - MAX_ROWS
    cut = tag("p", f"{more:,} more rows are in the JSON document.", class_="note") if more > 0 else Markup()
    return join(tag("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption), cut)


def facts(*rows: tuple[str, str]) -> Markup:
    """Names and values."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows))


def _heading(column: Column, sortable: bool) -> Markup:
    title = tag("button", column.title, type="button", data_first=column.first) if sortable else column.title
    return tag("th", title, scope="col", class_="number" if column.number else None)


def _cell(column: Column, cell: Cell) -> Markup:
    short = not isinstance(cell.shown, Markup) and len(cell.shown) <= _SHORT
    style = "number" if column.number else "short" if short else None
    return tag("td", cell.shown, class_=style, data_value=cell.value or None)
