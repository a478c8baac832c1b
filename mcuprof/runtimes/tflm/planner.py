"""TFLM's GreedyMemoryPlanner, tie rules included (tflite-micro, memory_planner/greedy_memory_planner.cc).

Offline-planned buffers come first, in their order, at their offsets; the others by size, largest first, equal sizes in
reverse order of arrival (they are entered from the end of the list and sorted stably). Each takes the lowest gap
between the placed buffers that are live at the same time.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from mcuprof.runtimes.tflm.lifetimes import ONLINE, Request


def plan(requests: Sequence[Request]) -> tuple[int, ...]:
    """One offset per request, in the order of the requests."""
    offline = [index for index, request in enumerate(requests) if request.offset != ONLINE]
    online = [index for index, request in enumerate(requests) if request.offset == ONLINE]
    order = [*offline, *sorted(online, key=lambda index: (-requests[index].nbytes, -index))]
    offsets = [0] * len(requests)
    placed: list[tuple[int, int, int]] = []  # (offset, rank, request); rank keeps equal offsets in order of placing
    for rank, index in enumerate(order):
        request = requests[index]
        offsets[index] = request.offset if request.offset != ONLINE else _lowest_gap(request, requests, placed)
        insort(placed, (offsets[index], rank, index))
    return tuple(offsets)


def head_bytes(requests: Sequence[Request], offsets: Sequence[int]) -> int:
    """The highest byte any buffer reaches (GetMaximumMemorySize)."""
    return max((offset + request.nbytes for request, offset in zip(requests, offsets, strict=True)), default=0)


def _lowest_gap(request: Request, requests: Sequence[Request], placed: Sequence[tuple[int, int, int]]) -> int:
    offset = 0
    for start, _, index in placed:
        other = requests[index]
        if other.first > request.last or request.first > other.last:
            continue
        if start - offset >= request.nbytes:
            break
        offset = max(offset, start + other.nbytes)
    return offset
