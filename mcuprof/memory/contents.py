"""What every byte of a plan holds, written by whom and read by whom, derived afresh for the checker.

Each byte that an operator computes gets a number of its own. An operator that copies bytes onto themselves, because the
plan lays its output inside its input or the other way round, makes no new bytes: the numbers stay. Bytes with equal
lives are a family. Nothing here is shared with the solvers but what operators copy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from mcuprof.graph import ABSENT, Op
from mcuprof.memory.facts import Facts
from mcuprof.ops.copying import Copy, copied

Run = tuple[int, int, int]  # first byte of the tensor, number of that byte, bytes


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Bytes that live and die together: how many (padded), the operator that writes them (−1 the caller), who reads.

    `inside` says for tensors that hold them where they begin there; `root` is the tensor they were first written as.
    """

    root: int
    size: int
    writer: int
    readers: frozenset[int]
    stays: bool
    inside: dict[int, int] = field(default_factory=dict)


class Contents:
    """The numbers of each tensor's bytes as `runs`, those of them that are `new` with it, and the `families`,
    also by the operators that read them and by the tensors they are rooted in.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.starts = self._starts()
        self.runs: dict[int, list[Run]] = {}
        self.new: dict[int, list[Run]] = {}
        self._origins: list[tuple[int, int, int]] = []  # tensor, first number, end
        for tensor in facts.tensors:
            if tensor not in facts.writer:
                self.runs[tensor] = [self._fresh(tensor, 0, facts.graph.tensors[tensor].nbytes)]
        for op in facts.graph.ops:
            for output, tensor in enumerate(op.outputs):
                if tensor in facts.views:
                    self.runs[tensor] = self._written(op, output, tensor)
        self.families = self._families()
        self.read_by: dict[int, list[Family]] = {}
        self.rooted: dict[int, list[Family]] = {}
        for family in self.families:
            self.rooted.setdefault(family.root, []).append(family)
            for reader in family.readers:
                self.read_by.setdefault(reader, []).append(family)

    def fit(self, facts: Facts) -> bool:
        """Whether these are what the bytes of that plan hold: its order and offsets change nothing."""
        plan, mine = facts.plan, self.facts.plan
        same = (plan.io, plan.alignment, plan.views) == (mine.io, mine.alignment, mine.views)
        return same and facts.graph is self.facts.graph and facts.leads == self.facts.leads

    def kept(self, op: Op, position: int) -> Copy | None:
        """What `op` copies from this input onto itself; None when it really moves or computes."""
        source, target = op.inputs[position], op.outputs[0] if op.outputs else ABSENT
        if source not in self.starts or target not in self.starts:
            return None
        copy = copied(self.facts.graph, op, position)
        (root, start), (other, shift) = self.starts[source], self.starts[target]
        return copy if copy and root == other and start + copy.source == shift + copy.target else None

    def read(self, op: Op) -> Iterator[tuple[int, int, int]]:
        """(tensor, first byte, bytes) of everything that `op` really reads in the arena."""
        for position, tensor in enumerate(op.inputs):
            if tensor not in self.runs:
                continue
            size = self.facts.graph.tensors[tensor].nbytes
            if not self.facts.plan.views:
                yield tensor, 0, size
            elif self.kept(op, position) is None:
                copy = copied(self.facts.graph, op, position)
                yield (tensor, copy.source, copy.nbytes) if copy else (tensor, 0, size)

    def _starts(self) -> dict[int, tuple[int, int]]:
        """Tensor → the one that its views, or being the same bytes, lead to, and where it begins in that."""
        found = {}
        for tensor in self.facts.tensors:
            root, start = tensor, 0
            for _ in self.facts.tensors:
                if root in self.facts.plan.views:
                    view = self.facts.plan.views[root]
                    root, start = view.parent, start + view.offset
                else:
                    break
            found[tensor] = self.facts.leads.get(root, root), start
        return found

    def _fresh(self, tensor: int, start: int, count: int) -> Run:
        number = self._origins[-1][2] if self._origins else 0
        self._origins.append((tensor, number, number + count))
        self.new.setdefault(tensor, []).append((start, number, count))
        return start, number, count

    def _copies(self, op: Op) -> list[tuple[int, Copy]]:
        found = [(tensor, self.kept(op, position)) for position, tensor in enumerate(op.inputs)]
        return sorted(((t, copy) for t, copy in found if copy is not None), key=lambda item: item[1].target)

    def _written(self, op: Op, output: int, tensor: int) -> list[Run]:
        """Runs of an output: the numbers of what is copied onto itself, new ones for the rest."""
        runs: list[Run] = []
        done, size = 0, self.facts.graph.tensors[tensor].nbytes
        for source, copy in self._copies(op) if output == 0 else ():
            if copy.target > done:
                runs.append(self._fresh(tensor, done, copy.target - done))
            for at, number, count in self.runs[source]:
                low, high = max(at, copy.source), min(at + count, copy.source + copy.nbytes)
                if low < high:
                    runs.append((low - copy.source + copy.target, number + low - at, high - low))
            done = max(done, copy.target + copy.nbytes)
        if done < size:
            runs.append(self._fresh(tensor, done, size - done))
        return runs

    def _families(self) -> list[Family]:
        reads = self._by_origin(
            (low, high, number)
            for number, op in enumerate(self.facts.graph.ops)
            for tensor, start, count in self.read(op)
            for low, high in self._numbers(tensor, start, count)
        )
        staying = self._by_origin(
            (low, high, 0)
            for tensor in self.facts.leaving
            if tensor in self.runs
            for low, high in self._numbers(tensor, 0, self.facts.graph.tensors[tensor].nbytes)
        )
        padding: dict[int, int] = {}
        for tensor, runs in self.runs.items():
            size = self.facts.graph.tensors[tensor].nbytes
            if tensor not in self.facts.plan.views:
                padding[runs[-1][1] + runs[-1][2]] = self.facts.padded(size) - size
        holders = self._by_origin(
            (number, number + count, tensor) for tensor, runs in self.runs.items() for _, number, count in runs
        )
        found = []
        for origin, (tensor, first, end) in enumerate(self._origins):
            for low, high, readers, stays in _cut(first, end, reads[origin], staying[origin]):
                inside = {}
                for _, _, holder in (span for span in holders[origin] if span[0] < high and span[1] > low):
                    at, number = next((a, n) for a, n, c in self.runs[holder] if n < high and n + c > low)
                    inside[holder] = at + low - number
                size = high - low + padding.get(high, 0)
                found.append(Family(tensor, size, self.facts.writer.get(tensor, -1), readers, stays, inside))
        return found

    def _by_origin(self, spans: Iterable[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
        """Spans of numbers, each within what one tensor began, by that."""
        firsts = [first for _, first, _ in self._origins]
        found: list[list[tuple[int, int, int]]] = [[] for _ in firsts]
        for span in spans:
            found[bisect_right(firsts, span[0]) - 1].append(span)
        return found

    def _numbers(self, tensor: int, start: int, count: int) -> Iterator[tuple[int, int]]:
        for at, number, length in self.runs[tensor]:
            low, high = max(at, start), min(at + length, start + count)
            if low < high:
                yield number + low - at, number + high - at


def _cut(
    first: int, end: int, reads: list[tuple[int, int, int]], staying: list[tuple[int, int, int]]
) -> list[tuple[int, int, frozenset[int], bool]]:
    """Numbers from `first` to `end`, cut where readers or staying differ."""
    pieces: list[tuple[int, int, frozenset[int], bool]] = []
    for low, high in pairwise(sorted({first, end, *(edge for span in (*reads, *staying) for edge in span[:2])})):
        readers = frozenset(reader for start, stop, reader in reads if start <= low and stop >= high)
        stays = any(start <= low and stop >= high for start, stop, _ in staying)
        if pieces and pieces[-1][2:] == (readers, stays):
            pieces[-1] = pieces[-1][0], high, readers, stays
        else:
            pieces.append((low, high, readers, stays))
    return pieces
