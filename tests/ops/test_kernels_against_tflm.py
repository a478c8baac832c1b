"""Kernels with random shapes, strides, paddings, zero points and scales against tflite-micro's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.ops.sigmoid16 import TABLE
from mcuprof.readers.tflite import read_tflite
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.program import evaluate, prepare
from tests.tflite_models import O, T, build

runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed")

few = settings(max_examples=30, deadline=None)
ZERO = st.integers(-128, 127)
SCALE = st.floats(2.0**-10, 0.25, width=32)
SEED = st.integers(0, 2**32 - 1)
ACTIVATION = st.sampled_from([0, 1, 3])


def check(tensors: Sequence[T], ops: Sequence[O], inputs: Sequence[int], output: int, seed: int) -> None:
    """Our output equals tflite-micro's on random inputs."""
    data = build(tensors, ops, inputs, [output])
    graph = read_tflite(data, {})
    program = prepare(graph)
    program.require_all()
    given_arrays = random_inputs(graph, seed)
    try:
        interpreter = runtime.Interpreter.from_bytes(data, arena_size=1 << 20)
    except RuntimeError:
        return  # an option that tflite-micro refuses, such as a scale ratio above one
    for position, tensor in enumerate(graph.inputs):
        interpreter.set_input(given_arrays[tensor].copy(), position)
    interpreter.invoke()
    ours = evaluate(program, given_arrays, program.initial_state())[output]
    np.testing.assert_array_equal(ours, interpreter.get_output(0).reshape(ours.shape))


def values(seed: int, shape: Sequence[int], low: int, high: int) -> Any:
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True)


@st.composite
def windows(draw: st.DrawFn) -> dict[str, int]:
    return {
        "height": draw(st.integers(1, 7)),
        "width": draw(st.integers(1, 7)),
        "depth": draw(st.integers(1, 5)),
        "filters": draw(st.integers(1, 5)),
        "rows": draw(st.integers(1, 3)),
        "columns": draw(st.integers(1, 3)),
        "stride": draw(st.integers(1, 3)),
        "dilation": draw(st.integers(1, 2)),
        "padding": draw(st.integers(0, 1)),
    }


def sizes(w: dict[str, int]) -> tuple[int, int]:
    """Output height and width (ComputeOutSize); 0 where a VALID window does not fit."""

    def size(length: int, taps: int) -> int:
        span = (taps - 1) * w["dilation"] + 1
        return -(-length // w["stride"]) if w["padding"] == 0 else max(0, (length - span + w["stride"]) // w["stride"])

    return size(w["height"], w["rows"]), size(w["width"], w["columns"])


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize("wide", [False, True])
@few
@given(w=windows(), zero=ZERO, out_zero=ZERO, scale=SCALE, out_scale=SCALE, activation=ACTIVATION, seed=SEED)
def test_convolutions(
    kind: str,
    wide: bool,
    w: dict[str, int],
    zero: int,
    out_zero: int,
    scale: float,
    out_scale: float,
    activation: int,
    seed: int,
) -> None:
    height, width = sizes(w)
    if not height or not width:
        return
    depthwise = kind == "DEPTHWISE_CONV_2D"
    multiplier = w["filters"]
    channels = w["depth"] * multiplier if depthwise else w["filters"]
    kernel = (1, w["rows"], w["columns"], channels) if depthwise else (channels, w["rows"], w["columns"], w["depth"])
    dtype, bias_type = ("int16", "int64") if wide else ("int8", "int32")
    scales = tuple(float(s) for s in np.random.default_rng(seed).uniform(1e-3, 0.1, channels).astype(np.float32))
    axis = 3 if depthwise else 0
    tensors = [
        T((1, w["height"], w["width"], w["depth"]), dtype, (scale,), (0 if wide else zero,)),
        T(kernel, "int8", scales, (0,) * channels, values(seed, kernel, -127, 127), axis),
        T(
            (channels,),
            bias_type,
            tuple(scale * s for s in scales),
            (0,) * channels,
            values(seed, (channels,), -999, 999),
        ),
        T((1, height, width, channels), dtype, (out_scale,), (0 if wide else out_zero,)),
    ]
    options = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    fields = {
        "Padding": w["padding"],
        "StrideH": w["stride"],
        "StrideW": w["stride"],
        "DilationHFactor": w["dilation"],
        "DilationWFactor": w["dilation"],
        "FusedActivationFunction": activation,
        **({"DepthMultiplier": multiplier} if depthwise else {}),
    }
    check(tensors, [O(kind, (0, 1, 2), (3,), options, fields)], [0], 3, seed)


@pytest.mark.parametrize("per_channel", [False, True])
@few
@given(
    rows=st.integers(1, 3),
    depth=st.integers(1, 70),
    units=st.integers(1, 9),
    zero=ZERO,
    out_zero=ZERO,
    scale=SCALE,
    out_scale=SCALE,
    activation=ACTIVATION,
    seed=SEED,
)
def test_fully_connected(
    per_channel: bool,
    rows: int,
    depth: int,
    units: int,
    zero: int,
    out_zero: int,
    scale: float,
    out_scale: float,
    activation: int,
    seed: int,
) -> None:
    count = units if per_channel else 1
    scales = tuple(float(s) for s in np.random.default_rng(seed).uniform(1e-3, 0.1, count).astype(np.float32))
    tensors = [
        T((rows, depth), "int8", (scale,), (zero,)),
        T((units, depth), "int8", scales, (0,) * count, values(seed, (units, depth), -127, 127)),
        T((units,), "int32", tuple(scale * s for s in scales), (0,) * count, values(seed, (units,), -9999, 9999)),
        T((rows, units), "int8", (out_scale,), (out_zero,)),
    ]
    op = O("FULLY_CONNECTED", (0, 1, 2), (3,), "FullyConnectedOptions", {"FusedActivationFunction": activation})
    check(tensors, [op], [0], 3, seed)


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"])
@few
@given(zeros=st.tuples(ZERO, ZERO, ZERO), scales=st.tuples(SCALE, SCALE, SCALE), seed=SEED, one=st.booleans())
def test_arithmetic(
    kind: str, zeros: tuple[int, int, int], scales: tuple[float, float, float], seed: int, one: bool
) -> None:
    if kind in ("MAXIMUM", "MINIMUM"):
        zeros, scales = (zeros[0],) * 3, (scales[0],) * 3
    shapes = [(1, 4, 3, 5), (1, 1, 1, 5) if one else (1, 4, 3, 5), (1, 4, 3, 5)]
    tensors = [T(shape, "int8", (s,), (z,)) for shape, s, z in zip(shapes, scales, zeros, strict=True)]
    options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "SQUARED_DIFFERENCE": ""}
    check(tensors, [O(kind, (0, 1), (2,), options.get(kind, "MaximumMinimumOptions"), {})], [0, 1], 2, seed)


@pytest.mark.parametrize("kind", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@few
@given(w=windows(), zero=ZERO, scale=SCALE, activation=ACTIVATION, seed=SEED)
def test_pools(kind: str, w: dict[str, int], zero: int, scale: float, activation: int, seed: int) -> None:
    w = {**w, "dilation": 1}
    height, width = sizes(w)
    if not height or not width:
        return
    tensors = [
        T((1, w["height"], w["width"], w["depth"]), "int8", (scale,), (zero,)),
        T((1, height, width, w["depth"]), "int8", (scale,), (zero,)),
    ]
    fields = {
        "Padding": w["padding"],
        "StrideH": w["stride"],
        "StrideW": w["stride"],
        "FilterHeight": w["rows"],
        "FilterWidth": w["columns"],
        "FusedActivationFunction": activation,
    }
    check(tensors, [O(kind, (0,), (1,), "Pool2DOptions", fields)], [0], 1, seed)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@few
@given(scale=SCALE, zero=ZERO, beta=st.floats(0.125, 3.0, width=32), columns=st.integers(1, 40), seed=SEED)
def test_softmax(dtype: str, scale: float, zero: int, beta: float, columns: int, seed: int) -> None:
    out = ((1.0 / 256,), (-128,)) if dtype == "int8" else ((2.0**-15,), (0,))
    spread = scale if dtype == "int8" else scale / 256
    tensors = [
        T((2, columns), dtype, (spread,), (zero if dtype == "int8" else 0,)),
        T((2, columns), dtype, *out),
    ]
    check(tensors, [O("SOFTMAX", (0,), (1,), "SoftmaxOptions", {"Beta": beta})], [0], 1, seed)


@pytest.mark.parametrize(
    ("kind", "dtype", "scale_out", "zero_out"),
    [
        ("LOGISTIC", "int8", 1 / 256, -128),
        ("TANH", "int8", 1 / 128, 0),
        ("LOGISTIC", "int16", 2.0**-15, 0),
        ("TANH", "int16", 2.0**-15, 0),
        ("L2_NORMALIZATION", "int8", 1 / 128, 0),
        ("LOG_SOFTMAX", "int8", 1 / 16, 127),
    ],
)
@few
@given(scale=SCALE, zero=ZERO, seed=SEED)
def test_functions_of_fixed_output(
    kind: str, dtype: str, scale_out: float, zero_out: int, scale: float, zero: int, seed: int
) -> None:
    source = T((1, 200), dtype, (scale if dtype == "int8" else scale / 128,), (zero if dtype == "int8" else 0,))
    options = {"L2_NORMALIZATION": "L2NormOptions", "LOG_SOFTMAX": "LogSoftmaxOptions"}.get(kind, "")
    check([source, T((1, 200), dtype, (scale_out,), (zero_out,))], [O(kind, (0,), (1,), options, {})], [0], 1, seed)


@pytest.mark.parametrize("kind", ["HARD_SWISH", "LEAKY_RELU", "RELU", "RELU6", "ELU", "QUANTIZE"])
@few
@given(
    scales=st.tuples(SCALE, SCALE), zeros=st.tuples(ZERO, ZERO), alpha=st.floats(0.0078125, 0.875, width=32), seed=SEED
)
def test_functions_of_free_output(
    kind: str, scales: tuple[float, float], zeros: tuple[int, int], alpha: float, seed: int
) -> None:
    tensors = [T((1, 200), "int8", (s,), (z,)) for s, z in zip(scales, zeros, strict=True)]
    fields = {"Alpha": alpha} if kind == "LEAKY_RELU" else {}
    check(tensors, [O(kind, (0,), (1,), "LeakyReluOptions" if fields else "", fields)], [0], 1, seed)


# Short decimal scales: their quotients lie at ties, where float32 and double arithmetic part.
DECIMAL = (0.125, 0.25, 0.05, 0.1, 0.15, 0.2, 0.0125, 0.07)


@pytest.mark.parametrize("kind", ["HARD_SWISH", "LEAKY_RELU", "RELU", "RELU6", "QUANTIZE"])
@pytest.mark.parametrize("alpha", [0.5, 0.1, 0.3])
def test_functions_at_ties(kind: str, alpha: float) -> None:
    fields = {"Alpha": alpha} if kind == "LEAKY_RELU" else {}
    for seed, scales in enumerate(itertools.product(DECIMAL, DECIMAL)):
        tensors = [T((1, 200), "int8", (scale,), (0,)) for scale in scales]
        check(tensors, [O(kind, (0,), (1,), "LeakyReluOptions" if fields else "", fields)], [0], 1, seed)


@pytest.mark.parametrize("kind", ["MEAN", "SUM"])
@few
@given(
    scales=st.tuples(SCALE, SCALE),
    zeros=st.tuples(ZERO, ZERO),
    axes=st.sampled_from([(1,), (1, 2), (2,), (3,)]),
    seed=SEED,
)
def test_reductions(
    kind: str, scales: tuple[float, float], zeros: tuple[int, int], axes: tuple[int, ...], seed: int
) -> None:
    shape = (1, 5, 3, 4)
    reduced = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    tensors = [
        T(shape, "int8", (scales[0],), (zeros[0],)),
        T((len(axes),), "int32", data=np.array(axes)),
        T(reduced, "int8", (scales[1],), (zeros[1],)),
    ]
    check(tensors, [O(kind, (0, 1), (2,), "ReducerOptions", {"KeepDims": True})], [0], 2, seed)


@few
@given(w=windows(), zero=ZERO, out_zero=ZERO, scale=SCALE, out_scale=SCALE, seed=SEED)
def test_transposed_convolution(
    w: dict[str, int], zero: int, out_zero: int, scale: float, out_scale: float, seed: int
) -> None:
    same = w["padding"] == 0
    reach = [
        w["stride"] * n if same else (n - 1) * w["stride"] + k
        for n, k in ((w["height"], w["rows"]), (w["width"], w["columns"]))
    ]
    kernel = (w["filters"], w["rows"], w["columns"], w["depth"])
    tensors = [
        T((4,), "int32", data=np.array([1, *reach, w["filters"]])),
        T(kernel, "int8", (0.02,), (0,), values(seed, kernel, -127, 127)),
        T((1, w["height"], w["width"], w["depth"]), "int8", (scale,), (zero,)),
        T((1, *reach, w["filters"]), "int8", (out_scale,), (out_zero,)),
    ]
    fields = {"Padding": w["padding"], "StrideH": w["stride"], "StrideW": w["stride"]}
    check(tensors, [O("TRANSPOSE_CONV", (0, 1, 2), (3,), "TransposeConvOptions", fields)], [2], 3, seed)


def test_the_sigmoid_table_is_the_runtimes() -> None:
    """At scale 1/6144 the values 128·i land on entry i of the table: TANH gives it back whole."""
    data = build(
        [T((1, 256), "int16", (1 / 6144,), (0,)), T((1, 256), "int16", (2.0**-15,), (0,))],
        [O("TANH", (0,), (1,))],
        [0],
        [1],
    )
    interpreter = runtime.Interpreter.from_bytes(data)
    x = np.minimum(np.arange(256) * 128, 32767).astype(np.int16).reshape(1, 256)
    interpreter.set_input(x, 0)
    interpreter.invoke()
    assert (interpreter.get_output(0).reshape(-1)[:255].astype(int) + 32768).tolist() == list(TABLE[:255])
