"""Early exits: what an inference costs that stops at each, and on average."""

from __future__ import annotations

import msgspec

from mcuprof.document import Result
from mcuprof.report.exits_text import amount, band, time
from mcuprof.report.html.markup import Markup
from mcuprof.report.html.parts import Cell, Column, bar, section, table


def exits(result: Result) -> Markup:
    """A table; nothing where no rates were given."""
    found = result.exits
    if isinstance(found, msgspec.UnsetType):
        return Markup()
    heads = (
        Column("exit"),
        Column("rate", number=True),
        Column("operators", number=True),
        Column("MACs", number=True),
        Column("share of MACs"),
        Column("cycles", number=True),
        Column("time", number=True),
        Column("band", number=True),
    )
    whole = max([each.macs for each in found.exits], default=0)
    rows = [
        (
            Cell(each.output),
            Cell(f"{100 * each.rate:.3g} %"),
            Cell(f"{each.operators:,}"),
            Cell(amount(each.macs)),
            Cell(bar(("used", each.macs), whole=whole)),
            Cell(amount(each.cycles)),
            Cell(time(each.ms)),
            Cell(band(each.low_ms, each.high_ms)),
        )
        for each in found.exits
    ]
    mean = (Cell(amount(found.macs)), Cell(bar(("used", found.macs), whole=whole)), Cell(amount(found.cycles)))
    times = (Cell(time(found.ms)), Cell(band(found.low_ms, found.high_ms)))
    rows.append((Cell("on average"), Cell(""), Cell(""), *mean, *times))
    note = f"{found.basis[:1].upper()}{found.basis[1:]}."
    return section("Early exits", table("Early exits", heads, rows), note=note)
