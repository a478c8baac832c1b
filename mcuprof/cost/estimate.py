"""Latency of one inference: instructions × cycles per instruction ÷ clock, with the band of `cost/cycles.py`.

Covered: TFLM with `reference` and `cmsis-nn` kernels on Cortex-M0, M0+, M3, M4, M7, M33, M55 and M85 for instructions;
cycles and milliseconds only for CMSIS-NN on M4, M7, M33 and M85. Held-out errors are in `device_db/VALIDATION.md`.
The first inference costs more than the ones after it where a model has CALL_ONCE; this is the later ones.
"""

from __future__ import annotations

from mcuprof.cost import cycles as cycles_
from mcuprof.cost.laws import Count, LawBook, NoData, count, law_book, total
from mcuprof.document import Latency, OperatorCost
from mcuprof.graph import Graph
from mcuprof.hardware.device import Device
from mcuprof.ops import macs


def latency(
    graph: Graph, device: Device, *, runtime: str, kernels: str, clock_hz: int | None = None
) -> Latency | NoData:
    """Instructions, cycles and milliseconds of one inference with the cost of every operator.

    `clock_hz` None means the device's own clock. Where only part is known the rest is None and `basis` says why: an
    operator without a cost law makes the total None. NoData when nothing at all is known of this core and kernel set.
    """
    book = _book(device, runtime, kernels)
    if isinstance(book, NoData):
        return book
    clock = clock_hz or device.clock_hz
    counts = [count(graph, op, book) for op in graph.ops]
    anchor = cycles_.anchor(device.core.id, kernels)
    rows = tuple(
        OperatorCost(
            index,
            op.kind,
            one.kernel,
            macs(graph, op),
            one.instructions,
            _cycles(anchor, one),
            one.basis,
        )
        for index, (op, one) in enumerate(zip(graph.ops, counts, strict=True))
    )
    instructions = total(graph, counts, book)
    if isinstance(instructions, NoData):
        return Latency(None, None, None, None, None, f"no data: {instructions.reason}", rows)
    counted = f"instructions modelled: median error {book.median:.1%}, worst {book.worst:.1%} ({book.basis})"
    if isinstance(anchor, str):
        return Latency(instructions, None, None, None, None, f"{counted}; cycles: no data: {anchor}", rows)
    spent = anchor.cycles(instructions, len(graph.ops))
    if clock is None:
        return Latency(instructions, spent, None, None, None, f"{counted}; ms: no data: the clock is not known", rows)
    ms, band = spent / clock * 1000, anchor.band_for(device.id, clock)
    basis = f"{anchor.basis(device.id, clock)}; {counted}"
    return Latency(instructions, spent, ms, ms / band, ms * band, basis, rows)


def _book(device: Device, runtime: str, kernels: str) -> LawBook | NoData:
    if runtime != "tflm":
        return NoData(f"latency is modelled for the runtime tflm, not for {runtime}")
    book = law_book(device.core.id, kernels)
    if book is None:
        return NoData(f"no instruction counts of {kernels} kernels on {device.core.name}")
    if kernels == "cmsis-nn" and book.simd == "dsp" and not device.core.dsp:
        return NoData(
            f"CMSIS-NN was counted on {book.core} with the DSP extension, which this {device.core.name} lacks"
        )
    if kernels == "cmsis-nn" and book.simd == "mve" and not device.core.mve:
        return NoData(f"CMSIS-NN was counted on {book.core} with MVE, which this {device.core.name} lacks")
    return book


def _cycles(anchor: cycles_.Anchor | str, one: Count) -> int | None:
    return None if isinstance(anchor, str) or one.instructions is None else anchor.cycles(one.instructions)
