"""Which regions to split together: the front of memory and work over all ways to partition the operators.

Regions meet where nothing of their stripes is in use, so the peak of the network is the largest of its parts', and
tail and work add up. For every peak that may be asked for and several prices of work, the cheapest partition is a
shortest path over the operators. Only regions that hold an operator which needs more than any solution must have are
looked at.
The effort is counted in stripes, not in seconds: equal input gives an equal front.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mcuprof.ops import total_macs
from mcuprof.progress import Say, silent
from mcuprof.rewrites.split.options import Option, Tariff, options, pareto
from mcuprof.rewrites.split.regions import Outline, Region, regions

COARSE, FINE = 16, 64  # rows of the grids
MAX_STRIDE = 16  # beyond, a stripe's halo is as large as the image
EFFORT = 1000  # regions looked at
PEAKS = 48  # different peaks asked for
# Bytes of arena that one per cent more work may cost.
PRICES = (0, 10, 40, 100, 200, 400, 800, 1600, 3200, 8000, 20000, 100000)


@dataclass(frozen=True, slots=True)
class Choice:
    """Options that go together. `peak` is the most bytes in use at once, `tail` and `work` what they add in all."""

    options: tuple[Option, ...]
    peak: int
    tail: int
    work: int

    @property
    def bytes(self) -> int:
        """Peak and added tail: what the arena needs beyond the tail of today, if the placement wastes nothing."""
        return self.peak + self.tail


def front(
    outline: Outline, tariff: Tariff, footprints: Sequence[int], say: Say = silent, dealt: Sequence[Option] = ()
) -> list[Choice]:
    """Choices that no other beats in bytes and work, the least work first: that is to split nothing.

    `footprints` are the bytes in use while each operator runs unsplit, scratch included. `dealt` are options in
    channel groups, if any.
    """
    library = _library(outline, tariff, footprints, say)
    for option in dealt:
        key = option.region.first, option.region.last
        if option.peak < max(footprints[key[0] : key[1] + 1]):
            library[key] = pareto([*library.get(key, []), option])
    found = _front(outline, library, footprints)
    chosen = {(o.region.first, o.region.last): o.region for choice in found for o in choice.options}
    for done, (key, region) in enumerate(chosen.items(), 1):
        say(f"refining region {done} of {len(chosen)}")
        finer = options(outline, region, tariff, finest=FINE, every=len(region.cuts) <= 6)
        library[key] = pareto([*library[key], *finer])
    return _front(outline, library, footprints)


def _library(
    outline: Outline, tariff: Tariff, footprints: Sequence[int], say: Say
) -> dict[tuple[int, int], list[Option]]:
    """Options by region, for all regions that hold an operator that needs more than any solution must."""
    library: dict[tuple[int, int], list[Option]] = {}
    least = 0
    looked = 0
    for index in sorted(range(len(footprints)), key=lambda i: (-footprints[i], i)):
        if footprints[index] <= least or looked >= EFFORT:
            break
        for region in regions(outline, index):
            key = region.first, region.last
            if key in library or looked >= EFFORT or _stride(outline, region) > MAX_STRIDE:
                continue
            looked += 1
            say(f"looking at region {looked}: operators {region.first} to {region.last}")
            library[key] = options(outline, region, tariff, finest=COARSE)
        peaks = [o.peak for (first, last), found in library.items() if first <= index <= last for o in found]
        least = max(least, min([*peaks, footprints[index]]))
    return library


def _stride(outline: Outline, region: Region) -> int:
    """Rows of the source per row of the last output, roughly."""
    return outline.height(region.source) // max(1, outline.height(region.outputs[-1]))


def _front(outline: Outline, library: dict[tuple[int, int], list[Option]], footprints: Sequence[int]) -> list[Choice]:
    every = sorted((o for found in library.values() for o in found), key=lambda o: (o.peak, o.tail, o.work))
    found = _paths(outline, every, footprints)
    even = _paths(outline, [option for option in every if option.even], footprints)
    coarsest = max((option.grain for option in every), default=0)
    coarse = _paths(outline, [option for option in every if option.even and option.grain == coarsest], footprints)
    fronts = dict.fromkeys([*undominated(found), *undominated(even), *undominated(coarse)])  # no set: its order varies
    return sorted(fronts, key=lambda c: (c.work, c.bytes))


def _paths(outline: Outline, every: Sequence[Option], footprints: Sequence[int]) -> list[Choice]:
    whole = max(footprints, default=0)
    none = Choice((), whole, 0, 0)
    peaks = sorted({o.peak for o in every if o.peak < whole} | {f for f in footprints if f < whole})
    step = max(1, len(peaks) // PEAKS)
    asked = sorted({*peaks[::step], *peaks[-1:]})
    one_percent = max(1, total_macs(outline.graph) // 100)
    found = [none]
    for price in PRICES:
        best: dict[tuple[int, int], tuple[float, Option]] = {}
        position = 0
        for peak in asked:
            while position < len(every) and every[position].peak <= peak:
                option = every[position]
                key = option.region.first, option.region.last
                spent = option.tail + price * option.work / one_percent
                if key not in best or spent < best[key][0]:
                    best[key] = spent, option
                position += 1
            choice = _path(best, footprints, peak)
            if choice is not None:
                found.append(choice)
    return found


def _path(best: dict[tuple[int, int], tuple[float, Option]], footprints: Sequence[int], peak: int) -> Choice | None:
    """The cheapest partition with this peak: unsplit operators cost nothing where they fit."""
    count = len(footprints)
    starting: list[list[tuple[float, Option]]] = [[] for _ in range(count)]
    for (first, _), entry in best.items():
        starting[first].append(entry)
    far = float("inf")
    total = [0.0] + [far] * count
    back: list[Option | None] = [None] * (count + 1)
    for index in range(count):
        if total[index] == far:
            continue
        if footprints[index] <= peak and total[index] < total[index + 1]:
            total[index + 1], back[index + 1] = total[index], None
        for spent, option in starting[index]:
            after = option.region.last + 1
            if total[index] + spent < total[after]:
                total[after], back[after] = total[index] + spent, option
    if total[count] == far:
        return None
    chosen: list[Option] = []
    worst = 0
    index = count
    while index:
        taken = back[index]
        worst = max(worst, footprints[index - 1] if taken is None else taken.peak)
        index = index - 1 if taken is None else taken.region.first
        if taken is not None:
            chosen.append(taken)
    chosen.reverse()
    return Choice(tuple(chosen), worst, sum(o.tail for o in chosen), sum(o.work for o in chosen))


def undominated(found: Iterable[Choice]) -> list[Choice]:
    """Those that no other beats in bytes and work, by work."""
    kept: list[Choice] = []
    for choice in sorted(found, key=lambda c: (c.work, c.bytes, len(c.options))):
        if not kept or choice.bytes < kept[-1].bytes:
            kept.append(choice)
    return kept
