"""Whole plans: published and brute-forced optima, strategies, options, and graphs that cannot be planned."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import permutations

import pytest

from mcuprof.errors import ModelError, UsageError
from mcuprof.graph import Attribute, DType, Graph
from mcuprof.memory import Schedule, check, plan, strategies
from mcuprof.memory.effort import Limit
from mcuprof.ops.sharing import share
from mcuprof.readers import read
from tests.corpus import model, needs_shared
from tests.graphs import graph, op, tensor
from tests.memory.brute import least_joint, random_instance

ORDERS: tuple[Schedule, ...] = ("as-is", "optimal")


@needs_shared
@pytest.mark.parametrize(
    ("name", "none", "overlap"),
    [
        ("mlperf_vww_mbv1_int8", 55_296, 36_880),
        ("mlperf_kws_int8", 16_000, 9_792),
        ("mlperf_ic_resnet8_int8", 49_152, 33_312),
        ("mlperf_ic_resnet_large_int8", 122_880, 83_280),
        ("mlperf_streaming_ww", 6_656, 3_840),
        ("mlperf_ad01_int8", 768, 768),
    ],
)
def test_mlperf_tiny_heads(name: str, none: int, overlap: int) -> None:
    """`none`: proven with an independent solver (OR-Tools); `overlap`: run bit-exact in TFLM's reference kernels."""
    rows = {(row.schedule, row.strategy): row for row in strategies(read(model(name).path))}
    for order in ORDERS:
        assert rows[order, "none"].arena_bytes == none and rows[order, "none"].optimal
        assert rows[order, "overlap"].arena_bytes <= overlap and rows[order, "overlap"].optimal
        arenas = [rows[order, strategy].arena_bytes for strategy in ("none", "alias", "elementwise", "depthwise")]
        assert arenas == sorted(arenas, reverse=True)


def test_certified_plans_against_every_order_and_placement() -> None:
    """Order and placement together, by exhaustion; every certificate of `optimal` must hold, every bound be valid."""
    certified = 0
    for seed in range(60):
        rng = random.Random(seed)
        case = random_instance(rng, rng.randint(2, 3), shares=bool(seed & 1), scratch=bool(seed & 2), exact=False)
        found = plan(case.graph, "optimal", "overlap", alignment=1, scratch=case.scratch, sharing=case.sharing)
        truth = least_joint(case)
        assert found.lower_bound_bytes <= truth <= found.arena_bytes, seed
        certified += found.optimal
    assert certified >= 55


def chain(*kinds: str, size: int = 32) -> Graph:
    """Operators in a row on tensors of `size` bytes."""
    tensors = [tensor(f"t{number}", (size,)) for number in range(len(kinds) + 1)]
    ops = [op(kind, [number], [number + 1]) for number, kind in enumerate(kinds)]
    return graph(tensors, ops, [0], [len(kinds)])


def test_views_are_one_buffer_and_elementwise_takes_its_input() -> None:
    network = chain("RESHAPE", "RELU", "RESHAPE")
    sizes = {row.strategy: row.arena_bytes for row in strategies(network) if row.schedule == "as-is"}
    assert sizes == {"none": 64, "alias": 64, "elementwise": 32, "depthwise": 32, "overlap": 32}
    aliased = plan(network, "as-is", "alias")
    assert aliased.offsets[0] == aliased.offsets[1] and aliased.offsets[2] == aliased.offsets[3]


def test_an_input_that_lives_on_is_not_overwritten() -> None:
    tensors = [tensor(name, (32,)) for name in ("x", "y", "z")]
    network = graph(tensors, [op("RELU", [0], [1]), op("ADD", [0, 1], [2])], [0], [2])
    assert plan(network, "as-is", "elementwise").arena_bytes == 64  # x and y; z takes the place of one of them
    leaving = graph(tensors, network.ops, [0], [2, 0])
    assert plan(leaving, "as-is", "elementwise").offsets[2] == plan(leaving, "as-is", "elementwise").offsets[1]


def test_operands_outside_the_arena_state_and_constants_take_no_bytes() -> None:
    tensors = [
        tensor("x", (32,)),
        tensor("w", (32,), data=bytes(32)),
        tensor("y", (32,)),
        tensor("state", (99,), variable=True),
        tensor("z", (32,)),
        tensor("empty", (0,)),
    ]
    network = graph(tensors, [op("ADD", [0, 1], [2]), op("SVDF", [2, 3], [4]), op("PACK", [4], [5])], [0], [4])
    outside = plan(network, io="outside")
    assert outside.offsets == (None, None, 0, None, None, None)
    assert outside.arena_bytes == 32
    assert plan(network).arena_bytes == 64


def test_what_is_read_but_never_written_takes_bytes() -> None:
    """Vela's output: the accelerator's working memory is an input that no operator writes."""
    tensors = [tensor("x", (16,)), tensor("scratch", (640,)), tensor("y", (16,))]
    network = graph(tensors, [op("CUSTOM:ethos-u", [0, 1], [2])], [0], [2])
    for order in ORDERS:
        assert plan(network, order).arena_bytes == 672


def test_operators_on_the_same_state_keep_their_order() -> None:
    tensors = [
        tensor("x", (16,)),
        tensor("handle", (), DType.RESOURCE),
        tensor("wide", (1600,)),
        tensor("old", (16,)),
        tensor("y", (16,)),
    ]
    ops = [
        op("VAR_HANDLE", [], [1]),
        op("TILE", [0], [2]),
        op("READ_VARIABLE", [1], [3]),
        op("SUM", [2], [4]),
        op("ASSIGN_VARIABLE", [1, 3], []),
    ]
    order = plan(graph(tensors, ops, [0], [4]), "optimal").order
    assert [number for number in order if number in (0, 2, 4)] == [0, 2, 4]


def test_orders_that_swap_operators_on_one_state_are_rejected() -> None:
    """Any two of them, neighbours or not, whether they name the state or reach it by a handle."""
    tensors = [tensor("x", (16,)), tensor("state", (16,), variable=True), *(tensor(f"y{k}", (16,)) for k in range(4))]
    named = graph(tensors, [op("SVDF", [0, 1], [2 + k]) for k in range(4)], [0], [2, 3, 4, 5])
    held = graph(tensors, [op("CALL_ONCE", [0], [2 + k]) for k in range(4)], [0], [2, 3, 4, 5])
    for network in (named, held):
        right = plan(network)
        assert not check(network, right, sharing=share)
        for order in permutations(range(4)):
            found = check(network, replace(right, order=order), sharing=share)
            assert any("runs before operator" in each.message for each in found) == (order != (0, 1, 2, 3)), order


def test_scratch_counts_while_its_operator_runs() -> None:
    found = plan(chain("CONV_2D", "CONV_2D"), scratch=[[], [100, 4]], alignment=16)
    assert found.arena_bytes == 32 + 32 + 112 + 16
    assert [size for _, size in found.scratch[1]] == [112, 16]


def test_in_place_depthwise_pays_for_its_channel_buffer() -> None:
    shape = (1, 4, 4, 8)
    tensors = [tensor("x", shape), tensor("w", (1, 1, 1, 8), data=bytes(8)), tensor("y", shape)]
    window: dict[str, Attribute] = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    network = graph(tensors, [op("DEPTHWISE_CONV_2D", [0, 1], [2], window)], [0], [2])
    found = plan(network, "as-is", "depthwise")
    assert (found.arena_bytes, found.optimal) == (128 + 16, True)
    assert [size for _, size in found.scratch[0]] == [16]


def test_no_operators_and_no_time() -> None:
    empty = graph([tensor("x", (10,))], [], [0], [0])
    assert plan(empty, "optimal").arena_bytes == 16
    for seed in range(30):
        rng = random.Random(seed)
        case = random_instance(rng, 8, shares=True, scratch=True)
        for order in ORDERS:
            hasty = plan(case.graph, order, "overlap", scratch=case.scratch, sharing=case.sharing, limit=Limit(0))
            patient = plan(case.graph, order, "overlap", scratch=case.scratch, sharing=case.sharing, limit=Limit(1))
            assert hasty.lower_bound_bytes <= patient.arena_bytes <= hasty.arena_bytes
            assert hasty.certificate.startswith("gap") != hasty.optimal


def test_graphs_that_cannot_run_or_be_planned() -> None:
    x, y, z = (tensor(name, (8,)) for name in "xyz")
    cycle = graph([x, y, z], [op("ADD", [0, 2], [1]), op("RELU", [1], [2])], [0], [2])
    with pytest.raises(ModelError, match=r"operator 0 \(ADD\) reads tensor 'z' before operator 1 \(RELU\) writes it"):
        plan(cycle, "optimal")
    twice = graph([x, y], [op("RELU", [0], [1]), op("ABS", [0], [1])], [0], [1])
    with pytest.raises(
        ModelError, match=r"tensor 'y' is written by operator 0 \(RELU\) and again by operator 1 \(ABS\)"
    ):
        plan(twice)
    huge = graph([tensor("x", (2**31 + 1,)), y], [op("SUM", [0], [1])], [0], [1])
    with pytest.raises(ModelError, match="2,147,483,648"):
        plan(huge)


@pytest.mark.parametrize(
    "options",
    [
        {"order": "best"},
        {"in_place": "all"},
        {"alignment": 0},
        {"io": "anywhere"},
        {"scratch": [[8]]},
        {"scratch": [[-8], []]},
    ],
)
def test_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        plan(chain("RELU", "RELU"), **options)  # type: ignore[arg-type]
