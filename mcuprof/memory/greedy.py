"""A portfolio of greedy placements: each item goes where it first fits, in one of many sequences, from either end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mcuprof.memory.layout import Ints, Layout, Span


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
        if layout.crowded:
            yield _first_fit_in_crowd(layout, sequence, hanging=False)
            if layout.partners:  # else the pairs are kept apart alike from both ends
                positions = _first_fit_in_crowd(layout, sequence, hanging=True)
                yield positions.max(initial=0) - positions
            continue
        yield _first_fit(layout, [0] * len(layout), sequence, hanging=False)
        # Seen from the top, positions count down from the end of the arena and the constraints turn round.
        positions = _first_fit(layout, layout.height.tolist(), sequence, hanging=True)
        yield positions.max(initial=0) - positions


def _first_fit(layout: Layout, floor: Sequence[int], sequence: Sequence[int], *, hanging: bool) -> Ints:
    """The lowest position of each item, at least its `floor`, that is apart from all items before it in `sequence`."""
    found: dict[int, int] = {}
    for item in sequence:
        spans: list[Span] = []
        for other, forbidden in layout.near[item].items():
            if other in found:
                place = found[other]
                if hanging:
                    spans += [(place + low, place + high) for low, high in forbidden]
                else:
                    spans += [(place - high, place - low) for low, high in forbidden]
        position = floor[item]
        for start, end in sorted(spans):
            if start >= position:
                break
            position = max(position, end)
        found[item] = position
    return np.array([found[item] for item in range(len(layout))], np.int64)


def _first_fit_in_crowd(layout: Layout, sequence: Sequence[int], *, hanging: bool) -> Ints:
    """`_first_fit` in time and memory that do not grow with the pairs that meet; `floor` is 0, the height if `hanging`.

    Offsets of the lower ends either way: an item that hangs at `place` has its lower end its height below.
    """
    size, first, last = layout.height.tolist(), layout.first.tolist(), layout.last.tolist()
    partners = layout.partners or {}
    found = np.zeros(len(layout), np.int64)
    # What is placed, ascending by offset: offset, end, first and last moment, item.
    placed = np.zeros((5, len(layout)), np.int64)
    for count, item in enumerate(sequence):
        offsets, ends, begins, expires, items = placed[:, :count]
        meets = np.flatnonzero((begins <= last[item]) & (expires >= first[item]))
        starts, stops = offsets[meets] - size[item], ends[meets]
        if item in partners:
            starts, stops = _with_partners(starts, stops, items[meets], partners[item], size, size[item], hanging)
        free = np.zeros(len(stops) + 1, np.int64)  # the lowest offset above all of what lies below
        np.maximum.accumulate(stops, out=free[1:])
        np.maximum(free, 0, out=free)
        gaps = np.flatnonzero(starts >= free[:-1])
        offset = int(free[gaps[0] if len(gaps) else -1])
        found[item] = offset
        at = int(np.searchsorted(offsets, offset))
        placed[:, at + 1 : count + 1] = placed[:, at:count].copy()
        placed[:, at] = offset, offset + size[item], first[item], last[item], item
    return found + layout.height if hanging else found


def _with_partners(
    starts: Ints,
    stops: Ints,
    items: Ints,
    partners: Mapping[int, Span | None],
    size: Sequence[int],
    height: int,
    hanging: bool,
) -> tuple[Ints, Ints]:
    """The spans that `items` forbid an item of `height` bytes, ascending, with those of its partners put right."""
    starts, stops = starts.copy(), stops.copy()
    keep = np.ones(len(items), np.bool_)
    for index in np.flatnonzero(np.isin(items, list(partners))).tolist():
        other = int(items[index])
        span = partners[other]
        if span is None:
            keep[index] = False
            continue
        offset = int(starts[index]) + height
        if hanging:
            base = offset + size[other] - height
            starts[index], stops[index] = base + span[0], base + span[1]
        else:
            starts[index], stops[index] = offset - span[1], offset - span[0]
    order = np.lexsort((stops[keep], starts[keep]))
    return starts[keep][order], stops[keep][order]


def _crowd(layout: Layout) -> Ints:
    """Bytes of all that each item meets."""
    if not layout.crowded:
        return np.array([sum(int(layout.height[other]) for other in near) for near in layout.near], np.int64)
    ending = np.argsort(layout.last)
    ended = np.concatenate(([0], layout.height[ending].cumsum()))
    begun = np.concatenate(([0], layout.height.cumsum()))
    gone = ended[np.searchsorted(layout.last[ending], layout.first)]
    met = begun[np.searchsorted(layout.first, layout.last, "right")] - gone - layout.height
    for item, partners in (layout.partners or {}).items():
        met[item] -= sum(int(layout.height[other]) for other, span in partners.items() if span is None)
    result: Ints = met
    return result


def _sequences(layout: Layout) -> Iterator[list[int]]:
    """Item sequences: by size, area, duration, crowding and time, ties broken both ways."""
    span = layout.last - layout.first + 1
    crowd = _crowd(layout)
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
