"""Intervals against execution: random networks on random and extreme inputs, and the published figures of one model."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.graph import DType, Graph, Op, Origin, Quantization, Tensor
from mcuprof.ops.dead import DeadCompute, constant_channels, dead_compute
from mcuprof.ops.geometry import window
from mcuprof.ops.intervals import intervals
from mcuprof.ops.kernel import Array, fused_range, zero_of
from mcuprof.readers import read
from mcuprof.runner import Session
from tests.corpus import model, needs_shared
from tests.graphs import Affine, op, tensor
from tests.random_networks import random_network


def extreme_inputs(graph: Graph, seed: int, count: int) -> list[dict[int, Array]]:
    """All lowest, all highest, corners of the cube, and uniform values."""
    rng = np.random.default_rng(seed)
    shape = graph.tensors[graph.inputs[0]].shape
    fixed = [np.full(shape, -128, np.int8), np.full(shape, 127, np.int8)]
    corners = [np.where(rng.random(shape) < 0.5, -128, 127).astype(np.int8) for _ in range(count // 2)]
    uniform = [rng.integers(-128, 128, shape, dtype=np.int8) for _ in range(count - count // 2)]
    return [{graph.inputs[0]: values} for values in (*fixed, *corners, *uniform)]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_execution_leaves_its_intervals(seed: int) -> None:
    graph = random_network(seed)
    known = intervals(graph)
    session = Session(graph)
    for inputs in extreme_inputs(graph, seed, 8):
        for index, values in session.run_indexed(inputs, keep="all").tensors.items():
            assert index in known
            assert (known[index].low <= values).all(), graph.tensors[index]
            assert (values <= known[index].high).all(), graph.tensors[index]


def test_the_random_networks_have_dead_and_live_channels() -> None:
    found = [dead_compute(random_network(seed)) for seed in range(40)]
    assert sum(0 < row.dead_channels < row.channels for one in found for row in one.operators) > 20


# x ∈ {−128 … 127} with zero point −128: x − zero ∈ 0 … 255. One 1×1 filter per case; scale 1 throughout, so that the
# output is clamp(w·x + bias − 128).
@pytest.mark.parametrize(
    ("weight", "bias", "activation", "low", "high"),
    [
        (0, 0, "NONE", -128, -128),
        (0, 77, "NONE", -51, -51),
        (1, 0, "NONE", -128, 127),
        (1, -255, "NONE", -128, -128),
        (1, -254, "NONE", -128, -127),
        (-1, 0, "NONE", -128, -128),
        (-1, 255, "NONE", -128, 127),
        (-1, 256, "NONE", -127, 127),
        (1, 255, "NONE", 127, 127),
        (1, 3, "RELU6", -125, -122),
        (1, 6, "RELU6", -122, -122),
    ],
)
def test_one_channel_by_hand(weight: int, bias: int, activation: str, low: int, high: int) -> None:
    quantized: Affine = {"scale": [1.0], "zero_point": [-128]}
    graph = Graph(
        "one",
        (
            tensor("x", [1, 2, 2, 1], **quantized),
            tensor("w", [1, 1, 1, 1], data=np.int8(weight).tobytes(), scale=[1.0], zero_point=[0]),
            tensor("b", [1], DType.INT32, data=np.int32(bias).tobytes(), scale=[1.0], zero_point=[0]),
            tensor("y", [1, 2, 2, 1], **quantized),
        ),
        (op("CONV_2D", (0, 1, 2), (3,), {"padding": "VALID", "activation": activation}),),
        (0,),
        (3,),
        Origin(format="tflite"),
    )
    found = intervals(graph)[3]
    assert (int(found.low.min()), int(found.high.max())) == (low, high)


def test_a_constant_that_meets_padding_is_not_constant() -> None:
    """A channel that always holds 1 above its zero point, through a 3×3 filter of ones: 4, 6 or 9 cells are inside."""
    weights = np.ones((1, 3, 3, 1), np.int8)
    quantized = Quantization((1.0,), (0,))
    graph = Graph(
        "border",
        (
            Tensor("x", (1, 3, 3, 1), DType.INT8, quantized),
            tensor("zero", [1, 1, 1, 1], data=bytes(1), scale=[1.0], zero_point=[0]),
            tensor("one", [1], DType.INT32, data=np.int32(1).tobytes()),
            Tensor("c", (1, 3, 3, 1), DType.INT8, quantized),
            tensor("ones", [1, 3, 3, 1], data=weights.tobytes(), scale=[1.0], zero_point=[0]),
            Tensor("y", (1, 3, 3, 1), DType.INT8, quantized),
        ),
        (
            op("CONV_2D", (0, 1, 2), (3,), {"padding": "VALID"}),
            op("DEPTHWISE_CONV_2D", (3, 4, -1), (5,), {"padding": "SAME", "multiplier": 1}),
        ),
        (0,),
        (5,),
        Origin(format="tflite"),
    )
    known = intervals(graph)
    assert known[3].constant.all()
    assert (int(known[5].low.min()), int(known[5].high.max())) == (4, 9)


def test_unknown_operators_and_float_islands_bound_nothing() -> None:
    quantized = Quantization((0.1,), (0,))
    graph = Graph(
        "opaque",
        (Tensor("x", (1, 4), DType.INT8, quantized), Tensor("y", (1, 4), DType.INT8, quantized)),
        (Op("CUSTOM:mystery", (0,), (1,)),),
        (0,),
        (1,),
    )
    found = intervals(graph)[1]
    assert (int(found.low.min()), int(found.high.max())) == (-128, 127)


# The reference VWW model ----------------------------------------------------------------------------------------------


def coarse(graph: Graph) -> tuple[dict[int, Array], DeadCompute]:
    """An analysis on its own: one interval per channel, widened by the zero point wherever a window is padded, results
    rounded once. It is what the published figure was worked out with."""
    bounds = {graph.inputs[0]: (np.full(graph.tensors[graph.inputs[0]].shape[-1], -128.0), np.full(3, 127.0))}
    constant: dict[int, Array] = {}
    for node in graph.ops:
        x, out = graph.input(node), graph.output(node)
        low, high = bounds[node.inputs[0]]
        if node.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            bounds[node.outputs[0]] = (low, high)
            continue
        low, high = low - zero_of(x), high - zero_of(x)
        if window(graph, node).padded:
            low, high = np.minimum(low, 0), np.maximum(high, 0)
        weights = graph.input(node, 1).array().astype(float)
        if node.kind == "CONV_2D":
            weights = weights.reshape(len(weights), -1, weights.shape[-1]).transpose(1, 2, 0)
        else:
            weights = weights.reshape(-1, 1, weights.shape[-1])
        shaped = [side[None, :, None] if node.kind == "CONV_2D" else side[None, None] for side in (low, high)]
        ends = np.stack([weights * shaped[0], weights * shaped[1]])
        quantizations = [graph.input(node).quantization, graph.input(node, 1).quantization, out.quantization]
        a, b, c = (np.array(q.scale) for q in quantizations if q is not None)
        smallest, largest = fused_range(node, out)
        bias = graph.input(node, 2).array()
        sides = [
            np.clip(np.floor((part.sum(axis=(0, 1)) + bias) * a * b / c + 0.5) + zero_of(out), smallest, largest)
            for part in (ends.min(axis=0), ends.max(axis=0))
        ]
        bounds[node.outputs[0]] = (sides[0], sides[1])
        constant[node.outputs[0]] = sides[0] == sides[1]
    return constant, dead_compute(graph)


@needs_shared
def test_the_reference_vww_model_is_half_dead() -> None:
    """1,651 channels by the coarse analysis (shared/notes/measurements.md). Ours follows borders and finds more."""
    graph = read(model("mlperf_vww_mbv1_int8").path)
    published, found = coarse(graph)
    assert sum(int(mask.sum()) for mask in published.values()) == 1651
    known = intervals(graph)
    for index, mask in published.items():
        ours = constant_channels(known[index], len(mask))
        # Rounding twice, as the runtime does, may separate two sums that round alike once.
        assert int((mask & ~ours).sum()) <= 1
    assert found.dead_channels >= 1651
    assert found.macs == 7_489_664
    assert found.live_macs <= 3_794_057
    assert found.weights == 208_112
    assert found.live_weights <= 31_796


@needs_shared
def test_constant_channels_of_the_reference_model_never_change() -> None:
    graph = read(model("mlperf_vww_mbv1_int8").path)
    known, session = intervals(graph), Session(graph)
    for inputs in extreme_inputs(graph, 7, 6):
        for index, values in session.run_indexed(inputs, keep="all").tensors.items():
            assert ((known[index].low <= values) & (values <= known[index].high)).all()


@needs_shared
def test_the_analysis_is_quick() -> None:
    graph = read(model("mlperf_vww_mbv1_int8").path)
    times = []
    for _ in range(3):
        start = time.process_time()
        dead_compute(graph)
        times.append(time.process_time() - start)
    assert min(times) < 0.2


def test_a_gather_by_computed_indices_takes_from_anywhere() -> None:
    """Its ends, 0 and 9, lie between what the indices in the middle reach."""
    data = np.array([0, 127, -128, 9], np.int8)
    graph = Graph(
        "gather",
        (
            tensor("x", [4], scale=[1.0], zero_point=[0]),
            tensor("i", [2], DType.INT16),
            tensor("y", [2], scale=[1.0], zero_point=[0]),
            tensor("c", [4], data=data.tobytes(), scale=[1.0], zero_point=[0]),
            tensor("z", [2], scale=[1.0], zero_point=[0]),
        ),
        (op("GATHER", (0, 1), (2,), {"axis": 0}), op("GATHER", (3, 1), (4,), {"axis": 0})),
        (0, 1),
        (2, 4),
        Origin(format="tflite"),
    )
    known = intervals(graph)
    assert all((known[index].low.min(), known[index].high.max()) == (-128, 127) for index in (2, 4))
