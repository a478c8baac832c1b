"""The front of arena and work that splitting offers: a small table in which the arena is drawn as a bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcuprof.report.page import Line, Page
from mcuprof.report.table import Column, table
from mcuprof.units import format_ms

BAR = 20
ROWS = 12


@dataclass(frozen=True, slots=True)
class FrontRow:
    """One point: arena in bytes, work as a fraction of the network's MACs, ms where known, what is split, and whether
    it is the one that was chosen.
    """

    bytes: int
    work: float
    ms: float | None
    regions: str
    chosen: bool


def front_lines(page: Page, rows: Sequence[FrontRow]) -> list[Line]:
    """The table, smallest work first; where there are more than ROWS points some in between are left out."""
    shown = _thinned(rows)
    most = max((row.bytes for row in shown), default=1)
    heads = [
        Column(""),
        Column("arena", right=True),
        Column("work", right=True),
        *([Column("ms", right=True, drop=1)] if any(row.ms is not None for row in shown) else []),
        Column("", drop=2),
        Column("operators × stripes", flexible=12, drop=3),
    ]
    times = len(heads) == 6
    cells = [
        [
            ("→" if page.unicode else ">") if row.chosen else " ",
            f"{row.bytes:,} B",
            f"{100 * row.work:+.1f} %",
            *([format_ms(row.ms) if row.ms is not None else "no data"] if times else []),
            _bar(row.bytes, most, page.unicode),
            row.regions,
        ]
        for row in shown
    ]
    return table(page, heads, cells)


def _bar(part: int, most: int, unicode: bool) -> str:
    cells = max(1, round(BAR * part / most))
    return ("█" if unicode else "#") * cells + " " * (BAR - cells)


def _thinned(rows: Sequence[FrontRow]) -> list[FrontRow]:
    if len(rows) <= ROWS:
        return list(rows)
    kept = {round(number * (len(rows) - 1) / (ROWS - 1)) for number in range(ROWS)}
    kept |= {number for number, row in enumerate(rows) if row.chosen}
    return [row for number, row in enumerate(rows) if number in kept]
