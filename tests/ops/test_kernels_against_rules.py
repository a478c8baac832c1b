"""Kernels with random shapes and quantization against the slow transcriptions of `tests.ops.slow`, and tflite-micro.

Where tflite-micro is installed and takes the options, it judges both: the kernel, and the transcription of its rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.graph import Graph
from mcuprof.ops import numerics
from mcuprof.ops.kernel import Target, rescaler
from mcuprof.ops.sigmoid16 import TABLE
from mcuprof.readers.tflite import read_tflite
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.program import evaluate, prepare
from tests.ops import slow
from tests.tflite_models import O, T, build

few = settings(max_examples=25, deadline=None)
ZERO = st.sampled_from([-128, -127, 0, 1, 127]) | st.integers(-128, 127)
# Powers of two give multipliers of 2^30, their neighbours below the largest that float32 scales can give.
ROUND = [2.0**-power for power in range(1, 9)]
EDGES = [*ROUND, *(float(np.nextafter(np.float32(scale), np.float32(0))) for scale in ROUND)]
SCALE = st.sampled_from(EDGES) | st.floats(2.0**-10, 0.25, width=32)
SEED = st.integers(0, 2**32 - 1)


def outputs(
    tensors: Sequence[T], ops: Sequence[O], inputs: Sequence[int], output: int, seed: int, runs: int = 1
) -> list[tuple[dict[int, Any], list[int]]]:
    """(inputs, output) of each run of the same network, state kept; equal to tflite-micro's where that can tell."""
    data = build(tensors, ops, inputs, [output])
    graph = read_tflite(data, {})
    program = prepare(graph)
    program.require_all()
    state, judge = program.initial_state(), interpreter(data)
    found = []
    for run in range(runs):
        arrays = random_inputs(graph, seed + run)
        ours = evaluate(program, arrays, state)[output]
        if judge is not None:
            for position, tensor in enumerate(graph.inputs):
                judge.set_input(arrays[tensor].copy(), position)
            judge.invoke()
            np.testing.assert_array_equal(ours, judge.get_output(0).reshape(ours.shape))
        found.append((arrays, ours.reshape(-1).tolist()))
    return found


def interpreter(data: bytes) -> Any:
    """tflite-micro with this network; None where it is not installed, or refuses an option or type."""
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError:
        return None
    try:
        runtime.Interpreter.from_bytes(data, arena_size=1 << 20).invoke()  # some refuse only here
        return runtime.Interpreter.from_bytes(data, arena_size=1 << 20)
    except RuntimeError:
        return None


def integers(seed: int, shape: Sequence[int], low: int, high: int) -> Any:
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True)


def f32(*scales: float) -> tuple[np.float32, ...]:
    return tuple(np.float32(scale) for scale in scales)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("low", [-(2**31), -(2**15), -128])
@settings(max_examples=60, deadline=None)
@given(
    q=st.sampled_from([2**30, 2**30 + 1, 0x7FFEFFFF, 0x7FFF0000, 2**31 - 2, 2**31 - 1]),
    shift=st.integers(-31, 7),
    near=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    base=st.sampled_from([0, 1 << 8, 1 << 20, (1 << 23) - 4]),
    zero=ZERO,
)
def test_rescaling_at_the_ends(wide: bool, low: int, q: int, shift: int, near: list[int], base: int, zero: int) -> None:
    """The largest and smallest multipliers and shifts, sums near 0 and near powers of two, zero points at the ends."""
    real = float(q) * 2.0 ** (shift - 31)
    assert numerics.quantize_multiplier(real) == slow.quantize_multiplier(real) == (q, shift)
    values = [sign * base + step for step in near for sign in (1, -1)]
    rule = slow.mbqm_64 if wide else slow.mbqm
    high = -low - 1
    dtype = {2**31: np.int32, 2**15: np.int16, 128: np.int8}[-low]
    run = rescaler(
        Graph("", (), (), (), ()), real, Target(zero, low, high, np.dtype(dtype)), float(base + 3), wide=wide
    )
    expected = [slow.clamp(rule(value, q, shift) + zero, low, high) for value in values]
    assert run(np.array(values, np.int64)).tolist() == expected


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
@few
@given(scales=st.tuples(SCALE, SCALE, SCALE), zeros=st.tuples(ZERO, ZERO, ZERO), seed=SEED)
def test_arithmetic(
    kind: str, dtype: str, scales: tuple[float, float, float], zeros: tuple[int, int, int], seed: int
) -> None:
    zeros = (0, 0, 0) if dtype == "int16" else zeros
    tensors = [T((1, 60), dtype, (scale,), (zero,)) for scale, zero in zip(scales, zeros, strict=True)]
    options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}[kind]
    fields = {"PotScaleInt16": False} if kind != "MUL" else {}
    ((arrays, found),) = outputs(tensors, [O(kind, (0, 1), (2,), options, fields)], [0, 1], 2, seed)
    x, y = (arrays[index].reshape(-1).tolist() for index in (0, 1))
    a, b, c = f32(*scales)
    if kind == "MUL":
        assert found == slow.mul(x, y, (a, b, c), zeros, dtype)
    else:
        assert found == slow.add(x, y, (a, b, c), zeros, dtype, 1 if kind == "ADD" else -1)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@few
@given(
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(1, 4)),
    scales=st.tuples(SCALE, SCALE, SCALE),
    zeros=st.tuples(ZERO, ZERO, ZERO),
    flips=st.tuples(st.booleans(), st.booleans()),
    seed=SEED,
)
def test_batch_matmul(
    dtype: str,
    sizes: tuple[int, int, int],
    scales: tuple[float, float, float],
    zeros: tuple[int, int, int],
    flips: tuple[bool, bool],
    seed: int,
) -> None:
    rows, inner, columns = sizes
    zeros = (0, 0, 0) if dtype == "int16" else zeros
    shapes = [(inner, rows) if flips[0] else (rows, inner), (columns, inner) if flips[1] else (inner, columns)]
    tensors = [
        T((2, *shape), dtype, (scale,), (zero,))
        for shape, scale, zero in zip([*shapes, (rows, columns)], scales, zeros, strict=True)
    ]
    fields = {"AdjX": flips[0], "AdjY": flips[1]}
    op = O("BATCH_MATMUL", (0, 1), (2,), "BatchMatMulOptions", fields)
    ((arrays, found),) = outputs(tensors, [op], [0, 1], 2, seed)
    a, b, c = f32(*scales)
    expected = []
    for x, y in zip(arrays[0], arrays[1], strict=True):
        x, y = x.T if flips[0] else x, y.T if flips[1] else y
        expected += slow.batch_matmul(x.tolist(), y.tolist(), zeros, float(a * b) / float(c), dtype)
    assert found == expected


@few
@given(
    rows=st.integers(1, 3),
    depth=st.integers(1, 20),
    units=st.integers(1, 5),
    scales=st.tuples(SCALE, SCALE, SCALE),
    zeros=st.tuples(ZERO, ZERO),
    seed=SEED,
)
def test_fully_connected_of_4_bits(
    rows: int, depth: int, units: int, scales: tuple[float, float, float], zeros: tuple[int, int], seed: int
) -> None:
    weights, bias = integers(seed, (units, depth), -8, 7), integers(seed, (units,), -999, 999)
    tensors = [
        T((rows, depth), "int8", (scales[0],), (zeros[0],)),
        T((units, depth), "int4", (scales[1],), (0,), weights),
        T((units,), "int32", (scales[0] * scales[1],), (0,), bias),
        T((rows, units), "int8", (scales[2],), (zeros[1],)),
    ]
    op = O("FULLY_CONNECTED", (0, 1, 2), (3,), "FullyConnectedOptions", {})
    ((arrays, found),) = outputs(tensors, [op], [0], 3, seed)
    a, b, c = f32(*scales)
    reals = [float(a * b) / float(c)]
    assert found == slow.fully_connected(
        arrays[0].tolist(), weights.tolist(), bias.tolist(), zeros[0], reals, zeros[1], "int8"
    )


@pytest.mark.parametrize("depthwise", [False, True])
@few
@given(
    size=st.tuples(st.integers(3, 5), st.integers(3, 5), st.integers(1, 3)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    scales=st.tuples(SCALE, SCALE),
    zeros=st.tuples(ZERO, ZERO),
    seed=SEED,
)
def test_convolutions_of_4_bits(
    depthwise: bool,
    size: tuple[int, int, int],
    kernel: tuple[int, int, int],
    scales: tuple[float, float],
    zeros: tuple[int, int],
    seed: int,
) -> None:
    height, width, depth = size
    rows, columns, filters = kernel
    channels = depth * filters if depthwise else filters
    shape = (1, rows, columns, channels) if depthwise else (channels, rows, columns, depth)
    weights, bias = integers(seed, shape, -8, 7), integers(seed, (channels,), -999, 999)
    each = [float(s) for s in np.random.default_rng(seed).uniform(1e-3, 0.2, channels).astype(np.float32)]
    none = (0,) * channels
    tensors = [
        T((1, height, width, depth), "int8", (scales[0],), (zeros[0],)),
        T(shape, "int4", tuple(each), none, weights, 3 if depthwise else 0),
        T((channels,), "int32", tuple(scales[0] * scale for scale in each), none, bias),
        T((1, height - rows + 1, width - columns + 1, channels), "int8", (scales[1],), (zeros[1],)),
    ]
    kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    fields = {"Padding": 1, "StrideH": 1, "StrideW": 1, **({"DepthMultiplier": filters} if depthwise else {})}
    options = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    ((arrays, found),) = outputs(tensors, [O(kind, (0, 1, 2), (3,), options, fields)], [0], 3, seed)
    a, c = f32(*scales)
    reals = [float(a) * float(np.float32(scale)) / float(c) for scale in each]
    expected = slow.convolution(
        arrays[0][0].tolist(), weights.tolist(), zeros[0], reals, zeros[1], depthwise=depthwise, bias=bias.tolist()
    )
    assert found == expected


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@few
@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)),
    to=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    corners=st.booleans(),
    centers=st.booleans(),
    bilinear=st.booleans(),
    seed=SEED,
)
def test_resizing(
    dtype: str,
    size: tuple[int, int, int],
    to: tuple[int, int],
    corners: bool,
    centers: bool,
    bilinear: bool,
    seed: int,
) -> None:
    centers = centers and not corners  # no runtime takes both
    tensors = [
        T((1, *size), dtype, (0.1,), (0,)),
        T((2,), "int32", data=np.array(to)),
        T((1, *to, size[2]), dtype, (0.1,), (0,)),
    ]
    kind, options = ("RESIZE_BILINEAR", "ResizeBilinearOptions")
    if not bilinear:
        kind, options = "RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"
    fields = {"AlignCorners": corners, "HalfPixelCenters": centers}
    ((arrays, found),) = outputs(tensors, [O(kind, (0, 1), (2,), options, fields)], [0], 2, seed)
    rule = slow.resize_bilinear if bilinear else slow.resize_nearest
    assert found == rule(arrays[0][0], *to, corners, centers)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@few
@given(
    shape=st.tuples(*(st.integers(1, 3),) * 4),
    pads=st.tuples(*(st.tuples(st.integers(0, 2), st.integers(0, 2)),) * 4),
    zero=ZERO,
    given_filler=st.none() | ZERO,
    seed=SEED,
)
def test_padding(
    dtype: str,
    shape: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
    zero: int,
    given_filler: int | None,
    seed: int,
) -> None:
    zero = zero if dtype == "int8" else 0
    result = tuple(before + size + after for size, (before, after) in zip(shape, pads, strict=True))
    tensors = [
        T(shape, dtype, (0.1,), (zero,)),
        T((4, 2), "int32", data=np.array(pads)),
        T(result, dtype, (0.1,), (zero,)),
    ]
    op = O("PAD", (0, 1), (2,), "PadOptions", {})
    if given_filler is not None:
        tensors.append(T((1,), dtype, (0.1,), (zero,), np.array([given_filler])))
        op = O("PADV2", (0, 1, 3), (2,), "PadV2Options", {})
    ((arrays, found),) = outputs(tensors, [op], [0], 2, seed)
    assert found == slow.pad(arrays[0], pads, zero if given_filler is None else given_filler)


@pytest.mark.parametrize("state_type", ["int8", "int16"])
@few
@given(
    sizes=st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3)),
    scales=st.tuples(SCALE, SCALE, SCALE, SCALE, SCALE),
    zeros=st.tuples(ZERO, ZERO, ZERO),
    seed=SEED,
)
def test_svdf(
    state_type: str,
    sizes: tuple[int, int, int, int],
    scales: tuple[float, float, float, float, float],
    zeros: tuple[int, int, int],
    seed: int,
) -> None:
    """Three inferences: the state shifts in between."""
    width, units, memory, rank = sizes
    zeros = zeros if state_type == "int8" else (zeros[0], 0, zeros[2])
    filters = units * rank
    features, time = integers(seed, (filters, width), -127, 127), integers(seed + 1, (filters, memory), -127, 127)
    bias = integers(seed, (units,), -999, 999)
    tensors = [
        T((1, width), "int8", (scales[0],), (zeros[0],)),
        T((filters, width), "int8", (scales[1],), (0,), features),
        T((filters, memory), state_type, (scales[2],), (0,), time),
        T((units,), "int32", (scales[2] * scales[3],), (0,), bias),
        T((1, filters * memory), state_type, (scales[3],), (zeros[1],), variable=True),
        T((1, units), "int8", (scales[4],), (zeros[2],)),
    ]
    op = O("SVDF", (0, 1, 2, 3, 4), (5,), "SVDFOptions", {"Rank": rank, "FusedActivationFunction": 1})
    a, b, c, d, e = f32(*scales)
    reals = (float(a * b / d), float(d * c / e))
    state = [[zeros[1] if state_type == "int8" else 0] * memory for _ in range(filters)]
    for arrays, found in outputs(tensors, [op], [0], 5, seed, runs=3):
        x = arrays[0].reshape(-1).tolist()
        assert found == slow.svdf(
            x, features.tolist(), time.tolist(), bias.tolist(), state, rank, zeros, reals, state_type
        )


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@few
@given(
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 4)),
    scale=SCALE,
    weight_scales=st.tuples(*(st.floats(2.0**-10, 2.0**-6, width=32),) * 2),
    hidden_scale=st.floats(2.0**-9, 2.0**-6, width=32),
    zeros=st.tuples(ZERO, ZERO),
    power=st.integers(-14, -8),
    clip=st.sampled_from([0.0, 0.5, 3.0]),
    seed=SEED,
)
def test_lstm(
    dtype: str,
    sizes: tuple[int, int, int],
    scale: float,
    weight_scales: tuple[float, float],
    hidden_scale: float,
    zeros: tuple[int, int],
    power: int,
    clip: float,
    seed: int,
) -> None:
    steps, features, units = sizes
    zeros = zeros if dtype == "int8" else (0, 0)
    scale, hidden_scale = (scale, hidden_scale) if dtype == "int8" else (scale / 256, hidden_scale / 256)
    bias_type = "int32" if dtype == "int8" else "int64"
    cell_scale = 2.0**power
    weights = [integers(seed + gate, (units, features), -127, 127) for gate in range(4)]
    recurrent = [integers(seed + 9 + gate, (units, units), -127, 127) for gate in range(4)]
    biases = [integers(seed + 99 + gate, (units,), -2000, 2000) for gate in range(4)]
    tensors = [
        T((1, steps, features), dtype, (scale,), (zeros[0],)),
        *(T((units, features), "int8", (weight_scales[0],), (0,), w) for w in weights),
        *(T((units, units), "int8", (weight_scales[1],), (0,), w) for w in recurrent),
        *(T((units,), bias_type, (scale * weight_scales[0],), (0,), b) for b in biases),
        T((1, units), dtype, (hidden_scale,), (zeros[1],), variable=True),
        T((1, units), "int16", (cell_scale,), (0,), variable=True),
        T((1, steps, units), dtype, (hidden_scale,), (zeros[1],)),
    ]
    inputs = [*range(9), -1, -1, -1, *range(9, 13), -1, -1, 13, 14, -1, -1, -1, -1]
    fields = {"CellClip": clip, "FusedActivationFunction": 4}
    op = O("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, (15,), "UnidirectionalSequenceLSTMOptions", fields)
    ((arrays, found),) = outputs(tensors, [op], [0], 15, seed)
    x, wx, wh, h, c = f32(scale, *weight_scales, hidden_scale, cell_scale)
    gate = np.float32(2.0**-12)
    assert found == slow.lstm(
        arrays[0][0].tolist(),
        [w.tolist() for w in weights],
        [w.tolist() for w in recurrent],
        [b.tolist() for b in biases],
        zeros,
        [(float(x * wx / gate), float(h * wh / gate))] * 4,
        (h, c),
        min(int(np.float32(clip) / c), 32767) if clip else 0,
        TABLE.tolist(),
        dtype,
    )
