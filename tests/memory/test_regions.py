"""Tensors over several memories."""

from __future__ import annotations

import random

import pytest

from mcuprof.errors import UsageError
from mcuprof.memory import plan, spread
from mcuprof.memory.effort import Limit
from mcuprof.readers import read
from tests.corpus import model, needs_shared
from tests.graphs import graph, op, tensor
from tests.memory.brute import random_instance


def test_the_most_used_tensor_goes_to_the_fast_region() -> None:
    """x is read three times, the others once: with room for one of them, x moves the most bytes."""
    tensors = [tensor(name, (64,)) for name in ("x", "a", "b", "y")]
    network = graph(tensors, [op("A", [0], [1]), op("B", [0, 1], [2]), op("C", [0, 2], [3])], [0], [3])
    found = spread(network, plan(network), [("DTCM", 64), ("SRAM", 1024)])
    assert found.tensors[0] == (0, 0)
    assert all(place is not None and place[0] == 1 for place in found.tensors[1:])
    assert [(use.used_bytes, use.moved_bytes) for use in found.regions] == [(64, 4 * 64), (128, 5 * 64)]
    assert found.fits


def test_one_region_is_the_arena_and_too_little_room_is_said() -> None:
    tensors = [tensor("x", (64,)), tensor("y", (64,))]
    network = graph(tensors, [op("A", [0], [1])], [0], [1])
    assert spread(network, plan(network), [("SRAM", 128)]).fits
    cramped = spread(network, plan(network), [("DTCM", 64), ("SRAM", 32)])
    assert not cramped.fits
    assert [use.fits for use in cramped.regions] == [True, False]


def test_random_graphs_pass_the_checker_and_move_the_same_bytes_however_they_are_spread() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        case = random_instance(rng, rng.randint(2, 9), shares=bool(seed & 1), scratch=bool(seed & 2))
        options = {"scratch": case.scratch, "sharing": case.sharing, "limit": Limit(0.2)}
        found = plan(case.graph, "as-is", "overlap", alignment=1, **options)  # type: ignore[arg-type]
        fast = found.arena_bytes // 2
        both = spread(case.graph, found, [("fast", fast), ("slow", 10_000)], **options)  # type: ignore[arg-type]
        one = spread(case.graph, found, [("slow", 10_000)], **options)  # type: ignore[arg-type]
        assert both.fits and both.regions[0].used_bytes <= fast
        assert sum(use.moved_bytes for use in both.regions) == one.regions[0].moved_bytes


@needs_shared
def test_person_detection_over_two_regions() -> None:
    network = read(model("mlperf_vww_mbv1_int8").path)
    found = spread(network, plan(network), [("DTCM", 32 * 1024), ("AXI SRAM", 64 * 1024)])
    assert found.fits
    assert found.regions[0].used_bytes <= 32 * 1024
    assert found.regions[0].moved_bytes > found.regions[1].moved_bytes


def test_no_region_and_negative_capacity_are_refused() -> None:
    network = graph([tensor("x", (4,))], [], [0], [0])
    for regions in ([], [("SRAM", -1)]):
        with pytest.raises(UsageError):
            spread(network, plan(network), regions)
