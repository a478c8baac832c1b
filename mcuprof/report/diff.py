"""A diff of two models, as text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from mcuprof.budgets.diff import Change, Diff
from mcuprof.report.markdown import code_span, plain_text
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.table import Column, table
from mcuprof.units import format_ms

_PARTS = (("totals", "Totals"), ("tensors", "Tensors, bytes"), ("operators", "Operators, MACs"))
MAX_ROWS = 20


def text(diff: Diff, page: Page, limit: int | None = MAX_ROWS) -> str:
    """The totals, then the tensors and operators that changed, at most `limit` rows of each."""
    place = f"on {page.clean(diff.device)}" if diff.device else "without a device"
    words = [f"old  {page.clean(diff.old)}", f"new  {page.clean(diff.new)}", place]
    lines: list[Line] = [line(page.fit(each, page.width)) for each in words]
    for name, title in _PARTS:
        changes: tuple[Change, ...] = getattr(diff, name)
        lines += [line(), line(Piece(title, "strong"))]
        lines += _table(page, changes[:limit]) if changes else [line("  no change")]
        if limit is not None and len(changes) > limit:
            lines.append(line(Piece(f"  and {len(changes) - limit} more (-v shows all)", "dim")))
    return page.paint(lines)


def markdown(diff: Diff, page: Page) -> str:
    """The same as tables for a pull request, all rows."""
    place = f" on {code_span(page, diff.device)}" if diff.device else ""
    blocks = [f"{code_span(page, diff.old)} to {code_span(page, diff.new)}{place}"]
    for name, title in _PARTS:
        changes: tuple[Change, ...] = getattr(diff, name)
        rows = [f"| {plain_text(page, row[0].strip())} | {' | '.join(row[1:])} |" for row in map(_row, changes)]
        head = f"| {title} | old | new | change | |\n|---|---:|---:|---:|---:|\n"
        blocks.append(head + "\n".join(rows) if rows else f"{title}: no change")
    return page.own("\n\n".join(blocks) + "\n")


def _table(page: Page, changes: Iterable[Change]) -> list[Line]:
    heads = (
        Column("", flexible=12),
        Column("old", right=True, drop=2),
        Column("new", right=True, drop=1),
        Column("change", right=True),
        Column("", right=True, drop=3),
    )
    return table(page, heads, [(page.clean(name), *rest) for name, *rest in map(_row, changes)])


def _row(change: Change) -> tuple[str, str, str, str, str]:
    old, new, delta = change.old, change.new, change.delta
    if old is None or new is None:
        share = "" if old == new else "new" if old is None else "gone"
        if change.unit == "ms":  # a time is never new or gone, it is not known
            return change.name, _figure(change, old), _figure(change, new), "no data", ""
    else:
        share = f"{100 * delta / old:+.1f} %" if old and delta else ""
    sign = "+" if delta > 0 else "-" if delta < 0 else ""
    return change.name, _figure(change, old), _figure(change, new), sign + _figure(change, abs(delta)), share


def _figure(change: Change, value: float | None) -> str:
    if value is None:
        return "no data" if change.unit == "ms" else ""
    return format_ms(value) if change.unit == "ms" else f"{int(value):,}"
