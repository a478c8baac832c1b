"""Runs a plan on the numbers of bytes instead of their values: who overwrites what is still needed?

The arena holds, per byte, the number of what was put there last (see `contents.py`). Every operator must find the
numbers of all bytes that it really reads; what it writes replaces what was there, and so does its scratch. An operator
that copies bytes onto themselves neither reads nor writes. Where an output lies on an input, the kernel's own rule
decides.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mcuprof.graph import Op
from mcuprof.memory.contents import Contents
from mcuprof.memory.facts import Facts

_NOTHING = -1
_SCRATCH = -2
Span = tuple[int, int]


def replay(facts: Facts, contents: Contents) -> Iterator[str]:
    """What goes wrong, one sentence each, in the order of the plan. Every tensor has an offset."""
    arena = np.full(max((span[1] for span in _spans(facts)), default=0), _NOTHING, np.int64)
    for tensor in contents.new:
        if tensor not in facts.writer:
            _put(facts, contents, arena, tensor)
    for number in facts.plan.order:
        op = facts.graph.ops[number]
        who = f"operator {number} ({op.kind})"
        blocks = [(offset, offset + size) for offset, size in facts.plan.scratch[number]]
        for low, high in blocks:
            arena[low:high] = _SCRATCH
        for tensor, start, count in contents.read(op):
            yield from _get(facts, contents, arena, tensor, start, count, who)
        yield from _clashes(facts, contents, number, op, who, blocks)
        for tensor in op.outputs:
            if tensor in contents.new:
                _put(facts, contents, arena, tensor)
    for tensor in sorted(facts.leaving & contents.runs.keys()):
        yield from _get(facts, contents, arena, tensor, 0, facts.graph.tensors[tensor].nbytes, "the caller")


def _spans(facts: Facts) -> Iterator[Span]:
    for tensor in facts.tensors:
        yield _span(facts, tensor, 0, facts.graph.tensors[tensor].nbytes)
    for blocks in facts.plan.scratch:
        yield from ((offset, offset + size) for offset, size in blocks)


def _span(facts: Facts, tensor: int, start: int, count: int) -> Span:
    offset = facts.plan.offsets[tensor]
    assert offset is not None, "offsets are checked first"
    return offset + start, offset + start + count


def _put(facts: Facts, contents: Contents, arena: np.ndarray, tensor: int) -> None:
    for start, number, count in contents.new[tensor]:
        low, high = _span(facts, tensor, start, count)
        arena[low:high] = np.arange(number, number + count)


def _get(
    facts: Facts, contents: Contents, arena: np.ndarray, tensor: int, start: int, count: int, who: str
) -> Iterator[str]:
    for at, number, length in contents.runs[tensor]:
        first, end = max(at, start), min(at + length, start + count)
        if first < end:
            low, high = _span(facts, tensor, first, end - first)
            wrong = arena[low:high] != np.arange(number + first - at, number + end - at)
            if wrong.any():
                name = facts.graph.tensors[tensor].name
                place = low + int(np.argmax(wrong))
                yield f"{who} reads tensor {name!r}, whose byte at {place} is not there (any more)"


def _clashes(facts: Facts, contents: Contents, number: int, op: Op, who: str, scratch: list[Span]) -> Iterator[str]:
    """Inputs, outputs and scratch of one operator that share bytes although its kernel does not allow it."""
    reads = [(tensor, start, _span(facts, tensor, start, count)) for tensor, start, count in contents.read(op)]
    writes = [
        (tensor, start, _span(facts, tensor, start, count))
        for tensor in op.outputs
        for start, _, count in contents.new.get(tensor, ())
    ]
    apart = [*scratch, *(span for _, _, span in writes)]
    for position, one in enumerate(apart):
        if any(_meet(one, other) for other in apart[:position]):
            yield f"{who} writes bytes at {one[0]} twice"
    for target, _, written in writes:
        for source, _, read in reads:
            if _meet(written, read) and not _allowed(facts, contents, number, source, target):
                name = facts.graph.tensors[source].name
                yield f"{who} writes over tensor {name!r} while it reads it"


def _meet(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _allowed(facts: Facts, contents: Contents, number: int, source: int, target: int) -> bool:
    share = facts.share(number, {source: 0}, facts.graph.ops[number].outputs.index(target))
    x, y = facts.plan.offsets[source], facts.plan.offsets[target]
    assert x is not None and y is not None, "offsets are checked first"
    if share is None:
        return False
    if share.mode == "below":
        return y + share.distance <= x
    wanted = len([size for size in facts.asked[number] if size])
    spare = [size for _, size in facts.plan.scratch[number][wanted:]]
    return x == y and (not share.scratch or max(spare, default=0) >= share.scratch)
