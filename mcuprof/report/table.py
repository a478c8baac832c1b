"""Aligned tables that survive a narrow terminal: columns give way, the name column shrinks, nothing wraps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcuprof.report.page import Line, Page, Piece, columns, line
from mcuprof.report.pieces import INDENT

GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `right` aligns numbers; `flexible` is the width it may shrink to (0: it may not); columns with a
    higher `drop` are left out first where it is narrow, those with 0 never.
    """

    title: str
    right: bool = False
    flexible: int = 0
    drop: int = 0


def table(page: Page, heads: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[Line]:
    """Header and rows within the page's width. Cells must be clean; rows have one cell per column."""
    widths = _widths(heads, rows)
    room = page.width - len(INDENT)
    shown = _shown(heads, widths, room)
    excess = sum(widths[index] for index in shown) + GAP * (len(shown) - 1) - room
    for index in shown:
        if heads[index].flexible and excess > 0:
            cut = min(excess, widths[index] - _least(heads[index], widths[index]))
            widths[index] -= cut
            excess -= cut
    while excess > 0:  # what may neither shrink nor go: the widest gives way
        widths[max(shown, key=widths.__getitem__)] -= 1
        excess -= 1

    def laid(cells: Sequence[str], style: str) -> Line:
        parts = [page.pad(cells[index], widths[index], heads[index].right) for index in shown]
        return line(INDENT, Piece((" " * GAP).join(parts), style))

    return [laid([head.title for head in heads], "dim"), *(laid(row, "") for row in rows)]


def is_squeezed(page: Page, heads: Sequence[Column], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the page is too narrow even for the columns that may not go, at their least widths."""
    least = [_least(head, width) for head, width in zip(heads, _widths(heads, rows), strict=True) if not head.drop]
    return sum(least) + GAP * (len(least) - 1) > page.width - len(INDENT)


def _widths(heads: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max([columns(head.title), *(columns(row[index]) for row in rows)]) for index, head in enumerate(heads)]


def _shown(heads: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """The columns that fit at their least widths, the most dispensable left out first."""
    shown = list(range(len(heads)))
    while sum(_least(heads[index], widths[index]) for index in shown) + GAP * (len(shown) - 1) > room:
        worst = max(shown, key=lambda index: (heads[index].drop, index))
        if heads[worst].drop == 0:
            break
        shown.remove(worst)
    return shown


def _least(head: Column, width: int) -> int:
    return min(width, head.flexible) if head.flexible else width
