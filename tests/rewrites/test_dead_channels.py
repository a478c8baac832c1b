"""Dead channels: what stays holds the values it held, by our kernels on random networks and by tflite-micro on VWW."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.graph import DType, Graph, Op, Origin, Quantization, Tensor
from mcuprof.ops import total_macs
from mcuprof.ops.kernel import Array
from mcuprof.readers import read
from mcuprof.rewrites import remove_dead_channels
from mcuprof.rewrites.dead_channels import surviving_channels
from mcuprof.runner import Session
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.oracles import open_oracle
from tests.corpus import model, needs_shared
from tests.graphs import Affine, op, tensor
from tests.ops.test_intervals import extreme_inputs
from tests.random_networks import random_network
from tests.rewrites.judge import on_tflm


def differing(masks: Mapping[int, Array], ours: Mapping[int, Array], theirs: Mapping[int, Array]) -> list[int]:
    """The tensors whose surviving channels differ. Tensors keep their numbers in this pass."""
    return [index for index, mask in masks.items() if not np.array_equal(ours[index][..., mask], theirs[index])]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_every_surviving_value_is_equal(seed: int) -> None:
    graph = random_network(seed)
    smaller = remove_dead_channels(graph)
    before, after, masks = Session(graph), Session(smaller), surviving_channels(graph)
    for inputs in extreme_inputs(graph, seed, 4):
        ours = before.run_indexed(inputs, keep="all").tensors
        theirs = after.run_indexed(inputs, keep="all").tensors
        assert differing(masks, ours, theirs) == []


def test_the_random_networks_lose_channels_and_some_are_folded() -> None:
    pairs = [(random_network(seed), remove_dead_channels(random_network(seed))) for seed in range(40)]
    assert sum(total_macs(after) < total_macs(before) for before, after in pairs) > 20
    moved = 0
    for before, after in pairs:
        for old, new in zip(before.ops, after.ops, strict=True):
            if old.kind in ("CONV_2D", "FULLY_CONNECTED"):
                was, now = before.input(old, 2).array(), after.input(new, 2).array()
                moved += not set(now.tolist()) <= set(was.tolist())
    assert moved > 5


def test_outputs_and_last_channels_stay() -> None:
    """A network that computes constants only: its output keeps its shape, every tensor a channel."""
    quantized: Affine = {"scale": [1.0], "zero_point": [0]}
    zeros: Affine = {"scale": [1.0] * 3, "zero_point": [0] * 3}
    graph = Graph(
        "constant",
        (
            tensor("x", [1, 2, 2, 3], **quantized),
            tensor("w1", [3, 1, 1, 3], data=bytes(9), **zeros),
            tensor("b1", [3], DType.INT32, data=np.array([1, 2, 3], np.int32).tobytes(), **zeros),
            tensor("h", [1, 2, 2, 3], **quantized),
            tensor("w2", [3, 1, 1, 3], data=np.ones(9, np.int8).tobytes(), **zeros),
            tensor("y", [1, 2, 2, 3], **quantized),
        ),
        (
            op("CONV_2D", (0, 1, 2), (3,), {"padding": "VALID"}),
            op("CONV_2D", (3, 4, -1), (5,), {"padding": "VALID"}),
        ),
        (0,),
        (5,),
        Origin(format="tflite"),
    )
    smaller = remove_dead_channels(graph)
    assert smaller.tensors[3].shape == (1, 2, 2, 1)
    assert smaller.tensors[5].shape == (1, 2, 2, 3)
    # The second layer had no bias; the constants 2 and 3 (or whichever two went) need one.
    found = Session(smaller).run_indexed(random_inputs(graph, 0)).tensors[5]
    assert (found == 6).all()


def test_a_constant_beside_padding_stays() -> None:
    """c = 1 above the zero point in a SAME 3×3 convolution counts 4, 6 or 9 times: no bias can stand for it."""
    quantized: Affine = {"scale": [1.0], "zero_point": [0]}
    rng = np.random.default_rng(0)
    first = np.zeros((2, 1, 1, 1), np.int8)
    first[1] = 1
    graph = Graph(
        "border",
        (
            tensor("x", [1, 4, 4, 1], **quantized),
            tensor("w1", [2, 1, 1, 1], data=first.tobytes(), **quantized),
            tensor("b1", [2], DType.INT32, data=np.array([1, 0], np.int32).tobytes()),
            tensor("h", [1, 4, 4, 2], **quantized),
            tensor(
                "w2", [2, 3, 3, 2], data=rng.integers(1, 5, 36, dtype=np.int8).tobytes(), scale=[0.01], zero_point=[0]
            ),
            tensor("y", [1, 4, 4, 2], **quantized),
        ),
        (
            op("CONV_2D", (0, 1, 2), (3,), {"padding": "SAME"}),
            op("CONV_2D", (3, 4, -1), (5,), {"padding": "SAME"}),
        ),
        (0,),
        (5,),
        Origin(format="tflite"),
    )
    assert remove_dead_channels(graph) is graph
    inside = Op("CONV_2D", graph.ops[1].inputs, (5,), {"padding": "VALID"})
    cropped = Tensor("y", (1, 2, 2, 2), DType.INT8, Quantization((1.0,), (0,)))
    whole = Graph("inside", (*graph.tensors[:5], cropped), (graph.ops[0], inside), (0,), (5,), graph.origin)
    smaller = remove_dead_channels(whole)
    assert smaller.tensors[3].shape == (1, 4, 4, 1)
    for inputs in extreme_inputs(whole, 1, 4):
        one, other = (Session(g).run_indexed(inputs).tensors[5] for g in (whole, smaller))
        assert np.array_equal(one, other)


def test_weights_that_two_operators_share_are_cut_for_each() -> None:
    """The same 1×1 filters read two tensors, of which one has a dead channel."""
    quantized: Affine = {"scale": [1.0], "zero_point": [0]}
    half = np.array([[1, 0], [0, 0]], np.int8).reshape(2, 1, 1, 2)
    full = np.array([[1, 0], [0, 1]], np.int8).reshape(2, 1, 1, 2)
    attributes = {"padding": "VALID"}
    graph = Graph(
        "shared",
        (
            tensor("x", [1, 2, 2, 2], **quantized),
            tensor("half", [2, 1, 1, 2], data=half.tobytes(), **quantized),
            tensor("full", [2, 1, 1, 2], data=full.tobytes(), **quantized),
            tensor("a", [1, 2, 2, 2], **quantized),
            tensor("b", [1, 2, 2, 2], **quantized),
            tensor("w", [2, 1, 1, 2], data=np.array([3, 5, 7, 9], np.int8).tobytes(), scale=[0.1], zero_point=[0]),
            tensor("y", [1, 2, 2, 2], **quantized),
            tensor("z", [1, 2, 2, 2], **quantized),
        ),
        (
            op("CONV_2D", (0, 1, -1), (3,), attributes),
            op("CONV_2D", (0, 2, -1), (4,), attributes),
            op("CONV_2D", (3, 5, -1), (6,), attributes),
            op("CONV_2D", (4, 5, -1), (7,), attributes),
        ),
        (0,),
        (6, 7),
        Origin(format="tflite"),
    )
    smaller = remove_dead_channels(graph)
    assert [smaller.tensors[i].shape[-1] for i in (3, 4)] == [1, 2]
    for inputs in extreme_inputs(graph, 1, 4):
        one, other = (Session(g).run_indexed(inputs).tensors for g in (graph, smaller))
        assert all(np.array_equal(one[i], other[i]) for i in (6, 7))


@needs_shared
def test_vww_keeps_half_its_macs_and_a_seventh_of_its_weights() -> None:
    graph = read(model("mlperf_vww_mbv1_int8").path)
    smaller = remove_dead_channels(graph)
    assert total_macs(smaller) <= 3_900_000
    assert sum(t.nbytes for t in smaller.tensors if t.is_constant) <= 60_000
    before, after, masks = Session(graph), Session(smaller), surviving_channels(graph)
    for seed in range(3):
        inputs = random_inputs(graph, seed)
        ours, theirs = (session.run_indexed(inputs, keep="all").tensors for session in (before, after))
        assert differing(masks, ours, theirs) == []


@needs_shared
@pytest.mark.parametrize("count", [3, pytest.param(1000, marks=pytest.mark.slow)])
def test_vww_in_tflite_micro(count: int) -> None:
    graph = read(model("mlperf_vww_mbv1_int8").path)
    smaller = remove_dead_channels(graph)
    after = on_tflm(smaller)
    before = open_oracle("tflm", graph)
    masks = surviving_channels(graph)
    (pooled,) = (node.outputs[0] for node in graph.ops if node.kind == "AVERAGE_POOL_2D")
    distinct = set()
    for seed in range(count):
        inputs = random_inputs(graph, seed)
        ours, theirs = before.run(inputs), after.run(inputs)
        assert ours.keys() == theirs.keys() == graph.producer.keys()
        assert differing(masks, ours, theirs) == []
        distinct.add(ours[pooled].tobytes())
    assert len(distinct) > count // 2
