"""The roofline's section of the long text report: precisions, ceilings, and where each operator lies."""

from __future__ import annotations

import msgspec

from mcuprof.cost_document import Arithmetic, OperatorWork
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import ceiling_name, precision_words, prose
from mcuprof.report.table import Column, table
from mcuprof.units import format_bytes, format_count

NO_DATA = "no data"


def arithmetic_section(page: Page, work: Arithmetic | msgspec.UnsetType) -> list[Line]:
    """Bit operations by precision, bytes moved, ceilings, and a row for each operator with MACs."""
    if isinstance(work, msgspec.UnsetType):
        return []
    rows = [row for row in work.operators if row.macs > 0]
    if not rows:
        return []
    lines = prose(page, "BOPs", f"{format_count(work.bops)}; {precision_words(work)}")
    moved = "" if work.bytes_per_cycle is None else f", {work.bytes_per_cycle:g} B a cycle"
    lines += prose(page, "moved", f"at least {format_bytes(work.bytes_moved)}{moved}; {work.bandwidth_basis}")
    most = [f"{ceiling_name(each, work)} {each.macs_per_cycle:.3g}" for each in work.ceilings]
    lines += prose(page, "at most", f"{', '.join(most)} MACs a cycle" if most else NO_DATA)
    heads = [
        Column("#", right=True),
        Column("operator", flexible=18),
        Column("bits", right=True, drop=3),
        Column("MACs/byte", right=True),
        Column("MACs/cycle", right=True, drop=1),
        Column("of ceiling", right=True, drop=2),
        Column("limited by", drop=4),
        Column("BOPs", right=True, drop=5),
    ]
    cells = [_cells(page, row) for row in rows]
    # A column without a figure says nothing that the lines above do not say.
    told = [index for index in range(len(heads)) if any(row[index] != NO_DATA for row in cells)]
    shown = table(page, [heads[index] for index in told], [[row[index] for index in told] for row in cells])
    return [line(Piece("Roofline", "strong")), *lines, *shown]


def _cells(page: Page, row: OperatorWork) -> tuple[str, ...]:
    return (
        str(row.index),
        page.clean(row.operator),
        "" if row.weight_bits is None else f"{row.activation_bits}x{row.weight_bits}",
        _figure(row.macs_per_byte),
        _figure(row.macs_per_cycle),
        NO_DATA if row.of_ceiling is None else f"{100 * row.of_ceiling:.0f} %",
        row.bound or NO_DATA,
        format_count(row.bops),
    )


def _figure(value: float | None) -> str:
    return NO_DATA if value is None else f"{value:.3g}"
