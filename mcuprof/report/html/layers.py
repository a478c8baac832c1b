"""Cost per operator: where the time goes by kind, cycles against MACs, and every operator in a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mcuprof.document import Latency, OperatorCost, Result
from mcuprof.report.html.loglog import Frame, Guide, Point, plot
from mcuprof.report.html.markup import Markup, join, tag
from mcuprof.report.html.parts import MAX_ROWS, Cell, Column, bar, section, table
from mcuprof.units import format_count

_UNITS = {"cycles": "cycles", "instructions": "instructions", "macs": "MACs"}


def layers(result: Result) -> Markup:
    """All of it; nothing where the document has no operator costs."""
    latency = result.latency
    if latency is None or not latency.operators:
        return Markup()
    by = _measure(latency)
    note = f"Shares are of {_UNITS[by]}."
    above = tag("div", _kinds(latency.operators, by), _scatter(latency.operators), class_="columns")
    return section("Cost of each operator", above, _table(latency.operators, by), note=note)


def _measure(latency: Latency) -> str:
    """What shares are taken of: the best figure that is known of every operator."""
    return next(name for name in _UNITS if all(getattr(cost, name) is not None for cost in latency.operators))


def _value(cost: OperatorCost, by: str) -> int:
    return max(int(getattr(cost, by)), 0)


def _kinds(costs: Sequence[OperatorCost], by: str) -> Markup:
    """One bar a kind of operator, the costliest first."""
    totals: dict[str, int] = {}
    for cost in costs:
        totals[cost.operator] = totals.get(cost.operator, 0) + _value(cost, by)
    whole = sum(totals.values())
    if whole <= 0:
        return Markup()
    ranked = sorted(totals.items(), key=lambda entry: (-entry[1], entry[0]))
    heads = (Column("kind"), Column(_UNITS[by], number=True), Column("share"))
    rows = [(Cell(kind), Cell(format_count(value)), Cell(_share(value, whole))) for kind, value in ranked]
    return tag("div", tag("h3", "By kind"), table("Cost by kind of operator", heads, rows))


def _share(value: int, whole: int) -> Markup:
    return join(bar(("used", value), whole=whole), f" {100 * value / whole:.1f} %")


def _scatter(costs: Sequence[OperatorCost]) -> Markup:
    """Cycles over MACs on logarithmic axes; operators on one diagonal take the same cycles a MAC."""
    shown = [cost for cost in costs[:MAX_ROWS] if cost.macs > 0 and (cost.cycles or 0) > 0]
    if len(shown) < 2:
        return Markup()
    points = [_point(cost, cost.cycles or 0) for cost in shown]
    ratios = [math.log10(point.y) - math.log10(point.x) for point in points]
    powers = range(math.floor(min(ratios)), math.ceil(max(ratios)) + 1)
    guides = [Guide(10.0**power, 1, f"{10.0**power:g} a MAC") for power in powers]
    label = "Cycles against MACs, one point an operator"
    figure = plot(points, guides, Frame.around(points), label, lambda exponent: format_count(10**exponent))
    note = tag("p", "Dashed: equal cycles a MAC. Points further up and left are the inefficient ones.", class_="note")
    return tag("div", tag("h3", "Cycles against MACs"), figure, note)


def _point(cost: OperatorCost, cycles: int) -> Point:
    rate = f"{cycles / cost.macs:.3g} cycles a MAC"
    return Point(cost.macs, cycles, f"{cost.index} {cost.operator}: {cost.macs:,} MACs, {cycles:,} cycles, {rate}")


def _table(costs: Sequence[OperatorCost], by: str) -> Markup:
    heads = (
        Column("#", number=True),
        Column("operator"),
        Column("share", first="descending"),
        Column("cycles", number=True, first="descending"),
        Column("MACs", number=True, first="descending"),
        Column("instructions", number=True, first="descending"),
        Column("kernel"),
        Column("basis"),
    )
    whole = sum(_value(cost, by) for cost in costs)
    reasons = list(dict.fromkeys(cost.basis for cost in costs))
    letters = {reason: _letter(index) for index, reason in enumerate(reasons)}
    rows = [
        (
            Cell(str(cost.index), str(cost.index)),
            Cell(cost.operator, cost.operator),
            Cell(_share(_value(cost, by), whole) if whole > 0 else "", str(_value(cost, by))),
            _count(cost.cycles),
            _count(cost.macs),
            _count(cost.instructions),
            Cell(cost.kernel, cost.kernel),
            Cell(tag("abbr", letters[cost.basis], title=cost.basis), letters[cost.basis]),
        )
        for cost in costs
    ]
    legend = [tag("div", tag("dt", letters[reason]), tag("dd", reason)) for reason in reasons[:MAX_ROWS]]
    notes = tag("details", tag("summary", "Basis of each figure"), tag("dl", *legend), class_="note")
    return join(table("Cost of each operator", heads, rows, sortable=True), notes)


def _letter(index: int) -> str:
    """a, b, … z, aa, ab …"""
    return (_letter(index // 26 - 1) if index >= 26 else "") + "abcdefghijklmnopqrstuvwxyz"[index % 26]


def _count(value: int | None) -> Cell:
    return Cell("no data") if value is None else Cell(f"{value:,}", str(value))
