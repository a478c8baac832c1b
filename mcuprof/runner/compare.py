"""How two runs of a graph differ: per tensor equal, or a histogram of differences; and which operator differs first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mcuprof.graph import ABSENT, Graph
from mcuprof.ops.kernel import Array

# Float operators of two runtimes differ where they call different math libraries or add in another order. One unit here
# is the spacing of float32 at the largest magnitude of the tensor; a few units are rounding, not another function.
FLOAT_TOLERANCE = 64


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """How one tensor compares over all inputs. `histogram` maps a difference (ours − theirs) to how often it occurs.

    Differences are in LSB for integers, in float32 spacings at the tensor's largest magnitude for floats (`is_float`).
    """

    tensor: int
    name: str
    operator: int
    kind: str
    elements: int
    histogram: Mapping[int, int]
    is_float: bool = False

    @property
    def different(self) -> int:
        """Elements that are not equal."""
        return sum(self.histogram.values())

    @property
    def largest(self) -> int:
        """The largest difference, without sign; 0 when all are equal."""
        return max((abs(step) for step in self.histogram), default=0)


@dataclass(slots=True)
class Tally:
    """Elements compared and their differences, by tensor."""

    elements: Counter[int] = field(default_factory=Counter)
    histograms: dict[int, Counter[int]] = field(default_factory=dict)

    def merge(self, other: Tally) -> None:
        """Adds what another comparison of the same graph has found."""
        self.elements.update(other.elements)
        for tensor, found in other.histograms.items():
            self.histograms.setdefault(tensor, Counter()).update(found)


@dataclass(slots=True)
class Comparison:
    """Collects differences between our tensors and another run's, input by input."""

    graph: Graph
    tally: Tally = field(default_factory=Tally)

    def add(self, ours: Mapping[int, Array], theirs: Mapping[int, Array]) -> None:
        """Compares every computed tensor that both runs have."""
        for tensor in self.graph.producer:
            if tensor in ours and tensor in theirs:
                mine, other = ours[tensor], theirs[tensor]
                self.tally.elements[tensor] += mine.size
                found = self.tally.histograms.setdefault(tensor, Counter())
                if mine.size != other.size:
                    found[np.iinfo(np.int32).max] += max(mine.size, other.size)
                else:
                    found.update(steps(mine, other.reshape(mine.shape)))

    def result(self) -> tuple[TensorDifference, ...]:
        """One entry per compared tensor, in execution order."""
        ordered = dict.fromkeys(
            tensor
            for op in self.graph.ops
            for tensor in op.outputs
            if tensor != ABSENT and tensor in self.tally.histograms
        )
        return tuple(
            TensorDifference(
                tensor,
                self.graph.tensors[tensor].name,
                self.graph.producer[tensor],
                self.graph.ops[self.graph.producer[tensor]].kind,
                self.tally.elements[tensor],
                dict(sorted(self.tally.histograms[tensor].items())),
                self.graph.tensors[tensor].dtype.is_float,
            )
            for tensor in ordered
        )


def steps(mine: Array, other: Array) -> dict[int, int]:
    """Histogram of the non-zero differences mine − other; NaN equals NaN. Empty when all elements are equal."""
    if mine.dtype.kind not in "fiub" or other.dtype.kind not in "fiub":
        return {}
    unequal = (mine != other) & ~((mine != mine) & (other != other))
    if not unequal.any():
        return {}
    a, b = mine[unequal].astype(np.float64), other[unequal].astype(np.float64)
    distance = a - b
    if mine.dtype.kind == "f":
        largest = np.float32(np.nanmax(np.abs(np.where(np.isfinite(other), other, 0)), initial=0.0))
        unit = float(np.spacing(max(largest, np.float32(1e-30))))
        distance = np.copysign(np.ceil(np.abs(distance) / unit), distance)
    most = np.iinfo(np.int32).max
    whole = np.clip(np.nan_to_num(distance, nan=most, posinf=most, neginf=-most), -most, most).astype(np.int64)
    values, counts = np.unique(whole, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}
