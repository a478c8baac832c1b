"""What changed between two versions of a model: totals, tensors, operators; increases first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Literal

import msgspec

from mcuprof.document import Result
from mcuprof.graph import Graph

Unit = Literal["bytes", "count", "ms"]
DIFF_VERSION = 1


class Change(msgspec.Struct, frozen=True):
    """One figure before and after; None where there is none: no such tensor or operator, or no data."""

    name: str
    unit: Unit
    old: float | None
    new: float | None

    @property
    def delta(self) -> float:
        """New minus old, what is not there counted as nothing."""
        return (self.new or 0) - (self.old or 0)


class Diff(msgspec.Struct, frozen=True):
    """Two models on one target. Tensors and operators are sorted: increases first, the largest first, then decreases,
    the largest first; what did not change is left out.
    """

    old: str
    new: str
    device: str | None
    totals: tuple[Change, ...]
    tensors: tuple[Change, ...]
    operators: tuple[Change, ...]
    schema_version: int = DIFF_VERSION


def diff(old: tuple[Graph, Result], new: tuple[Graph, Result], names: tuple[str, str]) -> Diff:
    """What changed from `old` to `new`, each a graph and its detailed analysis on the same target.

    Tensors are matched by name: arena buffers as `name`, constants as `name (weights)`. Operators are matched in
    order, by kind, as `diff` matches lines; their figure is MACs.
    """
    return Diff(
        old=names[0],
        new=names[1],
        device=new[1].target.device,
        totals=tuple(_totals(old[1], new[1])),
        tensors=tuple(_by_delta(_tensors(old, new))),
        operators=tuple(_by_delta(_operators(old[0], new[0]))),
    )


def _totals(old: Result, new: Result) -> Iterable[Change]:
    def latency(result: Result) -> float | None:
        return None if result.latency is None else result.latency.ms

    def ram(result: Result) -> int:
        return result.memory.min_arena_bytes + (result.memory.stack_bytes or 0)

    yield Change("RAM", "bytes", ram(old), ram(new))
    yield Change("arena", "bytes", old.memory.arena_bytes, new.memory.arena_bytes)
    yield Change("  head", "bytes", old.memory.head_bytes, new.memory.head_bytes)
    yield Change("  tail", "bytes", old.memory.tail_bytes, new.memory.tail_bytes)
    yield Change("flash", "bytes", old.flash.total_bytes, new.flash.total_bytes)
    yield Change("  model", "bytes", old.model.bytes, new.model.bytes)
    yield Change("latency", "ms", latency(old), latency(new))
    yield Change("MACs", "count", old.model.macs, new.model.macs)
    yield Change("operators", "count", old.model.operators, new.model.operators)


def _by_delta(changes: Iterable[Change]) -> list[Change]:
    found = [change for change in changes if change.delta or (change.old is None) != (change.new is None)]
    return sorted(found, key=lambda change: (change.delta <= 0, -abs(change.delta), change.name))


def _tensors(old: tuple[Graph, Result], new: tuple[Graph, Result]) -> Iterable[Change]:
    before, after = _sizes(*old), _sizes(*new)
    for name in {**before, **after}:
        yield Change(name, "bytes", before.get(name), after.get(name))


def _sizes(graph: Graph, result: Result) -> dict[str, int]:
    """Bytes by name; tensors of one name are added up, because files exist that name all of them alike."""
    sizes: Counter[str] = Counter()
    plan = result.memory.plan
    for buffer in () if isinstance(plan, msgspec.UnsetType) else plan:
        sizes[buffer.tensor] += buffer.bytes
    for part in (graph, *graph.subgraphs):
        for tensor in part.tensors:
            if tensor.is_constant:
                sizes[f"{tensor.name} (weights)"] += tensor.nbytes
    return dict(sizes)


def _operators(old: Graph, new: Graph) -> Iterable[Change]:
    from mcuprof.ops import macs

    for left, right in _matched([op.kind for op in old.ops], [op.kind for op in new.ops]):
        before = None if left is None else macs(old, old.ops[left])
        after = None if right is None else macs(new, new.ops[right])
        graph, index = (old, left) if right is None else (new, right)
        yield Change(_label(graph, index or 0), "count", before, after)


def _label(graph: Graph, index: int) -> str:
    op = graph.ops[index]
    name = graph.tensors[op.outputs[0]].name if op.outputs and op.outputs[0] >= 0 else ""
    return f"{op.kind} {index} {name}".strip()


def _matched(old: Sequence[str], new: Sequence[str]) -> list[tuple[int | None, int | None]]:
    pairs: list[tuple[int | None, int | None]] = []
    for tag, a0, a1, b0, b1 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs += zip(range(a0, a1), range(b0, b1), strict=True)
        else:
            pairs += [(index, None) for index in range(a0, a1)]
            pairs += [(None, index) for index in range(b0, b1)]
    return pairs
