"""The smaller passes: each case executed before and after, and the cases in which they must not act."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.graph import Attribute, DType, Graph, Op, Origin, Quantization, Tensor
from mcuprof.readers import read
from mcuprof.rewrites import cancel_pairs, fold_padding, prune, remove_unused, simplify
from mcuprof.runner import Session
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.oracles import open_oracle
from mcuprof.writers.tflite_model import refusal
from tests.corpus import model, models, needs_shared
from tests.graphs import Affine, op, tensor
from tests.ops.test_intervals import extreme_inputs
from tests.random_networks import random_network
from tests.rewrites.judge import on_tflm

Q: Affine = {"scale": [0.5], "zero_point": [-3]}


def made(
    tensors: Sequence[Tensor], ops: Sequence[Op], inputs: Sequence[int] = (0,), outputs: Sequence[int] = ()
) -> Graph:
    last = outputs or (len(tensors) - 1,)
    return Graph("made", tuple(tensors), tuple(ops), tuple(inputs), tuple(last), Origin(format="tflite"))


def same_outputs(before: Graph, after: Graph, count: int = 4) -> bool:
    """Both graphs on the same random inputs."""
    one, other = Session(before), Session(after)
    for seed in range(count):
        inputs = random_inputs(before, seed)
        moved = {new: inputs[old] for old, new in zip(before.inputs, after.inputs, strict=True)}
        ours, theirs = one.run_indexed(inputs).tensors, other.run_indexed(moved).tensors
        for old, new in zip(before.outputs, after.outputs, strict=True):
            if not np.array_equal(ours[old], theirs[new]):
                return False
    return True


# PAD + VALID ----------------------------------------------------------------------------------------------------------


def padded(
    size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], *, kind: str = "CONV_2D", zero: int = -3
) -> Graph | None:
    """x → PAD → VALID convolution, square; None where no output is left. `zero`: the zero point of PAD's output."""
    grown = size + sum(pads)
    out = (grown - (kernel - 1) * dilation - 1) // stride + 1
    if out < 1:
        return None
    rng = np.random.default_rng(0)
    shape = (2, kernel, kernel, 2) if kind == "CONV_2D" else (1, kernel, kernel, 2)
    weights = rng.integers(-127, 128, shape, dtype=np.int8)
    attributes: dict[str, Attribute] = {"padding": "VALID", "stride_h": stride, "stride_w": stride}
    attributes |= {"dilation_h": dilation, "dilation_w": dilation}
    if kind != "CONV_2D":
        attributes["multiplier"] = 1
    amounts = np.array([[0, 0], pads, pads, [0, 0]], np.int32)
    return made(
        (
            tensor("x", [1, size, size, 2], **Q),
            tensor("pads", [4, 2], DType.INT32, data=amounts.tobytes()),
            tensor("p", [1, grown, grown, 2], scale=[0.5], zero_point=[zero]),
            tensor("w", shape, data=weights.tobytes(), scale=[0.01], zero_point=[0]),
            tensor("y", [1, out, out, 2], **Q),
            # tflite-micro's depthwise convolution crashes without a bias.
            tensor("b", [2], DType.INT32, data=np.array([70, -70], np.int32).tobytes(), scale=[0.005], zero_point=[0]),
        ),
        (op("PAD", (0, 1), (2,)), op(kind, (2, 3, 5), (4,), attributes)),
        outputs=(4,),
    )


def test_every_small_padding_is_folded_exactly_when_it_may_be() -> None:
    """All sizes up to 7, kernels 1 to 4, strides 1 to 3, dilations 1 and 2, pads 0 to 3 on either side.

    Whether TFLite's SAME is this padding is worked out anew here: ⌈size / stride⌉ outputs, the odd cell at the end.
    """
    folded = 0
    cases = [
        (size, kernel, stride, dilation, (before, after))
        for size in (4, 5, 7)
        for kernel in (1, 2, 3, 4)
        for stride in (1, 2, 3)
        for dilation in (1, 2)
        for before in range(4)
        for after in range(4)
    ]
    for size, kernel, stride, dilation, pads in cases:
        graph = padded(size, kernel, stride, dilation, pads)
        if graph is None:
            continue
        after = fold_padding(graph)
        out = -(-size // stride)
        missing = max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - size)
        may = graph.tensors[4].shape[1] == out and pads[0] == missing // 2
        assert (after is not graph) == may, (size, kernel, stride, dilation, pads)
        if may:
            folded += 1
            assert after.ops[1].inputs[0] == 0
            assert same_outputs(graph, after, 1), (size, kernel, stride, dilation, pads)
    assert folded > 50


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_keras_zero_padding_before_a_stride_of_two(kind: str) -> None:
    graph = padded(8, 3, 2, 1, (0, 1), kind=kind)
    assert graph is not None
    after = simplify(graph)
    assert [node.kind for node in after.ops] == [kind]
    assert after.ops[0].text("padding") == "SAME"
    one, other = on_tflm(graph), on_tflm(after)
    for seed in range(4):
        inputs = random_inputs(graph, seed)
        ours = one.run(inputs)[graph.outputs[0]]
        assert np.array_equal(ours, other.run({after.inputs[0]: inputs[0]})[after.outputs[0]])


def test_padding_with_another_zero_point_stays() -> None:
    graph = padded(8, 3, 2, 1, (0, 1), zero=0)
    assert graph is not None
    assert fold_padding(graph) is graph


def test_padding_with_a_given_value_needs_the_zero_point() -> None:
    graph = padded(8, 3, 2, 1, (0, 1))
    assert graph is not None
    for value, folds in ((-3, True), (0, False)):
        filler = tensor("filler", [1], data=np.int8(value).tobytes(), **Q)
        tensors = (*graph.tensors, filler)
        given = made(tensors, (op("PADV2", (0, 1, 6), (2,)), graph.ops[1]), outputs=(4,))
        assert (fold_padding(given) is not given) == folds


# Copies and pairs -----------------------------------------------------------------------------------------------------

INT8 = Quantization((0.1,), (5,))
UINT8 = Quantization((0.1,), (133,))


def quantized(name: str, dtype: DType, quantization: Quantization | None) -> Tensor:
    return Tensor(name, (1, 256), dtype, quantization)


def test_dequantize_then_quantize_goes() -> None:
    graph = made(
        (
            quantized("x", DType.INT8, INT8),
            quantized("a", DType.INT8, INT8),
            quantized("f", DType.FLOAT32, None),
            quantized("b", DType.INT8, INT8),
            quantized("y", DType.INT8, INT8),
        ),
        (op("RELU", (0,), (1,)), op("DEQUANTIZE", (1,), (2,)), op("QUANTIZE", (2,), (3,)), op("RELU", (3,), (4,))),
    )
    after = simplify(graph)
    assert [node.kind for node in after.ops] == ["RELU", "RELU"]
    assert same_outputs(graph, after)


@given(
    st.floats(2.0**-20, 2.0**20, width=32), st.integers(-(2**15), 2**15 - 1), st.sampled_from([DType.INT8, DType.INT16])
)
@settings(max_examples=60, deadline=None)
def test_the_pair_is_the_identity_for_every_value(scale: float, zero: int, dtype: DType) -> None:
    """Rule 1, on all values of the type, executed by the kernels that are bypassed."""
    bits = dtype.bits
    zero = zero % 2**bits - 2 ** (bits - 1)
    values = np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1)).astype(dtype.value)
    quantization = Quantization((scale,), (zero,))
    graph = made(
        (
            Tensor("x", values.shape, dtype, quantization),
            Tensor("f", values.shape, DType.FLOAT32),
            Tensor("y", values.shape, dtype, quantization),
        ),
        (op("DEQUANTIZE", (0,), (1,)), op("QUANTIZE", (1,), (2,))),
    )
    assert np.array_equal(Session(graph).run_indexed({0: values}).tensors[2], values)


def test_int8_to_uint8_and_back_goes_and_a_narrowing_stays() -> None:
    for between, kept in ((UINT8, 2), (Quantization((0.1,), (134,)), 4), (Quantization((0.2,), (133,)), 4)):
        graph = made(
            (
                quantized("x", DType.INT8, INT8),
                quantized("a", DType.INT8, INT8),
                quantized("u", DType.UINT8, between),
                quantized("b", DType.INT8, INT8),
                quantized("y", DType.INT8, INT8),
            ),
            (op("RELU", (0,), (1,)), op("QUANTIZE", (1,), (2,)), op("QUANTIZE", (2,), (3,)), op("RELU", (3,), (4,))),
        )
        after = simplify(graph)
        assert len(after.ops) == kept
        assert same_outputs(graph, after)


def test_quantize_then_dequantize_rounds_and_stays() -> None:
    graph = made(
        (
            quantized("x", DType.FLOAT32, None),
            quantized("q", DType.INT8, INT8),
            quantized("y", DType.FLOAT32, None),
        ),
        (op("QUANTIZE", (0,), (1,)), op("DEQUANTIZE", (1,), (2,))),
    )
    assert simplify(graph) is graph


def shape_of(name: str, shape: Sequence[int]) -> Tensor:
    return tensor(name, [len(shape)], DType.INT32, data=np.array(shape, np.int32).tobytes())


def test_reshapes_in_a_row_become_one_and_those_to_the_same_shape_none() -> None:
    graph = made(
        (
            tensor("x", [1, 2, 3, 4], **Q),
            shape_of("s1", (6, 4)),
            tensor("a", [6, 4], **Q),
            shape_of("s2", (1, 24)),
            tensor("b", [1, 24], **Q),
            shape_of("s3", (1, 24)),
            tensor("c", [1, 24], **Q),
            tensor("y", [1, 24], **Q),
        ),
        (
            op("RESHAPE", (0, 1), (2,)),
            op("RESHAPE", (2, 3), (4,)),
            op("RESHAPE", (4, 5), (6,)),
            op("RELU", (6,), (7,)),
        ),
    )
    after = simplify(graph)
    assert [node.kind for node in after.ops] == ["RESHAPE", "RELU"]
    assert same_outputs(graph, after)


def test_an_output_keeps_its_name_when_the_copy_that_made_it_goes() -> None:
    graph = made(
        (tensor("x", [1, 4], **Q), tensor("a", [1, 4], **Q), shape_of("s", (1, 4)), tensor("out", [1, 4], **Q)),
        (op("RELU", (0,), (1,)), op("RESHAPE", (1, 2), (3,))),
    )
    after = simplify(graph)
    assert [node.kind for node in after.ops] == ["RELU"]
    assert [after.tensors[index].name for index in after.outputs] == ["out"]
    assert same_outputs(graph, after)


def test_a_copy_from_an_input_to_an_output_stays() -> None:
    graph = made(
        (tensor("x", [1, 4], **Q), shape_of("s", (1, 4)), tensor("out", [1, 4], **Q)), (op("RESHAPE", (0, 1), (2,)),)
    )
    assert simplify(graph) is graph


def test_a_copy_with_another_quantization_is_none() -> None:
    """RESHAPE copies stored values: with another scale on its output it changes what they mean to the next operator."""
    graph = made(
        (
            tensor("x", [1, 4], **Q),
            tensor("a", [1, 4], **Q),
            shape_of("s", (1, 4)),
            tensor("b", [1, 4], scale=[0.25], zero_point=[0]),
            tensor("y", [1, 4], **Q),
        ),
        (op("RELU", (0,), (1,)), op("RESHAPE", (1, 2), (3,)), op("RELU", (3,), (4,))),
    )
    assert cancel_pairs(graph) is graph


# Unused ---------------------------------------------------------------------------------------------------------------


def test_operators_that_lead_nowhere_go_with_their_tensors() -> None:
    graph = made(
        (
            tensor("x", [1, 4], **Q),
            tensor("nobody", [1, 4], **Q),
            tensor("further", [1, 4], **Q),
            tensor("stray", [7], data=bytes(7)),
            tensor("y", [1, 4], **Q),
        ),
        (op("RELU", (0,), (1,)), op("RELU", (1,), (2,)), op("RELU6", (0,), (4,))),
    )
    after = remove_unused(graph)
    assert [t.name for t in after.tensors] == ["x", "y"]
    assert [node.kind for node in after.ops] == ["RELU6"]
    assert same_outputs(graph, after)
    assert remove_unused(after) is after


def test_state_and_unread_inputs_stay() -> None:
    graph = made(
        (
            tensor("x", [1, 4], **Q),
            tensor("unread", [1, 4], **Q),
            tensor("state", [1, 4], variable=True, **Q),
            tensor("s", [1, 4], **Q),
            tensor("y", [1, 4], **Q),
        ),
        (op("SVDF", (0, 2), (3,)), op("RELU", (0,), (4,))),
        inputs=(0, 1),
    )
    assert remove_unused(graph) is graph


def test_a_plan_by_position_does_not_outlive_a_change() -> None:
    metadata = {"OfflineMemoryAllocation": b"\1", "mcuprof.plan": b"\2", "min_runtime_version": b"1.5.0"}
    tensors = (tensor("x", [1, 4], **Q), tensor("stray", [7], data=bytes(7)), tensor("y", [1, 4], **Q))
    origin = Origin(format="tflite", metadata=metadata)
    graph = Graph("planned", tensors, (op("RELU", (0,), (2,)),), (0,), (2,), origin)
    assert set(remove_unused(graph).origin.metadata) == {"min_runtime_version"}
    unchanged = Graph("planned", (tensors[0], tensors[2]), (op("RELU", (0,), (1,)),), (0,), (1,), origin)
    assert remove_unused(unchanged) is unchanged


# All together ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_simplified_networks_give_the_same_outputs(seed: int) -> None:
    graph = random_network(seed)
    after, summary = prune(graph)
    assert summary.changed == (after is not graph)
    assert simplify(after) is after
    one, other = Session(graph), Session(after)
    for inputs in extreme_inputs(graph, seed, 4):
        ours = one.run_indexed(inputs).tensors[graph.outputs[0]]
        theirs = other.run_indexed({after.inputs[0]: inputs[graph.inputs[0]]}).tensors[after.outputs[0]]
        assert np.array_equal(ours, theirs)


@needs_shared
@pytest.mark.parametrize("name", ["mlperf_vww_mbv1_fp32", "spacemit_vww_onnx", "esphome_v2_vad"])
def test_models_with_nothing_to_remove_come_back_as_they_are(name: str) -> None:
    graph = read(model(name).path)
    after, summary = prune(graph)
    assert not summary.changed
    assert after is graph


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        entry.name
        for entry in models()
        if entry.row["runs_tflm"] == "yes" and entry.row["format"] == "tflite" and entry.row["kind"] != "adversarial"
    ],
)
def test_every_pruned_model_of_the_corpus_in_tflite_micro(name: str) -> None:
    graph = read(model(name).path)
    after, summary = prune(graph)
    if not summary.changed:
        pytest.skip("nothing to remove")
    if (reason := refusal(after)) is not None:
        pytest.skip(reason)
    ours, theirs = open_oracle("tflm", graph), on_tflm(after)
    for seed in range(20):
        inputs = random_inputs(graph, seed)
        moved = {new: inputs[old] for old, new in zip(graph.inputs, after.inputs, strict=True)}
        before, now = ours.run(inputs), theirs.run(moved)
        for old, new in zip(graph.outputs, after.outputs, strict=True):
            assert np.array_equal(before[old], now[new])
