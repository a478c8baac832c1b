"""Latency of one inference: instructions × cycles per instruction ÷ clock, with the band of `cost/cycles.py`.

Covered: TFLM with `reference` and `cmsis-nn` kernels on Cortex-M0, M0+, M3, M4, M7, M33, M55 and M85 for instructions;
cycles and milliseconds only for CMSIS-NN on M4, M7, M33 and M85. Held-out errors are in `device_db/VALIDATION.md`.
The first inference costs more than the ones after it where a model has CALL_ONCE; this is the later ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcuprof.cost import cycles as cycles_
from mcuprof.cost.laws import Count, LawBook, NoData, count, law_book, total
from mcuprof.document import Latency, OperatorCost
from mcuprof.graph import Graph, Op
from mcuprof.hardware.device import Core, Device
from mcuprof.ops import macs


@dataclass(frozen=True, slots=True)
class Work:
    """Instructions of one inference, the same on every device of a core: `on` turns them into time on one of them."""

    core: Core
    kernels: str
    book: LawBook
    kinds: tuple[str, ...]
    macs: tuple[int, ...]
    counts: tuple[Count, ...]
    instructions: int | NoData

    def on(self, device: Device, clock_hz: int | None = None) -> Latency:
        """Cycles and milliseconds with their band; `clock_hz` None means the device's own clock.

        Where only part is known the rest is None and `basis` says why: an operator without a cost law makes the total
        None.
        """
        clock = clock_hz or device.clock_hz
        anchor = cycles_.anchor_of(device, self.core.id, self.kernels)
        rows = tuple(
            OperatorCost(index, kind, one.kernel, macs, one.instructions, _cycles(anchor, one), one.basis)
            for index, (kind, macs, one) in enumerate(zip(self.kinds, self.macs, self.counts, strict=True))
        )
        if isinstance(self.instructions, NoData):
            return Latency(None, None, None, None, None, f"no data: {self.instructions.reason}", rows)
        book, counted = self.book, self.instructions
        basis = f"instructions modelled: median error {book.median:.1%}, worst {book.worst:.1%} ({book.basis})"
        if isinstance(anchor, str):
            return Latency(counted, None, None, None, None, f"{basis}; cycles: no data: {anchor}", rows)
        spent = self.cycles(anchor)
        if clock is None:
            return Latency(counted, spent, None, None, None, f"{basis}; ms: no data: the clock is not known", rows)
        ms, band = spent / clock * 1000, anchor.band_for(device.id, clock)
        return Latency(counted, spent, ms, ms / band, ms * band, f"{anchor.basis(device.id, clock)}; {basis}", rows)

    def cycles(self, anchor: cycles_.Anchor) -> int:
        """Cycles of one inference under `anchor`. Raises TypeError where the instructions are not known."""
        if isinstance(self.instructions, NoData):
            raise TypeError(self.instructions.reason)
        corrections = (
            (anchor.factors[one.kernel] - 1) * ((one.instructions or 0) + anchor.per_operator)
            for one in self.counts
            if one.kernel in anchor.factors
        )
        return anchor.cycles(self.instructions + sum(corrections), len(self.counts))


def work(
    graph: Graph,
    core: Core,
    *,
    runtime: str,
    kernels: str,
    count: Callable[[Graph, Op, LawBook], Count] = count,
    macs: Callable[[Graph, Op], int] = macs,
) -> Work | NoData:
    """Instructions of every operator of `graph`. NoData when nothing at all is known of this core and kernel set.

    `count` and `macs` are asked once per operator; a caller with many graphs may pass ones that remember.
    """
    book = _book(core, runtime, kernels)
    if isinstance(book, NoData):
        return book
    counts = [count(graph, op, book) for op in graph.ops]
    return Work(
        core,
        kernels,
        book,
        tuple(op.kind for op in graph.ops),
        tuple(macs(graph, op) for op in graph.ops),
        tuple(counts),
        total(graph, counts, book),
    )


def latency(
    graph: Graph, device: Device, *, runtime: str, kernels: str, clock_hz: int | None = None
) -> Latency | NoData:
    """Instructions, cycles and milliseconds of one inference with the cost of every operator: `work`, then `on`."""
    found = work(graph, device.core, runtime=runtime, kernels=kernels)
    return found if isinstance(found, NoData) else found.on(device, clock_hz)


def _book(core: Core, runtime: str, kernels: str) -> LawBook | NoData:
    if runtime != "tflm":
        return NoData(f"latency is modelled for the runtime tflm, not for {runtime}")
    book = law_book(core.id, kernels)
    if book is None:
        return NoData(f"no instruction counts of {kernels} kernels on {core.name}")
    if kernels == "cmsis-nn" and book.simd == "dsp" and not core.dsp:
        return NoData(f"CMSIS-NN was counted on {book.core} with the DSP extension, which this {core.name} lacks")
    if kernels == "cmsis-nn" and book.simd == "mve" and not core.mve:
        return NoData(f"CMSIS-NN was counted on {book.core} with MVE, which this {core.name} lacks")
    return book


def _cycles(anchor: cycles_.Anchor | str, one: Count) -> int | None:
    if isinstance(anchor, str) or one.instructions is None:
        return None
    return round(anchor.factors.get(one.kernel, 1.0) * anchor.cycles(one.instructions))
