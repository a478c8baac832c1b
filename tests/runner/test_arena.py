"""Execution inside a plan against a slow judge that walks every kernel element by element and follows every byte."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from mcuprof.errors import PlanError
from mcuprof.graph import Attribute, DType, Graph, Op, Tensor
from mcuprof.runner.arena import Arena, evaluate_in_arena
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.program import evaluate, prepare
from tests import graphs
from tests.graphs import graph, op

UNIT = 4


@dataclass(frozen=True)
class Plan:
    order: tuple[int, ...]
    offsets: tuple[int | None, ...]
    lifetimes: tuple[tuple[int, int] | None, ...]
    scratch: tuple[tuple[tuple[int, int], ...], ...]
    strategy: str
    arena_bytes: int
    views: Mapping[int, object] = field(default_factory=dict)


def tiny() -> Graph:
    """conv 3x3 (more channels) → depthwise 3x3 stride 2 → 1x1 conv → add of a branch → pool → reshape → dense."""
    rng = np.random.default_rng(7)

    def value(name: str, *shape: int) -> Tensor:
        return graphs.tensor(name, shape, scale=(0.05,), zero_point=(3,))

    def weights(name: str, *shape: int) -> Tensor:
        data = rng.integers(-127, 128, shape, dtype=np.int8).tobytes()
        return graphs.tensor(name, shape, data=data, scale=(0.01,), zero_point=(0,))

    window: dict[str, Attribute] = {"stride_h": 1, "stride_w": 1, "padding": "SAME"}
    tensors = [
        value("in", 1, 5, 5, 2),
        value("conv", 1, 5, 5, 3),
        value("small", 1, 3, 3, 3),
        value("left", 1, 3, 3, 4),
        value("right", 1, 3, 3, 4),
        value("sum", 1, 3, 3, 4),
        value("pool", 1, 1, 1, 4),
        value("flat", 1, 4),
        value("out", 1, 5),
        weights("w0", 3, 3, 3, 2),
        weights("w1", 1, 3, 3, 3),
        weights("w2", 4, 1, 1, 3),
        weights("w3", 4, 1, 1, 3),
        weights("w4", 5, 4),
    ]
    ops = [
        op("CONV_2D", (0, 9), (1,), window),
        op("DEPTHWISE_CONV_2D", (1, 10), (2,), {**window, "stride_h": 2, "stride_w": 2}),
        op("CONV_2D", (2, 11), (3,), window),
        op("CONV_2D", (2, 12), (4,), window),
        op("ADD", (3, 4), (5,)),
        op("AVERAGE_POOL_2D", (5,), (6,), {**window, "padding": "VALID", "filter_h": 3, "filter_w": 3}),
        op("RESHAPE", (6,), (7,), {"new_shape": (1, 4)}),
        op("FULLY_CONNECTED", (7, 13), (8,)),
    ]
    return graph(tensors, ops, (0,), (8,))


# The judge ------------------------------------------------------------------------------------------------------------


def reads(net: Graph, node: Op, element: int) -> Iterator[tuple[int, int]]:
    """(tensor, element) pairs that a reference kernel reads to make this output element."""
    shape = net.tensors[node.outputs[0]].shape
    source = node.inputs[0]
    if node.kind in ("ADD", "RESHAPE"):
        yield from ((tensor, element) for tensor in node.inputs)
        return
    if node.kind == "FULLY_CONNECTED":
        yield from ((source, k) for k in range(net.tensors[source].elements))
        return
    _, height, width, depth = net.tensors[source].shape
    channel, pixel = element % shape[3], element // shape[3]
    y, x = pixel // shape[2], pixel % shape[2]
    weights = net.tensors[node.inputs[1]].shape if len(node.inputs) > 1 else ()
    rows, columns = weights[1:3] if weights else (node.integer("filter_h"), node.integer("filter_w"))
    stride = node.integer("stride_h")
    span = (shape[1] - 1) * stride + rows - height
    pad = max(0, span) // 2 if node.text("padding") == "SAME" else 0
    for row in range(rows):
        for column in range(columns):
            yy, xx = y * stride - pad + row, x * stride - pad + column
            if 0 <= yy < height and 0 <= xx < width:
                channels = range(depth) if node.kind == "CONV_2D" else (channel,)
                yield from ((source, (yy * width + xx) * depth + c) for c in channels)


def judge(net: Graph, plan: Plan) -> bool:
    """True when every byte that is ever read is the byte that its tensor's producer wrote there."""
    arena: list[tuple[int, int] | None] = [None] * (plan.arena_bytes + 64)
    views: dict[int, int] = {}

    def holds(tensor: int, element: int) -> bool:
        offset = plan.offsets[tensor]
        assert offset is not None
        return arena[offset + element] == (views.get(tensor, tensor), element)

    def write(tensor: int, element: int) -> None:
        offset = plan.offsets[tensor]
        assert offset is not None
        arena[offset + element] = (tensor, element)

    for element in range(net.tensors[0].elements):
        write(0, element)
    for index in plan.order:
        node = net.ops[index]
        out = node.outputs[0]
        if node.kind == "RESHAPE" and plan.offsets[out] == plan.offsets[node.inputs[0]]:
            if not all(holds(node.inputs[0], e) for e in range(net.tensors[out].elements)):
                return False
            views[out] = node.inputs[0]
            continue
        for element in range(net.tensors[out].elements):
            if not all(plan.offsets[tensor] is None or holds(tensor, at) for tensor, at in reads(net, node, element)):
                return False
            write(out, element)
    return all(holds(8, element) for element in range(net.tensors[8].elements))


# Plans ----------------------------------------------------------------------------------------------------------------


def make_plan(net: Graph, order: Sequence[int], offsets: Sequence[int | None]) -> Plan:
    lifetimes: list[tuple[int, int] | None] = []
    position = {index: at for at, index in enumerate(order)}
    for tensor, offset in enumerate(offsets):
        first = position[net.producer[tensor]] if tensor in net.producer else -1
        uses = [position[reader] for reader in net.consumers.get(tensor, ())]
        last = len(order) - 1 if tensor in net.outputs else max([first, *uses])
        lifetimes.append(None if offset is None else (first, last))
    reach = max(offset + net.tensors[tensor].nbytes for tensor, offset in enumerate(offsets) if offset is not None)
    return Plan(tuple(order), tuple(offsets), tuple(lifetimes), ((),) * len(order), "overlap", reach)


def good_plan(net: Graph, rng: random.Random) -> Plan:
    """Tensor after tensor at the lowest place, tried in random order of places, that the judge accepts."""
    order = tuple(range(len(net.ops)))
    far = [i * 256 if i < 9 else None for i in range(len(net.tensors))]
    for tensor in rng.sample(range(9), 9):
        places = [at * UNIT for at in range(50)]
        for place in places:
            trial = [*far[:tensor], place, *far[tensor + 1 :]]
            if judge(net, make_plan(net, order, trial)):
                far = trial
                break
    return make_plan(net, order, far)


def mutations(net: Graph, plan: Plan, rng: random.Random) -> Iterator[Plan]:
    """One tensor a unit up or down, one tensor somewhere else, two neighbouring operators swapped."""
    for tensor in range(9):
        offset = plan.offsets[tensor]
        assert offset is not None
        for moved in (offset + UNIT, offset - UNIT, rng.randrange(0, 45) * UNIT):
            if moved >= 0:
                yield make_plan(net, plan.order, [*plan.offsets[:tensor], moved, *plan.offsets[tensor + 1 :]])
    for at in range(len(plan.order) - 1):
        order = list(plan.order)
        order[at], order[at + 1] = order[at + 1], order[at]
        yield make_plan(net, order, plan.offsets)


@pytest.fixture(scope="module")
def net() -> Graph:
    return tiny()


def test_every_harmful_mutation_is_caught_and_no_harmless_one(net: Graph) -> None:
    rng = random.Random(1)
    program = prepare(net)
    inputs = random_inputs(net, 0)
    reference = evaluate(program, inputs, program.initial_state())
    harmful = harmless = 0
    while harmful < 500:
        base = good_plan(net, rng)
        assert judge(net, base)
        for plan in (base, *mutations(net, base, rng)):
            if judge(net, plan):
                harmless += 1
                found = evaluate_in_arena(program, plan, inputs, program.initial_state(), seed=harmless)
                assert all(np.array_equal(found[index], reference[index]) for index in reference)
            else:
                harmful += 1
                with pytest.raises(PlanError):
                    evaluate_in_arena(program, plan, inputs, program.initial_state())
    assert harmless > 100


def test_the_plans_do_overlap(net: Graph) -> None:
    """The mutation test is about overlaps only if outputs lie on parts of their inputs."""

    def lies_on(plan: Plan, node: Op) -> bool:
        source, target = plan.offsets[node.inputs[0]], plan.offsets[node.outputs[0]]
        assert source is not None
        assert target is not None
        size = net.tensors[node.inputs[0]].nbytes
        return (
            node.kind != "RESHAPE" and target < source + size and source < target + net.tensors[node.outputs[0]].nbytes
        )

    for seed in range(4):
        plan = good_plan(net, random.Random(seed))
        assert any(lies_on(plan, node) for node in net.ops)


@pytest.mark.parametrize("depthwise", [False, True])
def test_a_wrong_overlap_shows_in_the_bytes(depthwise: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the declared order set aside: the strips alone compute something else on the overwritten input."""
    monkeypatch.setattr(Arena, "check_order", lambda *args: None)
    window: dict[str, Attribute] = {"stride_h": 1, "stride_w": 1, "padding": "SAME"}
    shape = (1, 3, 3, 4) if depthwise else (4, 3, 3, 4)
    weights = np.random.default_rng(1).integers(-127, 128, shape, dtype=np.int8).tobytes()
    spec = [
        graphs.tensor("x", (1, 8, 8, 4), scale=(0.05,), zero_point=(3,)),
        graphs.tensor("y", (1, 8, 8, 4), scale=(0.05,), zero_point=(3,)),
        graphs.tensor("w", shape, data=weights, scale=(0.01,), zero_point=(0,)),
    ]
    net = graph(spec, [op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", (0, 2), (1,), window)], (0,), (1,))
    program, given = prepare(net), random_inputs(net, 0)
    expected = evaluate(program, given, program.initial_state())[1]

    def differ(distance: int) -> int:
        plan = Plan((0,), (distance, 0, None), ((-1, 0), (0, 0), None), ((),), "overlap", 512)
        runs = (evaluate_in_arena(program, plan, given, program.initial_state(), seed)[1] for seed in range(20))
        return sum(not np.array_equal(found, expected) for found in runs)

    safe = (8 + 1) * 4  # a row and a pixel: what the pixel above and to the left of the window's centre still needs
    assert differ(safe) == 0
    counts = [differ(distance) for distance in range(0, safe, UNIT)]
    assert min(counts) >= 15, counts


def test_scratch_on_a_live_tensor_is_caught(net: Graph) -> None:
    plan = make_plan(net, range(8), [i * 256 if i < 9 else None for i in range(14)])
    program = prepare(net)
    broken = replace(plan, scratch=(((256 * 3, 16),), *plan.scratch[1:]))
    evaluate_in_arena(program, broken, random_inputs(net, 0), program.initial_state())
    broken = replace(plan, scratch=(*plan.scratch[:3], ((256 * 3, 16),), *plan.scratch[4:]))
    with pytest.raises(PlanError, match=r"operator 4 \(ADD\) reads tensor 'left'"):
        evaluate_in_arena(program, broken, random_inputs(net, 0), program.initial_state())


def test_a_tensor_that_dies_too_early_is_caught(net: Graph) -> None:
    plan = make_plan(net, range(8), [i * 256 if i < 9 else None for i in range(14)])
    program = prepare(net)
    lifetimes = (*plan.lifetimes[:2], (1, 2), *plan.lifetimes[3:])
    with pytest.raises(PlanError, match="no longer"):
        evaluate_in_arena(program, replace(plan, lifetimes=lifetimes), random_inputs(net, 0), program.initial_state())


def test_an_arena_that_is_too_small_is_caught(net: Graph) -> None:
    plan = make_plan(net, range(8), [i * 256 if i < 9 else None for i in range(14)])
    program = prepare(net)
    with pytest.raises(PlanError, match="reaches to byte"):
        evaluate_in_arena(program, replace(plan, arena_bytes=2000), random_inputs(net, 0), program.initial_state())


def test_int16_tensors_overlap_by_bytes() -> None:
    """QUANTIZE int8 → int16 writes two bytes per element: in place it runs over what it still has to read."""
    spec = [
        graphs.tensor("x", (1, 8), scale=(0.1,), zero_point=(0,)),
        graphs.tensor("y", (1, 8), DType.INT16, scale=(0.001,), zero_point=(0,)),
    ]
    wide = graph(spec, [op("QUANTIZE", (0,), (1,))], (0,), (1,))
    program = prepare(wide)

    def run(offset: int) -> None:
        plan = Plan((0,), (offset, 0), ((-1, 0), (0, 0)), ((),), "overlap", 64)
        evaluate_in_arena(program, plan, random_inputs(wide, 0), program.initial_state())

    run(7)  # D = (N − 1)·(2 − 1)
    with pytest.raises(PlanError):
        run(6)


@pytest.mark.parametrize(("offset", "right"), [(0, True), (4, False), (36, True)])
def test_a_reshape_is_one_memcpy(offset: int, right: bool) -> None:
    """TFLM's RESHAPE calls memcpy unless both lie in one place; what that does to ranges that overlap is undefined."""
    spec = [graphs.tensor("x", (1, 36)), graphs.tensor("y", (6, 6))]
    net = graph(spec, [op("RESHAPE", (0,), (1,), {"new_shape": (6, 6)})], (0,), (1,))
    plan = Plan((0,), (offset, 0), ((-1, 0), (0, 0)), ((),), "overlap", 72)
    program = prepare(net)
    if right:
        evaluate_in_arena(program, plan, random_inputs(net, 0), program.initial_state())
    else:
        with pytest.raises(PlanError, match="still has to read"):
            evaluate_in_arena(program, plan, random_inputs(net, 0), program.initial_state())


def test_pixels_that_a_stride_skips_may_be_overwritten() -> None:
    """A 1x1 window with stride 2 never reads every other pixel: the output may lie on one from the first step on."""
    window: dict[str, Attribute] = {"stride_h": 1, "stride_w": 2, "padding": "VALID", "filter_h": 1, "filter_w": 1}
    spec = [graphs.tensor("x", (1, 1, 3, 4)), graphs.tensor("y", (1, 1, 2, 4))]
    net = graph(spec, [op("MAX_POOL_2D", (0,), (1,), window)], (0,), (1,))
    program = prepare(net)
    plan = Plan((0,), (0, 4), ((-1, 0), (0, 0)), ((),), "overlap", 12)
    given = random_inputs(net, 0)
    found = evaluate_in_arena(program, plan, given, program.initial_state())
    assert np.array_equal(found[1][0, 0], given[0][0, 0, ::2])
