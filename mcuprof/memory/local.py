"""Local search over placement sequences: items that hold up the top are placed earlier, the rest put right behind them.

A try moves one to three items in the sequence, so few items find another place. Only those are placed anew.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np

from mcuprof.memory.effort import Budget
from mcuprof.memory.layout import Ints, Layout

# Tries that may bring nothing before the search gives up, and how often it takes a step for the worse.
PATIENCE = 4_000
ESCAPE = 0.02
# A try, where effort.py was measured: for an item, for a pair that meets.
SECONDS_PER_ITEM, SECONDS_PER_PAIR = 5e-7, 7e-8

Near = tuple[tuple[int, int, int], ...]  # other item, and what its offset may not be above this one's: between these


def local_search(layout: Layout, best: Ints, goal: int, budget: Budget) -> Ints:
    """Offsets at least as good as `best`, each item where it first fits in a sequence that is changed step by step.

    Stops at `goal` bytes, when `PATIENCE` tries in a row bring nothing, or when `budget` is over.
    """
    rng = random.Random(0)
    height: list[int] = layout.height.tolist()
    near = constraints(layout)
    items = range(len(layout))
    sequence = sorted(items, key=lambda item: (int(best[item]), -height[item]))
    offsets = refit(near, sequence, [0] * len(sequence), items)
    least, current = int((best + layout.height).max(initial=0)), _top(offsets, height)
    if current < least:
        best, least = np.array(offsets, np.int64), current
    idle = 0
    cost = len(near) * SECONDS_PER_ITEM + sum(map(len, near)) * SECONDS_PER_PAIR
    top, crowd = _holding(near, offsets, height, current)
    while least > goal and idle < PATIENCE and not budget.over:
        idle += 1
        budget.spend(cost)
        trial = list(sequence)
        moved = []
        for _ in range(rng.choice((1, 1, 2, 3))):
            item = rng.choice(top if rng.random() < 0.3 else crowd)
            trial.remove(item)
            trial.insert(rng.randrange(len(trial) + 1), item)
            moved.append(item)
        found = refit(near, trial, offsets, {other for item in moved for other in (item, *layout.near[item])})
        needed = _top(found, height)
        if needed <= current or rng.random() < ESCAPE:
            sequence = trial
            if found != offsets:
                offsets, current = found, needed
                top, crowd = _holding(near, offsets, height, current)
        if needed < least:
            best, least, idle = np.array(found, np.int64), needed, 0
    return best


def constraints(layout: Layout) -> list[Near]:
    """`layout.near` laid out flat, per item."""
    return [tuple((other, low, high) for other, spans in met.items() for low, high in spans) for met in layout.near]


def refit(
    near: Sequence[Near], sequence: Sequence[int], known: Sequence[int], doubtful: Sequence[int] | set[int]
) -> list[int]:
    """The lowest offset of each item that is apart from all items before it in `sequence`.

    `known` are such offsets for a sequence in which only `doubtful` items stand before others of those they meet.
    """
    found = list(known)
    rank = [0] * len(found)
    for number, item in enumerate(sequence):
        rank[item] = number
    waiting = sorted(rank[item] for item in doubtful)  # a heap: all before its first are where they were
    queued = set(waiting)
    while waiting:
        number = heappop(waiting)
        item = sequence[number]
        spans = []
        for other, low, high in near[item]:
            if rank[other] < number:
                spans.append((found[other] - high, found[other] - low))
        spans.sort()
        offset = 0
        for start, end in spans:
            if start >= offset:
                break
            if end > offset:
                offset = end
        if offset == found[item]:
            continue
        found[item] = offset
        for other, _, _ in near[item]:
            if rank[other] > number and rank[other] not in queued:
                queued.add(rank[other])
                heappush(waiting, rank[other])
    return found


def _top(offsets: Sequence[int], height: Sequence[int]) -> int:
    return max(map(int.__add__, offsets, height), default=0)


def _holding(
    near: Sequence[Near], offsets: Sequence[int], height: Sequence[int], top: int
) -> tuple[list[int], list[int]]:
    """The items that reach the top, and with all that they meet; both ascending."""
    highest = [item for item, offset in enumerate(offsets) if offset + height[item] == top]
    return highest, sorted({other for item in highest for other in (item, *(met for met, _, _ in near[item]))})
