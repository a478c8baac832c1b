"""The accelerator's section of the long text report: where each operator runs, and what that takes."""

from __future__ import annotations

import msgspec

from mcuprof.document import Npu, NpuOperator
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import npu_words, prose
from mcuprof.report.table import Column, table
from mcuprof.units import format_bytes, format_count


def npu_section(page: Page, npu: Npu | msgspec.UnsetType) -> list[Line]:
    """Time, basis, memories and operators; nothing for a device without an accelerator."""
    if isinstance(npu, msgspec.UnsetType):
        return []
    lines = prose(page, "time", npu_words(npu))
    if npu.ms is not None:
        lines += prose(page, "basis", npu.basis, limit=None)
    if not isinstance(npu.doubts, msgspec.UnsetType):
        lines += prose(page, "doubts", "; ".join(npu.doubts))
    if npu.cycles is not None:
        lines += prose(page, "count", f"{format_count(npu.cycles)} cycles of the accelerator")
    if npu.weight_bytes is not None:
        lines += prose(page, "weights", f"{format_bytes(npu.weight_bytes)} coded, scales and biases included")
    if npu.traffic:
        moved = ", ".join(f"{format_bytes(count)} {name}" for name, count in npu.traffic.items())
        lines += prose(page, "moved", moved)
    heads = (
        Column("#", right=True),
        Column("operator", flexible=18),
        Column("runs on"),
        Column("cycles", right=True, drop=1),
        Column("limited by", drop=3),
        Column("basis", flexible=24, drop=2),
    )
    rows = [
        (
            str(each.index),
            page.clean(each.operator),
            each.place,
            _cost(each),
            "" if isinstance(each.bound, msgspec.UnsetType) else each.bound,
            page.clean(each.basis),
        )
        for each in npu.operators
    ]
    return [line(Piece("On the accelerator", "strong")), *lines, *(table(page, heads, rows) if rows else [])]


def _cost(each: NpuOperator) -> str:
    if each.cycles is not None:
        return format_count(each.cycles)
    return "no data" if each.instructions is None else f"{format_count(each.instructions)} instr."
