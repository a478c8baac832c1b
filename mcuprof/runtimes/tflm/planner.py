"""TFLM's GreedyMemoryPlanner, tie rules included (tflite-micro, memory_planner/greedy_memory_planner.cc).

Offline-planned buffers come first, in their order, at their offsets; the others by size, largest first, equal sizes in
reverse order of arrival (they are entered from the end of the list and sorted stably). Each takes the lowest gap
between the placed buffers that are live at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcuprof.runtimes.tflm.lifetimes import ONLINE, Request

_SHORT = 64  # scopes of a life that are entered one by one
_FEW = 100  # long lives that are asked one by one


def plan(requests: Sequence[Request]) -> tuple[int, ...]:
    """One offset per request, in the order of the requests."""
    offline = [index for index, request in enumerate(requests) if request.offset != ONLINE]
    online = [index for index, request in enumerate(requests) if request.offset == ONLINE]
    order = [*offline, *sorted(online, key=lambda index: (-requests[index].nbytes, -index))]
    offsets = [0] * len(requests)
    placed = _Placed(requests)
    for index in order:
        request = requests[index]
        offsets[index] = request.offset if request.offset != ONLINE else placed.lowest_gap(request)
        placed.add(index, offsets[index])
    return tuple(offsets)


def head_bytes(requests: Sequence[Request], offsets: Sequence[int]) -> int:
    """The highest byte any buffer reaches (GetMaximumMemorySize)."""
    return max((offset + request.nbytes for request, offset in zip(requests, offsets, strict=True)), default=0)


class _Placed:
    """The buffers placed so far. Most live shortly, so few are asked: those of the same scopes.

    Where many live long, all are looked at, in arrays that are kept in offset order.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self.requests = requests
        self.short: dict[int, list[tuple[int, int]]] = {}  # scope → (offset, request)
        self.long: list[tuple[int, int]] = []
        self.table: _Table | None = None

    def add(self, index: int, offset: int) -> None:
        request = self.requests[index]
        if request.last - request.first < _SHORT:
            for scope in range(request.first, request.last + 1):
                self.short.setdefault(scope, []).append((offset, index))
        else:
            self.long.append((offset, index))
        if self.table is not None:
            self.table.add(request, offset)
        elif len(self.long) > _FEW:
            self.table = _Table(len(self.requests))
            for start, number in {*self.long, *(entry for entries in self.short.values() for entry in entries)}:
                self.table.add(self.requests[number], start)

    def lowest_gap(self, request: Request) -> int:
        """The lowest offset that is free for the whole life of `request`, as TFLM's scan in offset order finds it."""
        if self.table is not None:
            return self.table.lowest_gap(request)
        scopes = range(request.first, request.last + 1)
        neighbours = {entry for scope in scopes for entry in self.short.get(scope, ())}
        for entry in self.long:
            other = self.requests[entry[1]]
            if other.first <= request.last and request.first <= other.last:
                neighbours.add(entry)
        offset = 0
        for start, index in sorted(neighbours):
            if start - offset >= request.nbytes:
                break
            offset = max(offset, start + self.requests[index].nbytes)
        return offset


class _Table:
    """First scope, last scope, start and end of every placed buffer, by start."""

    def __init__(self, capacity: int) -> None:
        self.columns = np.zeros((4, capacity), np.int64)
        self.count = 0

    def add(self, request: Request, offset: int) -> None:
        n = self.count
        at = int(np.searchsorted(self.columns[2, :n], offset))
        self.columns[:, at + 1 : n + 1] = self.columns[:, at:n].copy()
        self.columns[:, at] = request.first, request.last, offset, offset + request.nbytes
        self.count = n + 1

    def lowest_gap(self, request: Request) -> int:
        first, last, starts, ends = self.columns[:, : self.count]
        meet = (first <= request.last) & (request.first <= last)
        before = np.maximum.accumulate(np.concatenate(([0], ends[meet])))
        gaps = np.flatnonzero(starts[meet] - before[:-1] >= request.nbytes)
        return int(before[gaps[0]] if len(gaps) else before[-1])
