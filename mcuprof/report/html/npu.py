"""What the model takes once compiled for the device's accelerator, and where each operator runs."""

from __future__ import annotations

import msgspec

from mcuprof.document import Npu, NpuOperator, Result
from mcuprof.report.html.markup import Markup, join, tag
from mcuprof.report.html.parts import Cell, Column, bar, facts, section, table
from mcuprof.report.pieces import host_words, npu_words
from mcuprof.units import format_bytes, format_count, format_ms


def npu(result: Result) -> Markup:
    """Facts, basis and a row for each operator; nothing for a device without an accelerator."""
    found = result.npu
    if isinstance(found, msgspec.UnsetType):
        return Markup()
    note = "Once compiled for it. The verdict is on the file as it is, which runs on the core."
    title = f"On the accelerator ({found.accelerator})"
    if found.ms is None:
        return section(title, tag("p", npu_words(found)), _doubts(found), note=note)
    return section(title, _facts(found), _basis(found), _doubts(found), _operators(found), note=note)


def _facts(found: Npu) -> Markup:
    assumed = " (assumed)" if found.clock_assumed else ""
    clock = f" at {found.clock_hz / 1e6:g} MHz{assumed}" if found.clock_hz is not None and found.low_ms is None else ""
    rows = [("time", f"{format_ms(found.ms or 0)}{clock}")]
    if found.low_ms is not None and found.high_ms is not None:
        rows.append(("band", f"{format_ms(found.low_ms)} to {format_ms(found.high_ms)}"))
    left = sum(each.place == "host" for each in found.operators)
    if found.operators:
        rows.append(("operators on it", f"{len(found.operators) - left} of {len(found.operators)}"))
    if left:
        rows.append(("left to the core", host_words(found)))
    if found.cycles is not None:
        rows.append(("cycles", format_count(found.cycles)))
    if found.sram_bytes is not None:
        rows.append(("SRAM", format_bytes(found.sram_bytes)))
    if found.weight_bytes is not None:
        rows.append(("weights, coded", format_bytes(found.weight_bytes)))
    rows += [(f"moved, {name}", format_bytes(count)) for name, count in found.traffic.items()]
    return facts(*rows)


def _basis(found: Npu) -> Markup:
    return tag("p", found.basis, class_="note")


def _doubts(found: Npu) -> Markup:
    if isinstance(found.doubts, msgspec.UnsetType):
        return Markup()
    return tag("p", tag("b", "Doubts: "), "; ".join(found.doubts), class_="note")


def _operators(found: Npu) -> Markup:
    if not found.operators:
        return Markup()
    heads = (
        Column("#", number=True),
        Column("operator"),
        Column("runs on"),
        Column("share"),
        Column("cycles", number=True, first="descending"),
        Column("limited by"),
        Column("basis"),
    )
    whole = max(sum(each.cycles or 0 for each in found.operators if each.place == "npu"), 1)
    rows = [
        (
            Cell(str(each.index), str(each.index)),
            Cell(each.operator, each.operator),
            Cell(each.place, each.place),
            _share(each, whole),
            Cell("no data") if each.cycles is None else Cell(f"{each.cycles:,}", str(each.cycles)),
            Cell("") if isinstance(each.bound, msgspec.UnsetType) else Cell(each.bound, each.bound),
            Cell(each.basis),
        )
        for each in found.operators
    ]
    return table("Operators on the accelerator and left to the core", heads, rows, sortable=True)


def _share(each: NpuOperator, whole: int) -> Cell:
    """Of the accelerator's cycles; those of the core have another clock."""
    if each.place != "npu" or each.cycles is None:
        return Cell("")
    return Cell(join(bar(("used", each.cycles), whole=whole), f" {100 * each.cycles / whole:.1f} %"), str(each.cycles))
