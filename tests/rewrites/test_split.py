"""Stripes against the whole: tflite-micro runs both, with the rows lying on one another as planned."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mcuprof import memory
from mcuprof.errors import PlanError
from mcuprof.graph import Graph
from mcuprof.memory.effort import Limit
from mcuprof.readers.tflite import read_tflite
from mcuprof.rewrites.split import Option, Outline, Tariff, options, prove, split, turned
from mcuprof.rewrites.split import rows as arithmetic
from mcuprof.rewrites.split.options import row_grid
from mcuprof.rewrites.split.regions import regions
from mcuprof.writers.tflite import ONLINE, FilePlan, with_plan
from mcuprof.writers.tflite_model import to_tflite
from tests.corpus import model, needs_shared
from tests.rewrites.image_networks import image_network

INPUTS = 2


def tariff(graph: Graph, grain: int = 1) -> Tariff:
    count = len(graph.ops)
    return Tariff((500,) * count, (0,) * count, 56, 68, (grain,))


def random_option(graph: Graph, outline: Outline, rng: random.Random) -> Option | None:
    """One way to split one region, from either end, with any crops."""
    found = list(regions(outline))
    longest = sorted(found, key=lambda region: rng.random() * (1 + region.last - region.first), reverse=True)
    for region in longest:
        every = options(outline, region, tariff(graph), finest=rng.choice((4, 8, 32)), every=True)
        if not every:
            continue
        option = rng.choice(every)
        other = turned(outline, option, tariff(graph), 16) if rng.random() < 0.3 else []
        return rng.choice(other) if other else option
    return None


def interpreter(data: bytes) -> Any:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed")
    return runtime.Interpreter.from_bytes(data, arena_size=1 << 20)


def differing(graph: Graph, option: Option, outline: Outline, seed: int, proven: bool = True) -> tuple[int, int]:
    """(values that differ, values) of the network's output in tflite-micro, over INPUTS inputs."""
    made = split(outline, [option])
    if proven:
        prove(graph, made)
    plan = memory.plan(made.graph, "as-is", "none", views=made.views, limit=Limit(0.0))
    plain = to_tflite(made.graph)
    placed = FilePlan(plan.order, tuple(ONLINE if offset is None else offset for offset in plan.offsets))
    one, other = interpreter(to_tflite(graph)), interpreter(with_plan(plain, placed))
    rng = np.random.default_rng(seed)
    wrong = total = 0
    for _ in range(INPUTS):
        x = rng.integers(-128, 128, graph.tensors[graph.inputs[0]].shape, dtype=np.int8)
        for runtime in (one, other):
            runtime.set_input(x, 0)
            runtime.invoke()
        for position in range(len(graph.outputs)):
            expected, found = one.get_output(position), other.get_output(position)
            wrong += int((expected != found).sum())
            total += expected.size
    return wrong, total


def cases(count: int, start: int = 0) -> Iterator[tuple[int, Graph, Outline, Option]]:
    """`count` networks that can be split, each with one split."""
    seed = start
    while count:
        graph = image_network(seed)
        outline = Outline(graph)
        option = random_option(graph, outline, random.Random(seed))
        if option is not None:
            yield seed, graph, outline, option
            count -= 1
        seed += 1


def test_random_splits_change_no_value() -> None:
    assert [seed for seed, *case in cases(40) if differing(*_ordered(case), seed)[0]] == []


@pytest.mark.slow
def test_two_thousand_random_splits_change_no_value() -> None:
    assert [seed for seed, *case in cases(2000, start=1000) if differing(*_ordered(case), seed)[0]] == []


def _ordered(case: list[Any]) -> tuple[Graph, Option, Outline]:
    graph, outline, option = case
    return graph, option, outline


def test_ignoring_the_halo_changes_values_and_the_proof_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: stripes that believe every row of theirs to be right."""
    true = arithmetic.needed

    def without_halo(rule: Any, out: arithmetic.Span) -> arithmetic.Span:
        if rule.span <= rule.stride or rule.pad is not None:
            return true(rule, out)
        start = np.minimum(out.start * rule.stride, rule.in_rows - 1)
        return arithmetic.Span(start, np.maximum(np.minimum(out.stop * rule.stride, rule.in_rows), start + 1))

    monkeypatch.setattr("mcuprof.rewrites.split.stripes.needed", without_halo)
    true_made = arithmetic.produced

    def all_right(rule: Any, given: arithmetic.Stripe) -> tuple[arithmetic.Stripe, Any]:
        made, good = true_made(rule, given)
        return arithmetic.Stripe(made.extent, made.extent), good

    monkeypatch.setattr("mcuprof.rewrites.split.stripes.produced", all_right)
    refused = wrong = 0
    for seed, graph, outline, option in cases(25):
        try:
            prove(graph, split(outline, [option]))
        except PlanError:
            refused += 1
            wrong += differing(graph, option, outline, seed, proven=False)[0] > 0
    assert refused >= 10
    assert wrong >= refused // 2


@pytest.mark.parametrize("seed", range(30))
def test_the_proof_rejects_a_slice_that_is_moved_by_one_row(seed: int) -> None:
    (found,) = cases(1, start=10 * seed)
    _, graph, outline, option = found
    made = split(outline, [option])
    slices = [index for index, op in enumerate(made.graph.ops) if op.kind == "SLICE"]
    movable = []
    for index in slices:
        op = made.graph.ops[index]
        start = int(made.graph.input(op, 1).array()[1])
        rows = made.graph.output(op).shape[1]
        if start + rows < made.graph.input(op).shape[1]:
            movable.append((index, start))
    if not movable:
        return
    index, start = movable[0]
    op = made.graph.ops[index]
    begin = replace(made.graph.input(op, 1), data=memoryview(np.array([0, start + 1, 0, 0], "<i4").tobytes()))
    tensors = (*made.graph.tensors, begin)
    ops = list(made.graph.ops)
    ops[index] = replace(op, inputs=(op.inputs[0], len(tensors) - 1, op.inputs[2]))
    moved = replace(made, graph=replace(made.graph, tensors=tensors, ops=tuple(ops)))
    with pytest.raises(PlanError):
        prove(graph, moved)


def test_nothing_is_lost_without_the_plan() -> None:
    """The file is right when its metadata is stripped: only placement depends on it."""
    for seed, graph, outline, option in cases(5, start=500):
        one, other = interpreter(to_tflite(graph)), interpreter(to_tflite(split(outline, [option]).graph))
        x = np.random.default_rng(seed).integers(-128, 128, graph.tensors[graph.inputs[0]].shape, dtype=np.int8)
        for runtime in (one, other):
            runtime.set_input(x, 0)
            runtime.invoke()
        assert (one.get_output(0) == other.get_output(0)).all()


def test_weights_are_shared_not_copied() -> None:
    for _, graph, outline, option in cases(5, start=700):
        made = split(outline, [option]).graph
        before = {bytes(t.data) for t in graph.tensors if t.data is not None and t.dtype.bits == 8}
        after = [t for t in made.tensors if t.data is not None and t.dtype.bits == 8]
        assert len(after) <= len(before) and {bytes(t.data or b"") for t in after} <= before


@needs_shared
def test_more_than_ten_stripes_are_joined_in_groups() -> None:
    graph = read_tflite(model("mlperf_vww_mbv1_int8").path.read_bytes(), {})
    outline = Outline(graph)
    region = outline.region(0, 0)
    assert region is not None
    grid = row_grid(outline, region, 16, 16)
    option = Option(region, frozenset(), tuple(int(row) for row in grid), 0, 0, 0)
    made = split(outline, [option])
    assert option.stripes > 10
    assert max(len(op.inputs) for op in made.graph.ops if op.kind == "CONCATENATION") <= 10
    assert prove(graph, made) > 0
