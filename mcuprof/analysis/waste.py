"""What the model carries that no output needs, as findings D6xx: the same rewrites that would take it away say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from mcuprof.document import Finding, Latency
from mcuprof.graph import Graph
from mcuprof.ops.dead import DeadCompute, dead_compute
from mcuprof.rewrites import cancel_pairs, fold_padding, remove_unused
from mcuprof.units import format_bytes
from mcuprof.writers.tflite_model import refusal

_PRUNE = "`mcuprof plan MODEL -o OUT` removes it, every output equal"
_EXPORT = "remove it when exporting the model"


@dataclass(frozen=True, slots=True)
class Waste:
    """Exact counts: operators that lead nowhere, that change nothing, PADs that SAME could replace, dead channels.

    `removable`: the model is one that can be written back.
    """

    unread: int
    idle: int
    paddings: int
    dead: DeadCompute
    removable: bool


def waste_of(graph: Graph) -> Waste:
    """Takes about as long as reading the model."""
    read = remove_unused(graph)
    busy = _settled(read)
    folded = remove_unused(fold_padding(busy))
    counts = [len(one.ops) for one in (graph, read, busy, folded)]
    unread, idle, paddings = (more - less for more, less in pairwise(counts))
    return Waste(unread, idle, paddings, dead_compute(graph), refusal(graph) is None)


def _settled(graph: Graph) -> Graph:
    """Without operators that change nothing, also those that only stand bare once others are gone."""
    while True:
        before = graph
        graph = remove_unused(cancel_pairs(graph))
        if graph is before:
            return graph


def findings(waste: Waste, latency: Latency | None) -> Iterator[Finding]:
    """One note per kind of waste. Milliseconds are the operators' own, scaled by the MACs that would go."""
    fix = _PRUNE if waste.removable else _EXPORT
    if waste.unread:
        yield Finding("D601", "note", f"{_operators(waste.unread)} no output of the model depends on", fix)
    if waste.idle:
        yield Finding("D604", "note", f"{_operators(waste.idle)} that change nothing", fix)
    if waste.paddings:
        yield Finding("D606", "note", f"{_operators(waste.paddings)} (PAD) that SAME padding could do for nothing", fix)
    dead = waste.dead
    if dead.dead_channels:
        channels = sum(row.channels for row in dead.operators)
        unused = dead.weights - dead.live_weights
        time = _milliseconds(dead, latency)
        text = (
            f"{dead.dead_channels:,} of {channels:,} output channels hold the same value for every input: "
            f"{dead.macs - dead.live_macs:,} of {dead.macs:,} MACs, {format_bytes(unused)} of weights"
            f"{f' and about {time:.3g} ms' if time else ''} are spent on them"
        )
        yield Finding("D605", "note", text, fix, unused)


def _operators(count: int) -> str:
    return f"{count} operator{'s' if count > 1 else ''}"


def _milliseconds(dead: DeadCompute, latency: Latency | None) -> float | None:
    """Time of the dead MACs if every MAC of an operator takes equally long; None where no time is known."""
    if latency is None or latency.ms is None or not latency.cycles:
        return None
    cycles = {row.index: row.cycles for row in latency.operators}
    gone = sum((cycles.get(row.index) or 0) * (1 - row.live_macs / row.macs) for row in dead.operators if row.macs)
    return latency.ms * gone / latency.cycles
