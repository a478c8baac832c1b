"""The ways to split one region that are worth knowing: where to crop, how many stripes, of which heights.

For each choice of crops every stripe between two rows of a grid is costed; then, for each number of stripes, the
heights with the smallest worst stripe are found exactly (on that grid), and among those the ones with the least work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mcuprof.rewrites.split.apart import cost_apart
from mcuprof.rewrites.split.regions import Outline, Region
from mcuprof.rewrites.split.rows import Ints
from mcuprof.rewrites.split.stripes import cost, lay, wanted_rows

MAX_STRIPES = 20
COPY_MACS = 8  # what copying one byte by SLICE is worth, in multiply-accumulates (notes on splitting, section 6)
_FAR = np.int64(2**60)


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a firmware asks for per operator: bytes of tail, bytes of scratch; and per SLICE, CONCATENATION and tensor.

    `grains` are what offsets of views may be multiples of, the coarsest first. `channel_tail` is what of a
    convolution's tail goes with each of its output channels (TFLM: an int32 multiplier and an int32 shift). `apart`: no
    tensor lies on another, so slices, pieces and joints take memory of their own; nothing is dealt out by channels.
    """

    tail: tuple[int, ...]
    scratch: tuple[int, ...]
    slice_tail: int
    concat_tail: int
    grains: tuple[int, ...] = (16,)
    channel_tail: int = 8
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One way to split `region`: rows of its last output at which stripes begin and end, and where they are cropped.

    `peak` is the most bytes in use while it runs (no placement takes less), `tail` the persistent bytes and `work` the
    multiply-accumulates it adds, copies included. `upward`: the stripe of the last rows runs first. Downward the output
    may lie on bytes below the source's, upward above, so that neighbouring regions fit into each other in turn. `even`:
    all stripes are of one height, which leaves room for a placement where uneven ones all reach the peak. Its views lie
    at multiples of `grain` bytes. `channels`: it is dealt out by channels of its output, not by rows (there are none
    then); groups begin and end at these (groups.py).
    """

    region: Region
    crops: frozenset[int]
    rows: tuple[int, ...]
    peak: int
    tail: int
    work: int
    upward: bool = False
    even: bool = False
    grain: int = 16
    channels: tuple[int, ...] = ()

    @property
    def stripes(self) -> int:
        """How many stripes, or channel groups."""
        return len(self.channels or self.rows) - 1


def options(outline: Outline, region: Region, tariff: Tariff, *, finest: int, every: bool = False) -> list[Option]:
    """The Pareto set of `region` by peak, tail and work, from a grid of at most `finest` rows.

    `every` tries all pairs of crops besides the usual choices.
    """
    found: list[Option] = []
    for crops in crop_choices(outline, region, every):
        for grain in _grains(outline, region, tariff):
            found = pareto(found + list(_with_crops(outline, region, crops, tariff, finest, False, grain)))
    return found


def turned(outline: Outline, option: Option, tariff: Tariff, finest: int) -> list[Option]:
    """The same region with the same crops, run from the other end: the ways worth knowing."""
    way = not option.upward
    return list(_with_crops(outline, option.region, option.crops, tariff, finest, way, option.grain))


def _grains(outline: Outline, region: Region, tariff: Tariff) -> tuple[int, ...]:
    """Finer grains only where a row is not a multiple of the coarsest."""
    tensors = (region.source, *region.cuts, *region.outputs)
    coarsest = tariff.grains[0]
    return tariff.grains if any(outline.row_bytes(t) % coarsest for t in tensors) else (coarsest,)


def pareto(found: Iterable[Option]) -> list[Option]:
    """Those that no other beats in peak, tail and work; of equals the first."""
    kept: list[Option] = []
    for option in sorted(found, key=lambda o: (o.peak, o.work, o.tail, not o.even, -o.grain, len(o.crops), o.rows)):
        if not any(_beats(other, option) for other in kept):
            kept.append(option)
    return kept


def _beats(one: Option, other: Option) -> bool:
    """In everything but the peak; coarse and even options are kept beside others, because they are easier to place."""
    return one.tail <= other.tail and one.work <= other.work and one.even >= other.even and one.grain >= other.grain


def crop_choices(outline: Outline, region: Region, every: bool = False) -> list[frozenset[int]]:
    """No crop; before the pointwise tail; after each operator that leaves garbage; at each cut alone, and added."""
    graph = outline.graph
    spatial = [cut for cut in region.cuts if (rule := outline.rules[graph.producer[cut]]) is not None and rule.spatial]
    before_tail = spatial[-1:]
    choices = [frozenset[int](), frozenset(before_tail), frozenset(spatial)]
    some = spatial if len(spatial) <= 4 else spatial[::2]
    choices += [frozenset((cut,)) for cut in some]
    choices += [frozenset((*before_tail, cut)) for cut in some]
    if every:
        choices += [frozenset((one, two)) for one in spatial for two in spatial]
        choices += [frozenset(spatial) - {one} for one in spatial]
    return list(dict.fromkeys(choices))


def _with_crops(
    outline: Outline, region: Region, crops: frozenset[int], tariff: Tariff, finest: int, upward: bool, grain: int
) -> Iterator[Option]:
    grid = row_grid(outline, region, grain, finest)
    count = len(grid)
    if count < 3:
        return
    low, high = np.triu_indices(count, 1)
    inner = ~((low == 0) & (high == count - 1))
    low, high = low[inner], high[inner]
    wanted = wanted_rows(outline, region, grid[low], grid[high])
    usable = np.all([span.rows > 0 for span in wanted.values()], axis=0)
    low, high = low[usable], high[usable]
    wanted = {tensor: span.at(usable) for tensor, span in wanted.items()}
    if not len(low):
        return
    stripes = lay(outline, region, crops, wanted, grain)
    price = (cost_apart if tariff.apart else cost)(outline, region, stripes, tariff.scratch, upward)
    peak = np.full((count, count), _FAR)
    work = np.full((count, count), _FAR)
    slices = np.zeros((count, count), np.int64)
    solved = stripes.solved
    where = low[solved], high[solved]
    peak[where] = price.peak[solved]
    work[where] = (price.macs + COPY_MACS * price.copied)[solved]
    slices[where] = price.slices[solved]
    span = slice(region.first, region.last + 1)
    own_macs = sum(outline.macs[span])
    own_tail = sum(tariff.tail[span])
    for even, found in ((True, _evenly(peak, work)), (False, partitions(peak, work))):
        for rows, worst, spent in found:
            made = sum(int(slices[a, b]) for a, b in pairwise(rows))
            n = len(rows) - 1
            joints = (1 + (n - 1) // 10 + (n > 10)) * len(region.outputs)
            tail = (n - 1) * own_tail + made * tariff.slice_tail + joints * tariff.concat_tail
            at = tuple(int(grid[row]) for row in rows)
            yield Option(region, crops, at, int(worst), tail, int(spent) - own_macs, upward, even, grain)


def row_grid(outline: Outline, region: Region, grain: int, finest: int) -> Ints:
    """Rows of the last output where stripes may begin: pieces start at multiples of `grain` bytes; at most `finest`."""
    output = region.outputs[-1]
    height = outline.height(output)
    step = grain // int(np.gcd(grain, outline.row_bytes(output)))
    while height / step > finest:
        step += grain // int(np.gcd(grain, outline.row_bytes(output)))
    return np.array([*range(0, height, step), height], np.int64)


def _evenly(peak: Ints, work: Ints) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """For 2, 3 … stripes as equal as the grid allows: as `partitions`."""
    count = len(peak)
    for n in range(2, min(MAX_STRIPES, count - 1) + 1):
        rows = tuple(round(part * (count - 1) / n) for part in range(n + 1))
        worst = max(int(peak[a, b]) for a, b in pairwise(rows))
        if worst < _FAR:
            yield rows, worst, sum(int(work[a, b]) for a, b in pairwise(rows))


def partitions(peak: Ints, work: Ints) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """For 2, 3 … stripes: (grid rows, worst peak, whole work) of the smallest worst peak, then the least work."""
    count = len(peak)
    most = min(MAX_STRIPES, count - 1)
    best = [peak[0]]
    for _ in range(1, most):
        best.append(np.maximum(best[-1][:, None], peak).min(axis=0))
    previous = _FAR
    for n in range(2, most + 1):
        worst = best[n - 1][-1]
        if worst >= previous:
            continue
        previous = worst
        yield _cheapest(peak, work, n, int(worst))


def _cheapest(peak: Ints, work: Ints, n: int, limit: int) -> tuple[tuple[int, ...], int, int]:
    allowed = np.where(peak <= limit, work, _FAR)
    total, back = allowed[0], []
    for _ in range(1, n):
        sums = total[:, None] + allowed
        back.append(sums.argmin(axis=0))
        total = np.minimum(sums.min(axis=0), _FAR)
    rows = [len(peak) - 1]
    for step in reversed(back):
        rows.append(int(step[rows[-1]]))
    rows.append(0)
    rows.reverse()
    return tuple(rows), limit, int(total[-1])
