"""The flash bill: each item with its share and where its number comes from."""

from __future__ import annotations

from mcuprof.document import Result
from mcuprof.report.html.markup import Markup, join
from mcuprof.report.html.parts import Cell, Column, bar, section, table
from mcuprof.report.pieces import percent
from mcuprof.units import format_bytes


def flash(result: Result) -> Markup:
    """The items, largest first, and the total against what there is."""
    bill = result.flash
    whole = max(bill.total_bytes, 1)
    heads = (Column("item"), Column("bytes", number=True), Column("share"), Column("basis"))
    rows = [
        (
            Cell(item.name),
            Cell(f"{item.bytes:,}"),
            Cell(join(bar(("used", max(item.bytes, 0)), whole=whole), f" {percent(item.bytes, whole)}")),
            Cell(item.basis),
        )
        for item in sorted(bill.items, key=lambda item: (-item.bytes, item.name))
    ]
    lower = any(finding.code == "F203" for finding in result.verdict.findings)
    note = ("At least " if lower else "") + format_bytes(bill.total_bytes)
    if bill.capacity_bytes is not None:
        note += f" of {format_bytes(bill.capacity_bytes)}, {percent(bill.total_bytes, bill.capacity_bytes)}"
    return section("Flash bill", table("Flash bill", heads, rows) if rows else "", note=note + ".")
