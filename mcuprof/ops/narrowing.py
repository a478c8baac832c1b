"""Which channels of which tensors stay, in words that analyses, writers and proofs share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcuprof.graph import Tensor
from mcuprof.ops.kernel import Array


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The channels of a tensor that stay: bool over its axis `axis`."""

    axis: int
    mask: NDArray[np.bool_]

    def of(self, values: Array) -> Array:
        """The part of the tensor's values that stays."""
        part: Array = np.compress(self.mask, values, axis=self.axis)
        return part


@dataclass(frozen=True, slots=True, eq=False)
class Narrowing:
    """What can go: tensors by index that lose channels, and what the biases of operators by index gain (int64)."""

    tensors: Mapping[int, Kept]
    folded: Mapping[int, Array]


def channel_axis(tensor: Tensor) -> int:
    """The axis of a vector that is longer than 1; else 1 of four, and the last of fewer."""
    rank = len(tensor.shape)
    long = [axis for axis, size in enumerate(tensor.shape) if size != 1]
    return long[0] if len(long) == 1 else 1 if rank == 4 else max(0, rank - 1)
