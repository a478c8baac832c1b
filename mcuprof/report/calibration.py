"""What `mcuprof calibrate` found, as text."""

from __future__ import annotations

from collections.abc import Iterable

from mcuprof.calibration import Row
from mcuprof.hardware import Calibration
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import prose
from mcuprof.report.table import Column, table
from mcuprof.units import format_ms

_HEADS = (
    Column("model", flexible=12),
    Column("measured", right=True),
    Column("fitted", right=True, drop=2),
    Column("held out", right=True, drop=1),
    Column("error", right=True),
)


def lines(page: Page, own: Calibration, prior_cpi: float | None, rows: Iterable[Row], target: str) -> list[Line]:
    """The factor beside the one known before, the runs with their held-out errors, and where it is stored."""
    before = "nothing published before" if prior_cpi is None else f"published: {prior_cpi:.3g}"
    e = f"{own.instructions_per_operator:,.0f} instructions more per operator"
    word = Piece("CALIBRATED", "good")
    found = [line(word, f"  {page.fit(page.clean(target), page.width - len(word.text) - 2)}")]
    found += prose(page, "core", f"{own.core}, {own.kernels} kernels at {own.clock_hz / 1e6:g} MHz")
    found += prose(page, "cycles", f"{own.cpi:.3g} per instruction ({before}), {e}")
    if own.error_median is None or own.error_worst is None:
        error = "one model only: nothing to hold out"
    else:
        error = f"median {own.error_median:.1%}, worst {own.error_worst:.1%} on models the fit had not seen"
    found += prose(page, "error", error)
    band = f"estimates / {own.band:.2f} to × {own.band:.2f}; at another clock {own.band_elsewhere:.2f}"
    found += prose(page, "band", band)
    if own.factors:
        words = ", ".join(f"{kernel} {factor:.2f}" for kernel, factor in own.factors.items())
        found += prose(page, "classes", words, limit=None)
    cells = [_cells(page, row) for row in rows]
    return [*found, line(), *table(page, _HEADS, cells)]


def _cells(page: Page, row: Row) -> tuple[str, ...]:
    judged = row.fitted_ms if row.held_out_ms is None else row.held_out_ms
    held_out = "-" if row.held_out_ms is None else format_ms(row.held_out_ms)
    error = f"{judged / row.measured_ms - 1:+.1%}"
    return page.clean(row.model), format_ms(row.measured_ms), format_ms(row.fitted_ms), held_out, error
