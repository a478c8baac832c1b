"""The planner's shortcuts against its definition: every placed buffer of the same time asked, in offset order."""

from __future__ import annotations

import random

import pytest

from mcuprof.runtimes.tflm import planner
from mcuprof.runtimes.tflm.lifetimes import Request


def by_definition(requests: list[Request]) -> tuple[int, ...]:
    """GreedyMemoryPlanner::CalculateOffsetsIfNeeded, as its comments say."""
    offsets: dict[int, int] = {}
    for index in sorted(range(len(requests)), key=lambda at: (-requests[at].nbytes, -at)):
        request, offset = requests[index], 0
        for start, other in sorted(((start, requests[at]) for at, start in offsets.items()), key=lambda pair: pair[0]):
            if other.first > request.last or request.first > other.last:
                continue
            if start - offset >= request.nbytes:
                break
            offset = max(offset, start + other.nbytes)
        offsets[index] = offset
    return tuple(offsets[index] for index in range(len(requests)))


@pytest.mark.parametrize("short", [0, 3, 64])
@pytest.mark.parametrize("few", [0, 5, 100])
def test_shortcuts_change_no_offset(monkeypatch: pytest.MonkeyPatch, short: int, few: int) -> None:
    monkeypatch.setattr(planner, "_SHORT", short)
    monkeypatch.setattr(planner, "_FEW", few)
    for seed in range(60):
        rng = random.Random(seed)
        requests = []
        for _ in range(rng.randint(1, 60)):
            first = rng.randint(0, 50)
            requests.append(Request(16 * rng.randint(1, 20), first, first + rng.choice((0, 1, 2, rng.randint(0, 50)))))
        assert planner.plan(requests) == by_definition(requests)
