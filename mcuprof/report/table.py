"""Aligned tables that survive a narrow terminal: columns give way, the name column shrinks, nothing wraps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcuprof.report.page import Line, Page, Piece, columns, line
from mcuprof.report.pieces import INDENT

GAP = 2
MIN_FLEXIBLE = 18


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `right` aligns numbers; `flexible` shrinks to what is left; higher `drop` goes first, 0 never."""

    title: str
    right: bool = False
    flexible: bool = False
    drop: int = 0


def table(page: Page, heads: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[Line]:
    """Header and rows within the page's width. Cells must be clean; rows have one cell per column."""
    widths = [max([columns(head.title), *(columns(row[index]) for row in rows)]) for index, head in enumerate(heads)]
    shown = _shown(heads, widths, page.width - len(INDENT))
    free = page.width - len(INDENT) - GAP * (len(shown) - 1)
    for index in shown:
        if heads[index].flexible:
            widths[index] = min(widths[index], free - sum(widths[other] for other in shown if other != index))

    def laid(cells: Sequence[str], style: str) -> Line:
        parts = [page.pad(cells[index], widths[index], heads[index].right) for index in shown]
        return line(INDENT, Piece((" " * GAP).join(parts), style))

    return [laid([head.title for head in heads], "dim"), *(laid(row, "") for row in rows)]


def _shown(heads: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """The columns that fit, the most dispensable left out first."""
    shown = list(range(len(heads)))
    while _needed(heads, widths, shown) > room:
        worst = max(shown, key=lambda index: (heads[index].drop, index))
        if heads[worst].drop == 0:
            break
        shown.remove(worst)
    return shown


def _needed(heads: Sequence[Column], widths: Sequence[int], shown: Sequence[int]) -> int:
    least = sum(min(widths[i], MIN_FLEXIBLE) if heads[i].flexible else widths[i] for i in shown)
    return least + GAP * (len(shown) - 1)
