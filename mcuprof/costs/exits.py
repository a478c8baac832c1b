"""Networks with early exits: what an inference costs that stops at each output, and what it costs on average.

Exits are tried from the cheapest to the dearest, and one is only left for the next when its output did not do; so an
inference that stops at an exit has run everything that this exit and all before it need.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, isclose

from mcuprof.cost_document import Exit, Exits
from mcuprof.document import Latency
from mcuprof.errors import UsageError
from mcuprof.graph import Graph
from mcuprof.ops import macs

_BASIS = (
    "operators that an exit and all cheaper ones need; TFLM runs every operator of a file, so stopping takes one file "
    "for each stage"
)


def exits(graph: Graph, latency: Latency | None, rates: Sequence[float]) -> Exits:
    """Cost of stopping at each output and, with the share of inferences `rates` that stop there, of one on average.

    `rates` are in the order of the model's outputs and add up to 1. Raises UsageError where they cannot be right.
    """
    if len(graph.outputs) < 2:
        raise UsageError("the model has one output: exit rates are for models of several")
    if len(rates) != len(graph.outputs):
        names = ", ".join(graph.tensors[index].name for index in graph.outputs)
        raise UsageError(f"{len(rates)} exit rates for {len(graph.outputs)} outputs ({names})")
    if any(not 0 <= rate <= 1 for rate in rates) or not isclose(fsum(rates), 1.0, abs_tol=1e-6):
        raise UsageError(f"exit rates must lie between 0 and 1 and add up to 1, not {fsum(rates):g}")
    needed = [_needed(graph, output) for output in graph.outputs]
    cost = [sum(macs(graph, graph.ops[index]) for index in own) for own in needed]
    order = sorted(range(len(needed)), key=lambda k: (cost[k], len(needed[k]), k))
    ran: frozenset[int] = frozenset()
    rows = []
    for k in order:
        ran |= needed[k]
        rows.append(_exit(graph, latency, graph.tensors[graph.outputs[k]].name, rates[k], _with_state(graph, ran)))
    return Exits(
        exits=tuple(rows),
        macs=fsum(row.rate * row.macs for row in rows),
        instructions=_mean([(row.rate, row.instructions) for row in rows]),
        cycles=_mean([(row.rate, row.cycles) for row in rows]),
        ms=_mean([(row.rate, row.ms) for row in rows]),
        low_ms=_mean([(row.rate, row.low_ms) for row in rows]),
        high_ms=_mean([(row.rate, row.high_ms) for row in rows]),
        basis=_BASIS,
    )


def _needed(graph: Graph, output: int) -> frozenset[int]:
    """Operators that a tensor depends on."""
    found: set[int] = set()
    waiting = [output]
    while waiting:
        index = graph.producer.get(waiting.pop())
        if index is not None and index not in found:
            found.add(index)
            waiting += [tensor for tensor in graph.ops[index].inputs if tensor >= 0]
    return frozenset(found)


def _with_state(graph: Graph, ran: frozenset[int]) -> frozenset[int]:
    """With operators that give no tensor but keep state, once all that they read is there; handles always are."""
    found = set(ran)
    for index, op in enumerate(graph.ops):
        read = {graph.producer[tensor] for tensor in op.inputs if tensor in graph.producer}
        handles = {producer for producer in read if not graph.ops[producer].inputs}
        if not op.outputs and read - handles <= ran:
            found |= {index, *handles}
    return frozenset(found)


def _exit(graph: Graph, latency: Latency | None, name: str, rate: float, ran: frozenset[int]) -> Exit:
    count = sum(macs(graph, graph.ops[index]) for index in ran)
    if latency is None:
        return Exit(name, rate, len(ran), count, None, None, None, None, None)
    left = [row for row in latency.operators if row.index not in ran]
    instructions = _less(latency.instructions, [row.instructions for row in left])
    cycles = _less(latency.cycles, [row.cycles for row in left])
    share = cycles / latency.cycles if latency.cycles and cycles is not None else None
    times = (latency.ms, latency.low_ms, latency.high_ms)
    ms, low, high = (None if share is None or time is None else share * time for time in times)
    return Exit(name, rate, len(ran), count, instructions, cycles, ms, low, high)


def _less(total: int | None, left: list[int | None]) -> int | None:
    """The total without the operators that are not run: what belongs to no operator every inference spends."""
    if total is None or None in left:
        return None
    return total - sum(one or 0 for one in left)


def _mean(rows: Sequence[tuple[float, float | None]]) -> float | None:
    if any(value is None for _, value in rows):
        return None
    return fsum(rate * (value or 0) for rate, value in rows)
