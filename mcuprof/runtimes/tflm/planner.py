"""TFLM's GreedyMemoryPlanner, tie rules included (tflite-micro, memory_planner/greedy_memory_planner.cc).

Offline-planned buffers come first, in their order, at their offsets; the others by size, largest first, equal sizes in
reverse order of arrival (they are entered from the end of the list and sorted stably). Each takes the lowest gap
between the placed buffers that are live at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcuprof.runtimes.tflm.lifetimes import ONLINE, Request


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
    """The buffers placed so far, by the scopes in which they are live: most buffers live shortly, so few are asked."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.requests = requests
        self.live: dict[int, list[tuple[int, int]]] = {}  # scope → (offset, request)

    def add(self, index: int, offset: int) -> None:
        request = self.requests[index]
        for scope in range(request.first, request.last + 1):
            self.live.setdefault(scope, []).append((offset, index))

    def lowest_gap(self, request: Request) -> int:
        """The lowest offset that is free for the whole life of `request`, as TFLM's scan in offset order finds it."""
        neighbours = {entry for scope in range(request.first, request.last + 1) for entry in self.live.get(scope, ())}
        offset = 0
        for start, index in sorted(neighbours):
            if start - offset >= request.nbytes:
                break
            offset = max(offset, start + self.requests[index].nbytes)
        return offset
