"""The front of arena and work that splitting offers: a small table in which the arena is drawn as a bar."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import prose
from mcuprof.report.table import Column, table
from mcuprof.split_document import SplitFront, SplitRegion
from mcuprof.units import format_ms

BAR = 20
ROWS = 12


def split_section(page: Page, front: SplitFront | msgspec.UnsetType) -> list[Line]:
    """The front as a section of the long report; nothing where nobody asked."""
    if isinstance(front, msgspec.UnsetType):
        return []
    title = "Split (mcuprof plan --split): smallest arena against work"
    heading = [line(Piece(part, "strong")) for part in page.wrap(title, page.width, page.width)]
    return [*heading, *front_lines(page, front)]


def front_lines(page: Page, front: SplitFront, chosen: int | None = None) -> list[Line]:
    """The table, smallest work first; where there are more than ROWS points some in between are left out.

    The point of this index is marked as the chosen one.
    """
    rows = front.points
    shown = _thinned(len(rows), chosen)
    most = max(1, max((row.arena_bytes for row in rows), default=1))
    heads = [
        Column(""),
        Column("arena", right=True),
        Column("work", right=True),
        *([Column("ms", right=True, drop=1)] if any(rows[number].ms is not None for number in shown) else []),
        Column("", drop=2),
        Column("operators × stripes", flexible=12, drop=3),
    ]
    times = len(heads) == 6
    cells = [
        [
            ("→" if page.unicode else ">") if number == chosen else " ",
            f"{row.arena_bytes:,} B",
            f"{100 * row.work:+.1f} %",
            *([format_ms(row.ms) if row.ms is not None else "no data"] if times else []),
            _bar(row.arena_bytes, most, page.unicode),
            regions_text(row.regions),
        ]
        for number, row in enumerate(rows)
        if number in shown
    ]
    note = prose(page, "", f"ms: {front.ms_reason}", limit=None) if front.ms_reason else []
    return [*table(page, heads, cells), *note]


def regions_text(regions: Sequence[SplitRegion]) -> str:
    """Such as `0-3×4, 5-6×2c`: operators, and in how many stripes or (c) channel groups they run."""
    parts = [
        f"{each.first}{'' if each.first == each.last else f'-{each.last}'}×{each.parts}"
        f"{'c' if each.of == 'channels' else ''}"
        for each in regions
    ]
    return ", ".join(parts) or "as it is"


def _bar(part: int, most: int, unicode: bool) -> str:
    cells = max(1, round(BAR * part / most))
    return ("█" if unicode else "#") * cells + " " * (BAR - cells)


def _thinned(count: int, chosen: int | None) -> set[int]:
    if count <= ROWS:
        return set(range(count))
    kept = {round(number * (count - 1) / (ROWS - 1)) for number in range(ROWS)}
    return kept if chosen is None else kept | {chosen}
