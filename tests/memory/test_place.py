"""Placement against exhaustion on small instances, published witnesses, and input that makes no sense."""

from __future__ import annotations

import csv
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.errors import UsageError
from mcuprof.memory import Placement, layout, place
from mcuprof.memory.effort import Limit
from mcuprof.memory.exact import improve
from mcuprof.memory.greedy import best_greedy, portfolio
from mcuprof.memory.layout import build_layout
from mcuprof.memory.local import constraints, refit
from tests.corpus import DATA, needs_shared
from tests.memory.brute import least_arena

Buffers = list[tuple[int, int, int]]


def faults(buffers: Buffers, placed: Placement, below: dict[tuple[int, int], int]) -> list[tuple[int, int]]:
    """Pairs that share bytes though they may not, by plain comparison."""
    found = []
    for one, (first, last, size) in enumerate(buffers):
        for other, (start, end, other_size) in enumerate(buffers[:one]):
            if last < start or end < first or not size or not other_size:
                continue
            x, y = placed.offsets[one], placed.offsets[other]
            apart = x + size <= y or y + other_size <= x
            over = (one, other) in below and x + below[one, other] <= y
            under = (other, one) in below and y + below[other, one] <= x
            if not (apart or over or under):
                found.append((one, other))
    return found


@pytest.mark.parametrize("seed", range(120))
def test_a_crowd_is_placed_as_by_the_constraints_of_all_pairs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    alignment, span = rng.choice((1, 4, 16)), rng.randrange(1, 40)
    firsts = [rng.randrange(span) for _ in range(rng.randrange(1, 40))]
    buffers = [(t, min(span, t + rng.choice((0, 1, 3, 40))), alignment * rng.randrange(1, 40)) for t in firsts]
    pairs = [(rng.randrange(len(buffers)), rng.randrange(len(buffers))) for _ in range(rng.choice((0, 0, 1, 5, 30)))]
    below = {(one, two): rng.randrange(-40, 300) for one, two in pairs if one != two}
    by_pairs, by_arrays = (build_layout(buffers, below, (), alignment) for _ in range(2))
    monkeypatch.setattr(layout, "CROWD", 10**9)
    expected = [offsets.tolist() for offsets in portfolio(by_pairs)]
    facts = by_pairs.crowded, by_pairs.grain, by_pairs.simple
    monkeypatch.setattr(layout, "CROWD", -1)
    found = [offsets.tolist() for offsets in portfolio(by_arrays)]
    assert (False, *(by_arrays.grain, by_arrays.simple)) == facts
    assert by_arrays.crowded
    if not by_arrays.partners:  # upside down is the same then, and left out
        expected = expected[::2]
    assert found == expected


@pytest.mark.parametrize("seed", range(60))
def test_moving_items_in_a_sequence_places_all_as_if_anew(seed: int) -> None:
    rng = random.Random(seed)
    firsts = [rng.randrange(12) for _ in range(rng.randrange(4, 30))]
    buffers = [(t, t + rng.choice((0, 1, 2, 6)), rng.randrange(1, 40)) for t in firsts]
    group = [(0, 0), (1, buffers[0][2]), (2, buffers[0][2] + buffers[1][2])]  # parts with room for others between
    layout = build_layout(buffers, {}, [group], rng.choice((1, 4)))
    near = constraints(layout)
    sequence = rng.sample(range(len(layout)), len(layout))
    offsets = refit(near, sequence, [0] * len(layout), range(len(layout)))
    for _ in range(20):
        moved = rng.sample(range(len(layout)), rng.randrange(1, 3))
        for item in moved:
            sequence.remove(item)
            sequence.insert(rng.randrange(len(layout)), item)
        offsets = refit(near, sequence, offsets, {other for item in moved for other in (item, *layout.near[item])})
        lowest: dict[int, int] = {}
        for item in sequence:
            spans = [(lowest[o] - high, lowest[o] - low) for o, low, high in near[item] if o in lowest]
            free = [at for at in (0, *(end for _, end in spans)) if not any(lo < at < hi for lo, hi in spans)]
            lowest[item] = min(at for at in free if at >= 0)
        assert offsets == [lowest[item] for item in range(len(layout))]


def random_case(seed: int) -> tuple[Buffers, dict[tuple[int, int], int]]:
    rng = random.Random(seed)
    moments = rng.randint(2, 6)
    buffers = []
    for _ in range(rng.randint(2, 7)):
        first = rng.randrange(moments)
        buffers.append((first, min(moments - 1, first + rng.choice((0, 0, 1, 1, 2, 3))), rng.randint(1, 9)))
    below = {}
    for one in range(len(buffers)):
        for other in range(one):
            if seed & 1 and rng.random() < 0.4:
                target, source = rng.sample((one, other), 2)
                below[target, source] = rng.randint(0, buffers[target][2])
    return buffers, below


def test_against_every_stacking() -> None:
    searched = 0
    for seed in range(300):
        buffers, below = random_case(seed)
        placed = place(buffers, below=below)
        assert placed.bytes == placed.bound == least_arena(buffers, below), seed
        assert placed.bytes == max(o + size for o, (_, _, size) in zip(placed.offsets, buffers, strict=True)), seed
        assert not faults(buffers, placed, below), seed
        searched += placed.proof == "search"
    assert searched > 10, "the bound settles too many of these instances for a test of the search"


def test_the_optional_solver_against_every_stacking() -> None:
    """CP-SAT, handed the best greedy placement, finds and proves the optimum."""
    pytest.importorskip("ortools", reason="the extra mcuprof[exact] is not installed")
    for seed in range(40):
        buffers, below = random_case(seed)
        layout = build_layout(buffers, below)
        offsets, bound = improve(layout, best_greedy(layout, 0), 0, 0, Limit(5.0).start())
        assert bound == int((offsets + layout.height).max()) == least_arena(buffers, below), seed


def test_xnnpack_witness() -> None:
    """Three buffers that best-gap placement by size put into 240 bytes (XNNPACK issue 10800)."""
    placed = place([(0, 1, 100), (1, 2, 80), (2, 3, 60)])
    assert (placed.bytes, placed.optimal) == (180, True)


@needs_shared
def test_minimalloc_example() -> None:
    """The example of MiniMalloc's README: 12 is the optimum."""
    with (DATA / "minimalloc" / "input.12.csv").open() as handle:
        rows = [
            {key.strip(): int(value) for key, value in row.items() if key != "id"} for row in csv.DictReader(handle)
        ]
    low, high = ("lower", "upper") if "lower" in rows[0] else ("start", "end")
    buffers = [(row[low], row[high] - 1, row["size"]) for row in rows]  # MiniMalloc's upper end is exclusive
    placed = place(buffers)
    assert (placed.bytes, placed.optimal) == (12, True)
    assert not faults(buffers, placed, {})


def test_a_chain_of_overlays_descends() -> None:
    """Each buffer lies 4 below the one before it: 20 + 3·4 bytes, where two at a time need 24 and disjoint ones 40."""
    placed = place([(0, 1, 20), (1, 2, 20), (2, 3, 20), (3, 4, 20)], below={(1, 0): 4, (2, 1): 4, (3, 2): 4})
    assert (placed.bytes, placed.proof) == (32, "search")


def test_together_means_one_offset() -> None:
    buffers = [(0, 1, 8), (1, 2, 5), (0, 2, 4), (2, 2, 6)]
    placed = place(buffers, together=[[(0, 0), (1, 0)]])
    assert placed.offsets[0] == placed.offsets[1]
    assert placed.bytes == 15  # at the end 5, 4 and 6 are alive


def test_capacity_ends_the_search_and_no_time_leaves_a_gap() -> None:
    buffers, _ = random_case(7)
    assert place(buffers, capacity=1000).bytes <= 1000
    rng = random.Random(1)
    hard = [(first, first + rng.randint(1, 9), rng.randint(1, 99)) for first in range(60)]
    placed = place(hard, budget=Limit(0).start())
    assert not faults(hard, placed, {})
    assert placed.bound <= placed.bytes


@pytest.mark.parametrize(
    ("buffers", "options"),
    [
        ([(2, 1, 8)], {}),
        ([(0, 1, -1)], {}),
        ([(0, 1, 2**31 + 1)], {}),
        ([(0, 1, 8)], {"alignment": 0}),
    ],
)
def test_nonsense_is_refused(buffers: Buffers, options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        place(buffers, **options)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5), st.integers(0, 70)), max_size=24),
    st.sampled_from((1, 4, 16)),
)
def test_placements_are_disjoint_and_aligned(spans: list[tuple[int, int, int]], alignment: int) -> None:
    buffers = [(first, first + length, size) for first, length, size in spans]
    placed = place(buffers, alignment=alignment, budget=Limit(0.2).start())
    assert not faults(buffers, placed, {})
    assert all(offset % alignment == 0 for offset in placed.offsets)
    live = [sum(size for first, last, size in buffers if first <= at <= last) for at in range(18)]
    assert max(live) <= placed.bound <= placed.bytes
