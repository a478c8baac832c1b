"""Exact placement within a capacity: depth-first search over canonical stackings, after MiniMalloc (Moffitt, 2023).

For simple layouts, in which of any two items that meet one is the lower.
Pushing every item down as far as it goes leaves a placement in which, taken in ascending order of offset, each item
rests on the floor or on items before it. So the search places items in ascending order of offset, each where it rests
on those already placed. What prunes, and why it is sound:
 - windows: of two items that meet one is the lower. When the capacity rules one of the two ways out, the other is a
   plain difference constraint; these are propagated into the lowest and highest offset of every item. An item that
   does not yet rest at its lowest offset has a support still to come.
 - dominance: an item is not placed at or above a height at which some other could end, had it been placed first: that
   other would fit underneath, and moving it there leaves a placement that comes up elsewhere.
 - sections: at every moment the items still to come stack up from the lowest offset open to any of them.
 - parts: items still to come that never meet, not even through others, are searched one part after the other.
 - memory: what is left to do depends only on the items to come, where they rest, and the last offset.
Which choice comes first is luck; so several rankings take turns, with more nodes each time and one memory for all.
"""

from __future__ import annotations

import numpy as np

from mcuprof.memory.effort import Budget, Limit
from mcuprof.memory.layout import Ints, Layout, demand

REMEMBERED = 200_000
# Nodes for the first try of each ranking; a luckless ranking is given up early, and later gets twice as many.
FIRST_TRY = 2_000
_FAR = np.int64(1) << 60
# Where effort.py was measured.
SECONDS_PER_NODE, SECONDS_PER_PAIR = 1e-4, 1e-8


class OutOfTimeError(Exception):
    """The budget was over before the search could tell."""


class _OutOfNodesError(Exception):
    """This ranking has had its share; another may do better."""


class Stacking:
    """The search for one layout; `fit` may be asked for several capacities."""

    def __init__(self, layout: Layout) -> None:
        self.nodes = 0
        self._layout = layout
        self._demand = demand(layout)
        self._alive = self._demand > 0
        # How far the second item of a pair that meets starts above the first, when that is the lower one.
        self._reach = np.full((len(layout), len(layout)), -_FAR)
        for item, near in enumerate(layout.near):
            for other, ((_, above),) in near.items():
                self._reach[item, other] = above
        span = self._alive.sum(1)
        area = layout.height * span
        keys = ((-span, -area), (-area, -layout.height), (-layout.height, -span), (-area, -span))
        self._rankings = [np.lexsort(key).argsort() for key in keys]
        self._rank = self._rankings[0]
        self._twin = self._twins()
        self._failed: set[tuple[bytes, bytes, int]] = set()
        self._capacity, self._budget, self._last_node = 0, Limit(0).start(), 0
        self._offsets = np.zeros(len(layout), np.int64)

    def fit(self, capacity: int, budget: Budget) -> Ints | None:
        """Offsets of a placement within `capacity` bytes, None when there is none.

        Raises OutOfTimeError when `budget` is over first.
        """
        self._capacity, self._budget = capacity, budget
        self._failed.clear()
        floor = np.zeros(len(self._layout), np.int64)
        turn = 0
        while True:
            self._rank = self._rankings[turn % len(self._rankings)]
            self._last_node = self.nodes + (FIRST_TRY << turn // len(self._rankings))
            turn += 1
            try:
                fits = self._place(np.arange(len(floor)), floor, floor, capacity - self._layout.height, 0)
            except _OutOfNodesError:
                continue
            return self._offsets.copy() if fits else None

    def _place(self, items: Ints, resting: Ints, lowest: Ints, highest: Ints, last: int) -> bool:
        """Whether `items` (ascending by first moment) fit, none below `last`, where the last one was placed.

        Each rests at `resting` on what is placed so far, and lies between `lowest` and `highest` in every completion.
        """
        if not len(items):
            return True
        parts = self._parts(items)
        if len(parts) > 1:
            return all(self._place(items[p], resting[p], lowest[p], highest[p], last) for p in parts)
        self.nodes += 1
        self._budget.spend(SECONDS_PER_NODE + len(items) ** 2 * SECONDS_PER_PAIR)
        if self.nodes % 16 == 0 and self._budget.over:
            raise OutOfTimeError
        if self.nodes > self._last_node:
            raise _OutOfNodesError
        key = items.tobytes(), resting.tobytes(), last
        if key in self._failed:
            return False
        window = self._propagate(items, np.maximum(np.maximum(lowest, resting), last), highest)
        if window is not None and self._sections_fit(items, window[0]):
            for index in self._choices(items, resting, window[0]):
                item, offset = items[index], resting[index]
                rest = np.delete(items, index)
                raised = np.maximum(np.delete(resting, index), offset + self._reach[item, rest])
                self._offsets[item] = offset
                low, high = np.delete(window[0], index), np.delete(window[1], index)
                if self._place(rest, raised, low, high, int(offset)):
                    return True
        if len(self._failed) < REMEMBERED:
            self._failed.add(key)
        return False

    def _propagate(self, items: Ints, lowest: Ints, highest: Ints) -> tuple[Ints, Ints] | None:
        """The windows left when every pair that can lie only one way does; None when some item has no place."""
        reach = self._reach[np.ix_(items, items)]
        meet = reach > -_FAR
        while (lowest <= highest).all():
            # possible[i, j]: i may be the lower one of the two.
            possible = lowest[:, None] + reach <= highest[None, :]
            if (meet & ~possible & ~possible.T).any():
                return None
            forced = meet & possible & ~possible.T
            up = np.where(forced, lowest[:, None] + reach, -_FAR).max(0)
            down = np.where(forced, highest[None, :] - reach, _FAR).min(1)
            if (up <= lowest).all() and (down >= highest).all():
                return lowest, highest
            lowest, highest = np.maximum(lowest, up), np.minimum(highest, down)
        return None

    def _choices(self, items: Ints, resting: Ints, lowest: Ints) -> list[int]:
        """Positions in `items` worth placing next, most promising first: lowest offset, then largest area."""
        ceiling = (lowest + self._layout.height[items]).min()
        below = np.flatnonzero((resting < ceiling) & (resting >= lowest))
        order = below[np.lexsort((self._rank[items[below]], resting[below]))]
        seen: set[tuple[int, int]] = set()
        found = []
        for index in order.tolist():
            twin = int(self._twin[items[index]]), int(resting[index])
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
