"""Latency of one inference: instructions → cycles → ms, with the band of `costs/cycles.py`.

`device_db/VALIDATION.md` says which pairs of core, kernel set and runtime are covered and how far off they are on
networks that the fits had not seen. Where a runtime's own kernels were not counted, counts of CMSIS-NN's measure the
work and no instructions are given. The first inference costs more where a model has CALL_ONCE; this is the later
ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from mcuprof.costs import cycles as cycles_
from mcuprof.costs.laws import Count, LawBook, NoData, count, law_book, total
from mcuprof.document import Latency, OperatorCost
from mcuprof.graph import ABSENT, Graph, Op
from mcuprof.hardware.device import Core, Device
from mcuprof.ops import macs

# Operators whose constants are weights.
_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"})


@dataclass(frozen=True, slots=True)
class Work:
    """Instructions of one inference, the same on every device of a core: `on` turns them into time on one of them.

    `counted` is false where the instructions are of kernels that stand in for the runtime's own.
    """

    core: Core
    runtime: str
    kernels: str
    book: LawBook
    kinds: tuple[str, ...]
    macs: tuple[int, ...]
    weight_bytes: tuple[int, ...]
    counts: tuple[Count, ...]
    instructions: int | NoData
    counted: bool = True

    @property
    def per_inference(self) -> float:
        """Instructions of one inference that belong to no operator."""
        published = cycles_.anchor(self.core.id, self.kernels, self.runtime)
        return self.book.per_inference + (0.0 if isinstance(published, str) else published.per_inference)

    def on(self, device: Device, clock_hz: int | None = None) -> Latency:
        """Cycles and milliseconds with their band; `clock_hz` None means the device's own clock.

        Where only part is known the rest is None and `basis` says why: an operator without a cost law makes the total
        None.
        """
        clock = clock_hz or device.clock_hz
        anchor = self.anchor(device, sum(self.weight_bytes))
        rows = tuple(
            OperatorCost(
                index,
                kind,
                one.kernel,
                macs,
                one.instructions if self.counted else None,
                _cycles(anchor, one, weights, device.id),
                one.basis if self.counted else f"work of {self.book.core} with {self.book.kernels} kernels stands in",
            )
            for index, (kind, macs, weights, one) in enumerate(
                zip(self.kinds, self.macs, self.weight_bytes, self.counts, strict=True)
            )
        )
        if isinstance(self.instructions, NoData):
            return Latency(None, None, None, None, None, f"no data: {self.instructions.reason}", rows)
        book, counted = self.book, self.instructions if self.counted else None
        basis = f"instructions modelled: median error {book.median:.1%}, worst {book.worst:.1%} ({book.basis})"
        if not self.counted:
            basis = f"work as counted for {book.kernels} on {book.core}"
        if isinstance(anchor, str):
            return Latency(counted, None, None, None, None, f"{basis}; cycles: no data: {anchor}", rows)
        spent = self.cycles(anchor, device.id)
        if clock is None:
            return Latency(counted, spent, None, None, None, f"{basis}; ms: no data: the clock is not known", rows)
        ms, band = spent / clock * 1000, anchor.band_for(device.id, clock)
        return Latency(counted, spent, ms, ms / band, ms * band, f"{anchor.basis(device.id, clock)}; {basis}", rows)

    def anchor(self, device: Device, weights: int) -> cycles_.Anchor | str:
        """What turns these instructions into cycles on a device that keeps so many bytes of weights, or why nothing."""
        found = cycles_.anchor_of(device, self.core.id, self.kernels, self.runtime)
        if isinstance(found, str):
            return found
        return _outside(device, found, weights) or found

    def cycles(self, anchor: cycles_.Anchor, device: str) -> int:
        """Cycles of one inference under `anchor`. Raises TypeError where the instructions are not known."""
        if isinstance(self.instructions, NoData):
            raise TypeError(self.instructions.reason)
        operators = sum(
            anchor.weighted(one.kernel, one.instructions or 0, weights)
            for one, weights in zip(self.counts, self.weight_bytes, strict=True)
        )
        return anchor.cycles(operators + self.per_inference, device)


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
    own = _book(core, runtime, kernels)
    found = own if isinstance(own, LawBook) else _stand_in(core, runtime, kernels, own)
    if isinstance(found, NoData):
        return found
    book, ask = (found, count) if isinstance(found, LawBook) else found
    counts = [ask(graph, op, book) for op in graph.ops]
    return Work(
        core,
        runtime,
        kernels,
        book,
        tuple(op.kind for op in graph.ops),
        tuple(macs(graph, op) for op in graph.ops),
        tuple(weight_bytes(graph, op) for op in graph.ops),
        tuple(counts),
        total(graph, counts, book),
        counted=isinstance(own, LawBook),
    )


def latency(
    graph: Graph, device: Device, *, runtime: str, kernels: str, clock_hz: int | None = None
) -> Latency | NoData:
    """Instructions, cycles and milliseconds of one inference with the cost of every operator: `work`, then `on`."""
    found = work(graph, device.core, runtime=runtime, kernels=kernels)
    return found if isinstance(found, NoData) else found.on(device, clock_hz)


def weight_bytes(graph: Graph, op: Op) -> int:
    """Bytes of constants that an operator reads once or more in an inference; 0 for operators without weights."""
    if op.kind not in _WEIGHTED:
        return 0
    read = (graph.tensors[index] for index in op.inputs if index != ABSENT)
    return sum(tensor.nbytes for tensor in read if tensor.data is not None)


def _outside(device: Device, anchor: cycles_.Anchor, weights: int) -> str | None:
    """Why the measured boards say nothing of this device: weights in slower memory than theirs."""
    if anchor.calibrated or device.id in anchor.boards or not device.core.id.startswith("cortex-"):
        return None
    if device.flash_bytes is None and device.total_bytes("external-flash") is not None:
        return "this device reads weights from external flash, the measured ones from on-chip flash"
    if device.flash_bytes is not None and weights > device.flash_bytes:
        return "the weights do not fit the on-chip flash, and no latency from external memory was measured"
    return None


def _stand_in(
    core: Core, runtime: str, kernels: str, reason: NoData
) -> tuple[LawBook, Callable[[Graph, Op, LawBook], Count]] | NoData:
    """Laws that measured latencies of this pair were related to, and how to count with them."""
    if runtime == "tflm" and law_book(core.id, kernels) is not None:
        return reason  # counted, but for other options of this core
    anchor = cycles_.anchor(core.id, kernels, runtime)
    if isinstance(anchor, str):
        return reason if runtime == "tflm" else NoData(anchor)
    book = law_book(*anchor.work) if anchor.work else None
    return reason if book is None else (book, partial(count, rough=True) if anchor.rough else count)


def _book(core: Core, runtime: str, kernels: str) -> LawBook | NoData:
    if runtime != "tflm":
        return NoData(f"no instruction counts of the kernels of {runtime}")
    book = law_book(core.id, kernels)
    if book is None:
        return NoData(f"no instruction counts of {kernels} kernels on {core.name}")
    if kernels == "cmsis-nn" and book.simd == "dsp" and not core.dsp:
        return NoData(f"CMSIS-NN was counted on {book.core} with the DSP extension, which this {core.name} lacks")
    if kernels == "cmsis-nn" and book.simd == "mve" and not core.mve:
        return NoData(f"CMSIS-NN was counted on {book.core} with MVE, which this {core.name} lacks")
    return book


def _cycles(anchor: cycles_.Anchor | str, one: Count, weights: int, device: str) -> int | None:
    if isinstance(anchor, str) or one.instructions is None:
        return None
    return anchor.cycles(anchor.weighted(one.kernel, one.instructions, weights), device)
