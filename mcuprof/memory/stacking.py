"""Exact placement within a capacity: depth-first search over canonical stackings, after MiniMalloc (Moffitt, 2023).

Pushing every item down as far as it goes leaves a placement in which, taken in ascending order of offset, each item
rests on the floor or on an item before it. So the search places items in ascending order of offset, each at the lowest
offset that the ones before it leave. What prunes, and why it is sound:
 - canonical: an item never goes below the one placed before it; that placement comes up in another sequence.
 - dominance: an item is not placed at or above a height at which some other could end, had it been placed first: that
   other would fit underneath, and moving it there leaves a placement that comes up elsewhere.
 - sections: at every moment the items still to come stack up from the lowest offset open to any of them.
 - parts: items still to come that never meet, not even through others, are searched one part after the other.
 - memory: what is left to do depends only on the items to come and their lowest offsets.
"""

from __future__ import annotations

import time

import numpy as np

from mcuprof.memory.layout import Ints, Layout, demand

REMEMBERED = 200_000
_FAR = np.int64(1) << 60


class OutOfTimeError(Exception):
    """The deadline passed before the search could tell."""


class Stacking:
    """The search for one layout; `fit` may be asked for several capacities."""

    def __init__(self, layout: Layout) -> None:
        self.nodes = 0
        self._layout = layout
        self._demand = demand(layout)
        self._alive = self._demand > 0
        self._reach = np.full((len(layout), len(layout)), -_FAR)
        for item, near in enumerate(layout.near):
            for other, (above, _) in near.items():
                self._reach[item, other] = above
        span = layout.last - layout.first + 1
        self._rank = np.lexsort((-span, -layout.height * span)).argsort()
        self._twin = self._twins()
        self._failed: set[tuple[bytes, bytes]] = set()
        self._capacity, self._deadline = 0, 0.0
        self._offsets = np.zeros(len(layout), np.int64)

    def fit(self, capacity: int, deadline: float) -> Ints | None:
        """Offsets of a placement within `capacity` bytes, None when there is none.

        Raises OutOfTimeError when `deadline` (time.monotonic()) passes first.
        """
        self._capacity, self._deadline = capacity, deadline
        self._failed.clear()
        count = len(self._layout)
        items = np.arange(count)
        fits = self._place(items, np.zeros(count, np.int64))
        return self._offsets.copy() if fits else None

    def _place(self, items: Ints, lowest: Ints) -> bool:
        """Whether `items` fit, each at its `lowest` offset or above; items are ascending by first moment."""
        if not len(items):
            return True
        parts = self._parts(items)
        if len(parts) > 1:
            return all(self._place(items[part], lowest[part]) for part in parts)
        self.nodes += 1
        if self.nodes % 32 == 0 and time.monotonic() > self._deadline:
            raise OutOfTimeError
        ends = lowest + self._layout.height[items]
        if ends.max() > self._capacity or not self._sections_fit(items, lowest):
            return False
        key = items.tobytes(), lowest.tobytes()
        if key in self._failed:
            return False
        for index in self._choices(items, lowest, int(ends.min())):
            item, offset = items[index], lowest[index]
            rest = np.delete(items, index)
            raised = np.maximum(np.delete(lowest, index), offset + self._reach[item, rest])
            self._offsets[item] = offset
            if self._place(rest, np.maximum(raised, offset)):
                return True
        if len(self._failed) < REMEMBERED:
            self._failed.add(key)
        return False

    def _choices(self, items: Ints, lowest: Ints, ceiling: int) -> list[int]:
        """Positions in `items` worth placing next, most promising first: lowest offset, then largest area."""
        below = np.flatnonzero(lowest < ceiling)
        order = below[np.lexsort((self._rank[items[below]], lowest[below]))]
        seen: set[tuple[int, int]] = set()
        found = []
        for index in order.tolist():
            twin = int(self._twin[items[index]]), int(lowest[index])
            if twin not in seen:
                seen.add(twin)
                found.append(index)
        return found

    def _sections_fit(self, items: Ints, lowest: Ints) -> bool:
        """Whether at every moment the items to come can stack up within the capacity."""
        total = self._demand[items].sum(0)
        if self._layout.overlaps:
            present = set(items.tolist())
            for target, source, shared, moment in self._layout.overlaps:
                if target in present and source in present:
                    total[moment] -= shared
        floor = np.where(self._alive[items], lowest[:, None], _FAR).min(0)
        return bool(((floor + total <= self._capacity) | (floor == _FAR)).all())

    def _parts(self, items: Ints) -> list[Ints]:
        """Positions in `items`, split where no lifetime reaches across."""
        until = np.maximum.accumulate(self._layout.last[items])
        cuts = np.flatnonzero(self._layout.first[items][1:] > until[:-1]) + 1
        return np.split(np.arange(len(items)), cuts)

    def _twins(self) -> Ints:
        """A number per item, equal for items that can be exchanged in any placement."""
        layout = self._layout
        numbers: dict[bytes, int] = {}
        partners = {item for target, source, _, _ in layout.overlaps for item in (target, source)}
        found = []
        for item in range(len(layout)):
            single = len(layout.members[item]) == 1 and item not in partners
            found.append(numbers.setdefault(self._demand[item].tobytes(), item) if single else item)
        return np.array(found, np.int64)
