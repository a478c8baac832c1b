"""The roofline: MACs per cycle of every operator over its MACs per byte, under what core and kernels can do at most."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mcuprof.cost_document import Arithmetic, OperatorWork
from mcuprof.document import Result
from mcuprof.report.html.loglog import Frame, Guide, Point, drawable, plot
from mcuprof.report.html.markup import Markup, join, tag
from mcuprof.report.html.parts import MAX_ROWS, Cell, Column, section, table
from mcuprof.report.pieces import ceiling_name, precision_words
from mcuprof.units import format_bytes, format_count


def roofline(result: Result) -> Markup:
    """Plot and table; nothing where the document has no operator's arithmetic or the model no MACs."""
    work = result.arithmetic
    if isinstance(work, msgspec.UnsetType):
        return Markup()
    rows = [row for row in work.operators if row.macs > 0]
    if not rows:
        return Markup()
    note = (
        f"{format_count(work.bops)} bit operations an inference: {precision_words(work)}. "
        f"At least {format_bytes(work.bytes_moved)} moved."
    )
    return section("Roofline", _plot(work, rows), _said(work), _table(rows), note=note)


def _plot(work: Arithmetic, rows: Sequence[OperatorWork]) -> Markup:
    points = [
        Point(row.macs_per_byte or 0, row.macs_per_cycle or 0, f"{row.index} {row.operator}: {_words(row)}")
        for row in rows[:MAX_ROWS]
        if drawable(row.macs_per_byte) and drawable(row.macs_per_cycle)
    ]
    if not points:
        return tag("p", "No plot: no cycles are known for these operators.", class_="note")
    lines = [each for each in work.ceilings if drawable(each.macs_per_cycle)]
    levels = [each.macs_per_cycle for each in lines]
    guides = [Guide(each.macs_per_cycle, 0, f"{ceiling_name(each, work)}: {each.macs_per_cycle:.3g}") for each in lines]
    if work.bytes_per_cycle is not None and drawable(work.bytes_per_cycle):
        guides.append(Guide(work.bytes_per_cycle, 1, f"{work.bytes_per_cycle:g} B a cycle"))
    label = "MACs a cycle over MACs a byte, one point an operator"
    return plot(points, guides, Frame.around(points, levels), label, lambda exponent: f"{10.0**exponent:g}")


def _words(row: OperatorWork) -> str:
    return f"{row.macs_per_byte:.3g} MACs a byte, {row.macs_per_cycle:.3g} MACs a cycle"


def _said(work: Arithmetic) -> Markup:
    words = "Up: MACs a cycle. Right: MACs a byte moved. Dashed: the most that core and kernels can do. "
    if work.bytes_per_cycle is None:
        words += f"Whether memory limits an operator is not said: {work.bandwidth_basis}."
    reasons = [tag("div", tag("dt", ceiling_name(each, work)), tag("dd", each.basis)) for each in work.ceilings]
    reasons += [
        tag("div", tag("dt", "bandwidth"), tag("dd", work.bandwidth_basis)),
        tag("div", tag("dt", "figures"), tag("dd", work.basis)),
    ]
    why = tag("details", tag("summary", "Basis of the lines and figures"), tag("dl", *reasons), class_="note")
    return join(tag("p", words, class_="note"), why)


def _table(rows: Sequence[OperatorWork]) -> Markup:
    limited = any(row.bound is not None for row in rows)
    heads = [
        Column("#", number=True),
        Column("operator"),
        Column("MACs a byte", number=True, first="descending"),
        Column("MACs a cycle", number=True, first="descending"),
        Column("of lowest line", number=True, first="descending"),
        *([Column("limited by")] if limited else []),
        Column("bits", number=True),
        Column("BOPs", number=True, first="descending"),
        Column("bytes moved", number=True, first="descending"),
    ]
    body = [
        [
            Cell(str(row.index), str(row.index)),
            Cell(row.operator, row.operator),
            _figure(row.macs_per_byte),
            _figure(row.macs_per_cycle),
            _figure(row.of_ceiling, percent=True),
            *([Cell(row.bound or "no data", row.bound or "")] if limited else []),
            Cell(_bits(row), str(row.weight_bits or "")),
            Cell(f"{row.bops:,}", str(row.bops)),
            Cell(f"{row.bytes_moved:,}", str(row.bytes_moved)),
        ]
        for row in rows
    ]
    return table("Roofline position of each operator with MACs", heads, body, sortable=True)


def _bits(row: OperatorWork) -> str:
    return "no data" if row.weight_bits is None else f"{row.activation_bits} x {row.weight_bits}"


def _figure(value: float | None, percent: bool = False) -> Cell:
    if value is None:
        return Cell("no data")
    return Cell(f"{100 * value:.0f} %" if percent else f"{value:.3g}", repr(value))
