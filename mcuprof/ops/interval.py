"""An interval of integers per part of a tensor, and when none can be given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mcuprof.graph import ABSENT, Graph, Op, Shape, Tensor
from mcuprof.ops.kernel import Array, limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

Integers: TypeAlias = "NDArray[np.int64]"


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """`low` ≤ value ≤ `high`, inclusive. Both have the tensor's rank; an axis of length 1 holds for the whole axis."""

    low: Integers
    high: Integers

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Where the value is the same for every input of the network."""
        return self.low == self.high

    def along(self, axis: int) -> tuple[Integers, Integers]:
        """Bounds per index of `axis` over all positions; length 1 where they are alike."""
        others = tuple(other for other in range(self.low.ndim) if other != axis % self.low.ndim)
        return self.low.min(axis=others), self.high.max(axis=others)

    def spread(self, shape: Shape, dtype: np.dtype[Any]) -> tuple[Array, Array]:
        """Both bounds for every element of a tensor of this shape."""
        low, high = np.broadcast_to(self.low, shape), np.broadcast_to(self.high, shape)
        return np.ascontiguousarray(low, dtype), np.ascontiguousarray(high, dtype)


Intervals = Mapping[int, Interval]

# Positions that are worth following one by one; the largest activation of an MCU model has about a million.
MAX_ELEMENTS = 1 << 23


class Unbounded(Exception):
    """No bound follows from this operator."""


def bounded(tensor: Tensor) -> bool:
    """True for the types that the analysis follows."""
    return tensor.dtype.is_integer and tensor.dtype.bits <= 16


def full_range(tensor: Tensor) -> Interval:
    """Everything that the tensor's type can hold."""
    low, high = limits(tensor.dtype)
    shape = (1,) * len(tensor.shape)
    return Interval(np.full(shape, low, np.int64), np.full(shape, high, np.int64))


def small(graph: Graph, op: Op) -> None:
    """Raises Unbounded when spreading the bounds over all elements would take too much memory."""
    if sum(graph.tensors[index].elements for index in (*op.inputs, *op.outputs) if index != ABSENT) > MAX_ELEMENTS:
        raise Unbounded
