"""A portfolio of greedy placements: each item goes where it first fits, in one of many sequences, from either end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mcuprof.memory.layout import Ints, Layout


def best_greedy(layout: Layout, bound: int) -> Ints:
    """Offsets of the best placement of the portfolio; stops as soon as one needs no more than `bound`."""
    best, least = np.zeros(0, np.int64), -1
    for offsets in portfolio(layout):
        needed = int((offsets + layout.height).max(initial=0))
        if least < 0 or needed < least:
            best, least = offsets, needed
            if least <= bound:
                break
    return best


def portfolio(layout: Layout) -> Iterator[Ints]:
    """Placements by every sequence, from the bottom and from the top."""
    for sequence in _sequences(layout):
        yield _first_fit(layout, [0] * len(layout), sequence, hanging=False)
        # Seen from the top, positions count down from the end of the arena and the constraints turn round.
        positions = _first_fit(layout, layout.height.tolist(), sequence, hanging=True)
        yield positions.max(initial=0) - positions


def _first_fit(layout: Layout, floor: Sequence[int], sequence: Sequence[int], *, hanging: bool) -> Ints:
    """The lowest position of each item, at least its `floor`, that is apart from all items before it in `sequence`."""
    found: dict[int, int] = {}
    for item in sequence:
        spans = []
        for other, (above, under) in layout.near[item].items():
            if other in found:
                if hanging:
                    above, under = under, above
                spans.append((found[other] - above, found[other] + under))
        position = floor[item]
        for start, end in sorted(spans):
            if start >= position:
                break
            position = max(position, end)
        found[item] = position
    return np.array([found[item] for item in range(len(layout))], np.int64)


def _sequences(layout: Layout) -> Iterator[list[int]]:
    """Item sequences: by size, area, duration, crowding and time, ties broken both ways."""
    span = layout.last - layout.first + 1
    crowd = np.array([sum(int(layout.height[other]) for other in near) for near in layout.near], np.int64)
    keys = (
        (-layout.height, layout.first),
        (-layout.height, -layout.first),
        (-layout.height, -span),
        (-layout.height * span, layout.first),
        (-layout.height * span, -layout.first),
        (-span, -layout.height),
        (-crowd, -layout.height),
        (-crowd - layout.height, -span),
        (layout.first, -layout.height),
        (-layout.last, -layout.height),
    )
    for first, second in keys:
        yield np.lexsort((second, first)).tolist()
