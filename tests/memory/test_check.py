"""The checker against mutated plans: it must reject every mutation that breaks a plan, and only those."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mcuprof.memory import MemoryPlan, Schedule, check, plan
from mcuprof.memory.effort import Limit
from mcuprof.ops.sharing import Share
from tests.memory.brute import Instance, random_instance, step_bytes


def cases(count: int) -> Iterator[tuple[Instance, MemoryPlan]]:
    for seed in range(count):
        rng = random.Random(seed)
        case = random_instance(rng, rng.randint(2, 9), shares=bool(seed & 1), scratch=bool(seed & 2))
        yield case, planned(case, "optimal" if rng.random() < 0.5 else "as-is")


def planned(case: Instance, order: Schedule) -> MemoryPlan:
    options = {"scratch": case.scratch, "sharing": case.sharing, "alignment": 1, "limit": Limit(0.3)}
    return plan(case.graph, order, "overlap", **options)  # type: ignore[arg-type]


def rejected(case: Instance, broken: MemoryPlan) -> bool:
    return bool(check(case.graph, broken, sharing=case.sharing, scratch=case.scratch))


def corrupts(case: Instance, found: MemoryPlan) -> bool:
    """Whether running the plan destroys a value that is still needed, by keeping track of who wrote each byte last.

    An operator reads all its inputs before it writes: what it does to an input that dies there is another test's.
    """
    graph = case.graph
    arena: dict[int, tuple[int, int]] = {}

    def store(tensor: int, byte: int) -> None:
        offset = found.offsets[tensor]
        assert offset is not None
        arena[offset + byte] = tensor, byte

    def intact(tensor: int, byte: int) -> bool:
        offset = found.offsets[tensor]
        assert offset is not None
        return arena.get(offset + byte) == (tensor, byte)

    size = [tensor.nbytes for tensor in graph.tensors]
    for tensor in graph.inputs:
        for byte in range(size[tensor]):
            store(tensor, byte)
    for number in found.order:
        op = graph.ops[number]
        for offset, block in found.scratch[number]:
            arena.update((at, (-1, number)) for at in range(offset, offset + block))
        if not all(intact(tensor, byte) for tensor in op.inputs for byte in range(size[tensor])):
            return True
        for tensor in op.outputs:
            for byte in range(size[tensor]):
                store(tensor, byte)
        later = {t for n in found.order[found.order.index(number) + 1 :] for t in graph.ops[n].inputs}
        done = {t for n in found.order[: found.order.index(number) + 1] for t in graph.ops[n].outputs}
        needed = (done | {*graph.inputs}) & (later | {*graph.outputs})
        if not all(intact(tensor, byte) for tensor in needed for byte in range(size[tensor])):
            return True
    return False


def test_good_plans_pass_and_keep_every_needed_byte() -> None:
    for case, found in cases(80):
        assert not rejected(case, found)
        assert not corrupts(case, found)


def test_a_shifted_offset_is_rejected_whenever_it_destroys_a_value() -> None:
    broken = 0
    for case, found in cases(80):
        for tensor, offset in enumerate(found.offsets):
            for shift in (-3, -1, 1, 5):
                if offset is None or offset + shift < 0:
                    continue
                offsets = (*found.offsets[:tensor], offset + shift, *found.offsets[tensor + 1 :])
                mutated = replace(found, offsets=offsets)
                reach = max(o + case.graph.tensors[t].nbytes for t, o in enumerate(offsets) if o is not None)
                if corrupts(case, mutated) or reach > found.arena_bytes:
                    broken += 1
                    assert rejected(case, mutated), (case, tensor, shift)
    assert broken > 300


def test_swapped_operators_are_rejected_whenever_one_needs_the_other() -> None:
    broken = 0
    for case, found in cases(80):
        for first in range(len(found.order)):
            for second in range(first):
                order = list(found.order)
                order[first], order[second] = order[second], order[first]
                known = set(case.graph.inputs)
                runs = True
                for number in order:
                    runs = runs and known.issuperset(case.graph.ops[number].inputs)
                    known |= set(case.graph.ops[number].outputs)
                mutated = replace(found, order=tuple(order))
                if not runs or found.schedule == "as-is" or corrupts(case, mutated):
                    broken += 1
                    assert rejected(case, mutated)
    assert broken > 300


def test_a_shortened_distance_is_rejected() -> None:
    """An output moved up by one byte, and a kernel that needs one byte more than the plan was made with."""
    broken = 0
    for case, found in cases(160):
        for (number, position, output), share in case.shares.items():
            target, source = case.graph.ops[number].outputs[output], case.graph.ops[number].inputs[position]
            x, y = found.offsets[target], found.offsets[source]
            if share.mode != "below" or x is None or y is None or y - x != share.distance:
                continue
            last = found.lifetimes[source]
            meet = y < x + case.graph.tensors[target].nbytes and x + 1 < y + case.graph.tensors[source].nbytes
            if meet and last is not None and last[1] == found.order.index(number):
                moved = (*found.offsets[:target], x + 1, *found.offsets[target + 1 :])
                stricter = {**case.shares, (number, position, output): Share("below", share.distance + 1)}
                broken += 1
                assert rejected(case, replace(found, offsets=moved))
                assert rejected(replace(case, shares=stricter), found)
    assert broken > 15


def test_a_falsified_bound_or_proof_is_rejected() -> None:
    for case, found in cases(80):
        assert rejected(case, replace(found, lower_bound_bytes=found.arena_bytes + 1))
        assert rejected(case, replace(found, arena_bytes=found.arena_bytes + 1))
        assert rejected(case, replace(found, lower_bound_bytes=found.lower_bound_bytes + 1, proof="bound"))
        assert rejected(case, replace(found, footprints=(*found.footprints[:-1], found.footprints[-1] + 1)))
        assert rejected(case, replace(found, strategy="none")) or not corrupts_without_sharing(case, found)


def corrupts_without_sharing(case: Instance, found: MemoryPlan) -> bool:
    """Whether any two tensors alive at once share bytes."""
    spans = [
        (span, offset, tensor.nbytes)
        for span, offset, tensor in zip(found.lifetimes, found.offsets, case.graph.tensors, strict=True)
        if span is not None and offset is not None
    ]
    return any(
        one is not other and a[0] <= b[1] and b[0] <= a[1] and x < y + n and y < x + m
        for one in spans
        for other in spans
        for (a, x, m), (b, y, n) in [(one, other)]
    )


def test_a_search_bound_above_an_order_that_exists_is_refuted() -> None:
    """A bound of one above the least peak, claimed by search for a plan that is worse than the optimum."""
    refuted = 0
    for case, found in cases(160):
        worst = planned(case, "as-is")
        peak = max(worst.footprints)
        if found.schedule == "optimal" and found.lower_bound_bytes < peak:
            refuted += 1
            boast = replace(worst, schedule="optimal", proof="search", lower_bound_bytes=found.lower_bound_bytes + 1)
            assert rejected(case, boast)
    assert refuted > 5


@pytest.mark.parametrize("field", ["offsets", "lifetimes", "scratch", "order"])
def test_missing_entries_are_reported_not_crashed_on(field: str) -> None:
    for case, found in cases(6):
        assert rejected(case, replace(found, **{field: getattr(found, field)[:-1]}))


def test_footprints_agree_with_a_count_by_hand() -> None:
    for case, found in cases(40):
        done: frozenset[int] = frozenset()
        for position, number in enumerate(found.order):
            assert found.footprints[position] == step_bytes(case, done, number)
            done |= {number}
