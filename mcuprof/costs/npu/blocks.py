"""Which part of the output an Ethos-U computes at a time: the block that its internal RAM allows and that reads least.

`choose` gives the block for one operation. U55 and U65 share one RAM between input and accumulators, in banks
(`blocks_u55`); the U85 has one for each (`blocks_u85`). Source of the rules: Arm Vela 5.2 (Apache-2.0),
regor/architecture/ethosu55 and ethosu85, FindBlockConfig.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mcuprof.costs.npu.machine import Machine
from mcuprof.costs.npu.work import Kernel, Shape, Work, round_up

Traversal = Literal["depth-first", "part-kernel", "depthwise"]
# A window is worked off in pieces of at most this many taps along each axis.
PIECE = 8
# Output channels are split in multiples of this.
SPLIT_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Block:
    """The chosen block of the output, the input it needs, the microblock, and the accumulators' width in bits.

    `sparse`: weights of which at least two in four along the depth are zero are multiplied at twice the rate (U85).
    """

    output: Shape
    input: Shape
    micro: Shape
    traversal: Traversal
    accumulator_bits: int
    sparse: bool = False


def choose(work: Work, machine: Machine, sparse: bool = False) -> Block:
    """The block for `work`. Raises ValueError when none fits, which no shape of a sane model does."""
    from mcuprof.costs.npu import blocks_u55, blocks_u85

    found = blocks_u85.choose(work, machine, sparse) if machine.u85 else blocks_u55.choose(work, machine)
    if found is None:
        raise ValueError(f"no block of {work.name} fits the NPU")
    return found


def input_extent(h: int, w: int, kernel: Kernel, up: int) -> tuple[int, int]:
    """Rows and columns of input for h · w of output, of the largest piece of the window."""
    reach_h, reach_w = kernel.reach
    rows = -(-((h - 1) * kernel.stride_h + min(reach_h, PIECE) + (up > 1)) // up)
    columns = -(-((w - 1) * kernel.stride_w + min(reach_w, PIECE) + (up > 1)) // up)
    return rows, columns


def depths(first: int, last: int, step: int, total: int) -> list[int]:
    """The block depths that are tried: multiples of the split depth while they do not cover `total`, then all."""
    found = []
    depth = round_up(first, SPLIT_DEPTH) if first < total else first
    while depth <= last:
        found.append(depth)
        depth += step
        if depth < total:
            depth = round_up(depth, SPLIT_DEPTH)
    return found


def cheapest(
    cost: np.ndarray, heights: np.ndarray, widths: np.ndarray, coverage: np.ndarray, any_size: bool
) -> int | None:
    """The candidate of least cost, in the order of the search. Of several the first, unless small blocks (up to 4 · 4)
    tie with it: then the last one of those that covers most of the input.
    """
    if not len(cost) or not np.isfinite(cost.min()):
        return None
    ties = np.flatnonzero(cost == cost.min())
    rest = ties[1:]
    small = rest if any_size else rest[(heights[rest] <= 4) & (widths[rest] <= 4)]
    if not len(small):
        return int(ties[0])
    seen = coverage[small]
    return int(small[np.flatnonzero(seen == seen.min())[-1]])
