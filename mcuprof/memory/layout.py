"""Placement as difference constraints: whoever lies lower decides how far up the other must start.

Buffers that must start together are one item. For items a and b whose lifetimes meet, `apart(a, b)` is how far b must
start above a when a starts no higher than b: a's bytes, or the distance of an overlay when a is the output and b the
input. A placement is valid when every pair that meets satisfies one of its two constraints.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import gcd

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Sized = tuple[int, int, int]  # first, last, bytes
FREE = -1


@dataclass(frozen=True, eq=False)
class Layout:
    """Items to place, ascending by first moment. `below` maps (target, source) buffers to their overlay distance.

    `near[item]` maps each other item that it meets to (how far the other must start above this one, how far this one
    above the other), whichever is lower.
    """

    buffers: tuple[Sized, ...]
    members: tuple[tuple[int, ...], ...]
    below: Mapping[tuple[int, int], int]
    near: tuple[Mapping[int, tuple[int, int]], ...]

    def __len__(self) -> int:
        return len(self.members)

    @cached_property
    def height(self) -> Ints:
        """Bytes of each item: of its largest member."""
        return np.array([max(self.buffers[b][2] for b in group) for group in self.members], np.int64)

    @cached_property
    def first(self) -> Ints:
        """First moment of each item."""
        return np.array([min(self.buffers[b][0] for b in group) for group in self.members], np.int64)

    @cached_property
    def last(self) -> Ints:
        """Last moment of each item, inclusive."""
        return np.array([max(self.buffers[b][1] for b in group) for group in self.members], np.int64)

    @cached_property
    def home(self) -> Mapping[int, int]:
        """Buffer → item."""
        return {b: item for item, group in enumerate(self.members) for b in group}

    @cached_property
    def moments(self) -> list[int]:
        """The moments at which some buffer begins; every largest set of live buffers is live at one of them."""
        return sorted({first for first, _, _ in self.buffers})

    @cached_property
    def grain(self) -> int:
        """A number that divides every height and distance, and so the arena of some best placement."""
        return gcd(*(size for _, _, size in self.buffers), *self.below.values()) or 1

    @cached_property
    def overlaps(self) -> tuple[tuple[int, int, int, int], ...]:
        """(target item, source item, bytes they may share, index into `moments`) wherever an overlay may be taken."""
        found = []
        for (target, source), distance in self.below.items():
            one, other = self.buffers[target], self.buffers[source]
            shared = min(other[2], one[2] - distance)
            if self.home[target] != self.home[source] and shared > 0:
                start, end = max(one[0], other[0]), min(one[1], other[1])
                moments = range(bisect_left(self.moments, start), bisect_right(self.moments, end))
                found += [(self.home[target], self.home[source], shared, moment) for moment in moments]
        return tuple(found)

    @cached_property
    def bound(self) -> int:
        """The most bytes held at one moment, less all that overlays may share then: no arena is smaller."""
        held = np.zeros(len(self.moments) + 1, np.int64)
        for group in self.members:
            for start, end, size in _profile([self.buffers[b] for b in group]):
                held[bisect_left(self.moments, start)] += size
                held[bisect_right(self.moments, end)] -= size
        held = held.cumsum()
        for _, _, shared, moment in self.overlaps:
            held[moment] -= shared
        return int(held.max(initial=0))


def build_layout(
    buffers: Sequence[Sized], below: Mapping[tuple[int, int], int], together: Sequence[Sequence[int]] = ()
) -> Layout:
    """Items of (first, last, bytes) buffers; each group of `together` starts at one offset."""
    grouped = {member for group in together for member in group}
    members = [tuple(group) for group in together if group] + [(b,) for b in range(len(buffers)) if b not in grouped]
    members.sort(key=lambda group: (min(buffers[b][0] for b in group), group))
    home = {b: item for item, group in enumerate(members) for b in group}
    near: list[dict[int, tuple[int, int]]] = [{} for _ in members]
    alive: list[int] = []
    for b in sorted(range(len(buffers)), key=lambda number: buffers[number][0]):
        alive = [other for other in alive if buffers[other][1] >= buffers[b][0]]
        for other in alive:
            if home[b] != home[other]:
                above = min(buffers[b][2], below.get((b, other), buffers[b][2]))
                under = min(buffers[other][2], below.get((other, b), buffers[other][2]))
                known = near[home[b]].get(home[other], (FREE, FREE))
                above, under = max(above, known[0]), max(under, known[1])
                near[home[b]][home[other]] = above, under
                near[home[other]][home[b]] = under, above
        alive.append(b)
    return Layout(tuple(buffers), tuple(members), below, tuple(near))


def demand(layout: Layout) -> Ints:
    """Bytes that each item holds at each of `moments`: [items, moments]."""
    found = np.zeros((len(layout), len(layout.moments)), np.int64)
    for item, group in enumerate(layout.members):
        for b in group:
            first, last, size = layout.buffers[b]
            held = found[item, bisect_left(layout.moments, first) : bisect_right(layout.moments, last)]
            np.maximum(held, size, out=held)
    return found


def _profile(buffers: Sequence[Sized]) -> list[Sized]:
    """Disjoint spans of what buffers that start at one offset hold together: at each moment the largest of them."""
    if len(buffers) == 1:
        return list(buffers)
    cuts = sorted({moment for first, last, _ in buffers for moment in (first, last + 1)})
    spans = []
    for start, end in pairwise(cuts):
        size = max((size for first, last, size in buffers if first <= start and last >= end - 1), default=0)
        spans.append((start, end - 1, size))
    return spans
