"""Placement as difference constraints: by how many bytes may one item not start above another.

Buffers that move together are one item: at one offset, or one behind the other as the parts of a rigid group. For two
items with buffers whose lifetimes meet, some differences of their offsets are forbidden: open intervals, in most cases
one that reaches from the bytes of the one below zero to the bytes of the other, less what an overlay allows. A
placement is valid when no difference is forbidden.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import gcd

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Sized = tuple[int, int, int]  # first, last, bytes
Span = tuple[int, int]  # an open interval
CROWD = 64  # pairs that meet, per item, from which on arrays place faster than a walk over the pairs


@dataclass(frozen=True, eq=False)
class Layout:
    """Items to place, ascending by first moment. `below` maps (target, source) buffers to their overlay distance.

    `shift` says, per buffer, how far it starts above its item. Buffers of an item either all start with it or are
    disjoint. Offsets of items are multiples of `alignment`.
    """

    buffers: tuple[Sized, ...]
    members: tuple[tuple[int, ...], ...]
    shift: tuple[int, ...]
    below: Mapping[tuple[int, int], int]
    alignment: int = 1

    def __len__(self) -> int:
        return len(self.members)

    @cached_property
    def near(self) -> tuple[Mapping[int, tuple[Span, ...]], ...]:
        """`near[item]` maps each other item that it meets to the forbidden values of (the other's offset − this one's),
        ascending and apart. One entry per pair: see `crowded`.
        """
        return _near(self)

    @cached_property
    def partners(self) -> Mapping[int, Mapping[int, Span | None]] | None:
        """What `near` holds of pairs with an overlay (None where nothing is forbidden), if every item is one buffer.

        The forbidden differences of all other pairs that meet are those of two blocks that must be apart.
        """
        if len(self.members) < len(self.buffers):
            return None
        found: dict[int, dict[int, Span | None]] = {}
        for pair in self.below:
            one, two = sorted(pair, key=lambda buffer: self.home[buffer])
            (first, last, _), (start, end, _) = self.buffers[one], self.buffers[two]
            if max(first, start) <= min(last, end):
                low, high = _forbidden(self, one, two)
                item, other = self.home[one], self.home[two]
                found.setdefault(item, {})[other] = (low, high) if low < high else None
                found.setdefault(other, {})[item] = (-high, -low) if low < high else None
        return found

    @cached_property
    def crowded(self) -> bool:
        """Whether so many pairs of items meet that they are placed faster without a constraint for each."""
        if self.partners is None:
            return False
        before = np.arange(len(self)) - np.searchsorted(np.sort(self.last), self.first)  # `first` ascends
        return int(before.sum()) > CROWD * len(self)

    @cached_property
    def height(self) -> Ints:
        """Bytes that each item reaches up from its offset."""
        reach = [max(self.shift[b] + self.buffers[b][2] for b in group) for group in self.members]
        return np.array(reach, np.int64)

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
        """A number that divides every height and forbidden end, and so the arena of some best placement."""
        ends = {end for spans in self._forbidden_of_pairs() for span in spans for end in span}
        return gcd(*self.height.tolist(), *ends) or 1

    def _forbidden_of_pairs(self) -> Iterator[tuple[Span, ...]]:
        """Of every pair that meets, but for those in a crowd that must only be apart: their ends are heights."""
        if not self.crowded or self.partners is None:
            yield from (spans for near in self.near for spans in near.values())
        else:
            yield from ((span,) for near in self.partners.values() for span in near.values() if span is not None)

    @cached_property
    def simple(self) -> bool:
        """Whether of any two items that meet one is the lower, and that decides how far up the other must start."""
        return all(len(spans) == 1 and spans[0][0] <= 0 <= spans[0][1] for spans in self._forbidden_of_pairs())

    @cached_property
    def overlaps(self) -> tuple[tuple[int, int, int, int], ...]:
        """(target item, source item, bytes they may share, index into `moments`) wherever an overlay may be taken."""
        found = []
        for (target, source), distance in self.below.items():
            one, other = self.buffers[target], self.buffers[source]
            shared = min(other[2], one[2] - max(0, distance))
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
            for start, end, size in self._profile(group):
                held[bisect_left(self.moments, start)] += size
                held[bisect_right(self.moments, end)] -= size
        held = held.cumsum()
        for _, _, shared, moment in self.overlaps:
            held[moment] -= shared
        return int(held.max(initial=0))

    def _profile(self, group: tuple[int, ...]) -> list[Sized]:
        """Spans of what an item holds: at each moment their sum."""
        buffers = [self.buffers[b] for b in group]
        if len(buffers) == 1 or self.stacked(group):
            return buffers
        cuts = sorted({moment for first, last, _ in buffers for moment in (first, last + 1)})
        spans = []
        for start, end in pairwise(cuts):
            size = max((size for first, last, size in buffers if first <= start and last >= end - 1), default=0)
            spans.append((start, end - 1, size))
        return spans

    def stacked(self, group: tuple[int, ...]) -> bool:
        """Whether the buffers of an item are disjoint; else they all start with it."""
        return any(self.shift[b] for b in group)


def build_layout(
    buffers: Sequence[Sized],
    below: Mapping[tuple[int, int], int],
    together: Sequence[Sequence[tuple[int, int]]] = (),
    alignment: int = 1,
) -> Layout:
    """Items of (first, last, bytes) buffers; each group of `together` is one, of (buffer, how far it starts above).

    Offsets of items are multiples of `alignment`.
    """
    shift = [0] * len(buffers)
    for group in together:
        for member, above in group:
            shift[member] = above
    grouped = {member for group in together for member, _ in group}
    members = [tuple(member for member, _ in group) for group in together if group]
    members += [(b,) for b in range(len(buffers)) if b not in grouped]
    members.sort(key=lambda group: (min(buffers[b][0] for b in group), group))
    return Layout(tuple(buffers), tuple(members), tuple(shift), below, alignment)


def _near(layout: Layout) -> tuple[Mapping[int, tuple[Span, ...]], ...]:
    buffers, home = layout.buffers, layout.home
    spans: dict[tuple[int, int], set[Span]] = {}
    alive: list[int] = []
    for b in sorted(range(len(buffers)), key=lambda number: buffers[number][0]):
        alive = [other for other in alive if buffers[other][1] >= buffers[b][0]]
        for other in alive:
            if home[b] != home[other]:
                one, two = (b, other) if home[b] < home[other] else (other, b)
                span = _forbidden(layout, one, two)
                if span[0] < span[1]:
                    spans.setdefault((home[one], home[two]), set()).add(span)
        alive.append(b)
    near: list[dict[int, tuple[Span, ...]]] = [{} for _ in layout.members]
    for (item, other), found in spans.items():
        near[item][other] = _merged(found)
        near[other][item] = tuple((-high, -low) for low, high in reversed(near[item][other]))
    return tuple(near)


def _forbidden(layout: Layout, one: int, two: int) -> Span:
    """What the item of buffer `two` may not start above that of `one`; widened to multiples of the alignment."""
    buffers, shift, below, alignment = layout.buffers, layout.shift, layout.below, layout.alignment
    above = min(buffers[one][2], below.get((one, two), buffers[one][2]))
    under = min(buffers[two][2], below.get((two, one), buffers[two][2]))
    apart = shift[one] - shift[two]
    return (apart - under) // alignment * alignment, -(-(apart + above) // alignment) * alignment


def _merged(spans: set[Span]) -> tuple[Span, ...]:
    """Open intervals as few that are apart; two that only touch leave the point between them."""
    found: list[Span] = []
    for low, high in sorted(spans):
        if found and low < found[-1][1]:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return tuple(found)


def demand(layout: Layout) -> Ints:
    """Bytes that each item holds at each of `moments`: [items, moments]."""
    found = np.zeros((len(layout), len(layout.moments)), np.int64)
    for item, group in enumerate(layout.members):
        stacked = layout.stacked(group)
        for b in group:
            first, last, size = layout.buffers[b]
            held = found[item, bisect_left(layout.moments, first) : bisect_right(layout.moments, last)]
            if stacked:
                held += size
            else:
                np.maximum(held, size, out=held)
    return found
