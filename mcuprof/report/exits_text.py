"""The section of the long text report for networks with early exits."""

from __future__ import annotations

import msgspec

from mcuprof.cost_document import Exits
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import prose
from mcuprof.report.table import Column, table
from mcuprof.units import format_count, format_ms


def exits_section(page: Page, found: Exits | msgspec.UnsetType) -> list[Line]:
    """A row for each exit, the cheapest first, and one for an inference on average."""
    if isinstance(found, msgspec.UnsetType):
        return []
    heads = (
        Column("exit", flexible=18),
        Column("rate", right=True),
        Column("operators", right=True, drop=3),
        Column("MACs", right=True, drop=1),
        Column("cycles", right=True, drop=2),
        Column("time", right=True),
        Column("band", right=True, drop=4),
    )
    rows = [
        (
            page.clean(each.output),
            f"{100 * each.rate:.3g} %",
            str(each.operators),
            format_count(each.macs),
            amount(each.cycles),
            time(each.ms),
            band(each.low_ms, each.high_ms),
        )
        for each in found.exits
    ]
    mean = (amount(found.macs), amount(found.cycles), time(found.ms), band(found.low_ms, found.high_ms))
    rows.append(("on average", "", "", *mean))
    return [line(Piece("Early exits", "strong")), *table(page, heads, rows), *prose(page, "basis", found.basis)]


def amount(value: float | None) -> str:
    """A count, or that there is none."""
    return "no data" if value is None else format_count(round(value))


def time(ms: float | None) -> str:
    """Milliseconds, or that there are none."""
    return "no data" if ms is None else format_ms(ms)


def band(low: float | None, high: float | None) -> str:
    """From when to when."""
    return "no data" if low is None or high is None else f"{format_ms(low)} to {format_ms(high)}"
