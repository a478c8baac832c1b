"""Kernels in random shapes, axes, masks and quantizations, at their extremes too, against tflite-micro's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from mcuprof.errors import ModelError
from mcuprof.graph import Graph
from tests.tflite_models import O, T
from tests.tflm_judge import Feed, agrees, random

few = settings(max_examples=8, deadline=None)
SEED = st.integers(0, 2**32 - 1)
ZEROS = {"int8": st.sampled_from([-128, -1, 0, 1, 127]) | st.integers(-128, 127)}
SCALE = st.sampled_from([2.0**-10, 0.003, 0.05, 0.1, 0.5, 1.0, 30.0]) | st.floats(2.0**-10, 2.0, width=32)
OPTIONS = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}
COMPARISONS = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")


@st.composite
def tensors(draw: st.DrawFn, dtype: str, shape: Sequence[int]) -> T:
    """A tensor with a random quantization where its type has one."""
    if dtype not in ("int8", "int16"):
        return T(tuple(shape), dtype)
    zero = draw(ZEROS["int8"]) if dtype == "int8" else 0
    return T(tuple(shape), dtype, (draw(SCALE),), (zero,))


@st.composite
def shapes(draw: st.DrawFn, least: int = 1, most: int = 4) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(1, 4), min_size=least, max_size=most)))


@st.composite
def broadcasts(draw: st.DrawFn, count: int) -> tuple[tuple[int, ...], ...]:
    """A shape, and `count` shapes that broadcast to it together: axes of 1, and leading axes left out."""
    whole = draw(shapes())
    found = []
    for _ in range(count):
        one = [1 if draw(st.booleans()) else size for size in whole]
        found.append(tuple(one[draw(st.integers(0, len(whole))) :]))
    result = np.broadcast_shapes(*found)
    return (tuple(int(size) for size in result), *found)


def ints(values: Sequence[int] | Sequence[Sequence[int]] | np.ndarray) -> T:
    array = np.array(values, np.int32)
    return T(array.shape, "int32", data=array)


def judged(made: list[T], op: O, seed: int) -> None:
    try:
        event("compared" if agrees(made, op, random(seed)) else "refused by tflite-micro")
    except ModelError as error:
        if "which C does not define" not in str(error):
            raise
        event("undefined in tflite-micro")


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int32"])
@pytest.mark.parametrize(
    "kind", [*OPTIONS, "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD", *COMPARISONS]
)
@few
@given(data=st.data(), parts=broadcasts(2), activation=st.sampled_from([0, 0, 1, 2, 3]), seed=SEED)
def test_binary(
    kind: str, dtype: str, data: st.DataObject, parts: tuple[tuple[int, ...], ...], activation: int, seed: int
) -> None:
    whole, left, right = parts
    made = [data.draw(tensors(dtype, shape)) for shape in (left, right, whole)]
    if kind in ("MAXIMUM", "MINIMUM"):
        made = [T(tensor.shape, dtype, made[0].scale, made[0].zero) for tensor in made]
    if kind in COMPARISONS:
        made[2] = T(whole, "bool")
    fields = {"FusedActivationFunction": activation} if kind in OPTIONS else None
    judged(made, O(kind, (0, 1), (2,), OPTIONS.get(kind, ""), fields), seed)


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int32", "int64"])
@few
@given(data=st.data(), parts=broadcasts(3), seed=SEED)
def test_select(dtype: str, data: st.DataObject, parts: tuple[tuple[int, ...], ...], seed: int) -> None:
    whole, condition, left, right = parts
    x = data.draw(tensors(dtype, left))
    made = [T(condition, "bool"), x, T(right, dtype, x.scale, x.zero), T(whole, dtype, x.scale, x.zero)]
    judged(made, O("SELECT_V2", (0, 1, 2), (3,), "SelectV2Options", {}), seed)


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int32", "bool"])
@pytest.mark.parametrize("kind", ["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL"])
@few
@given(data=st.data(), shape=shapes(), keep=st.booleans(), seed=SEED)
def test_reductions(kind: str, dtype: str, data: st.DataObject, shape: tuple[int, ...], keep: bool, seed: int) -> None:
    rank = len(shape)
    axes = data.draw(st.lists(st.integers(-rank, rank - 1), min_size=1, max_size=rank + 1))
    gone = {axis % rank for axis in axes}
    kept = [1 if axis in gone else size for axis, size in enumerate(shape) if keep or axis not in gone]
    x, out = data.draw(tensors(dtype, shape)), data.draw(tensors(dtype, kept))
    judged([x, ints(axes), out], O(kind, (0, 1), (2,), "ReducerOptions", {"KeepDims": keep}), seed)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("kind", ["ARG_MAX", "ARG_MIN"])
@few
@given(data=st.data(), shape=shapes(), levels=st.integers(1, 3), seed=SEED)
def test_first_of_equals(
    kind: str, dtype: str, data: st.DataObject, shape: tuple[int, ...], levels: int, seed: int
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    rest = [size for place, size in enumerate(shape) if place != axis % len(shape)]
    made = [data.draw(tensors(dtype, shape)), ints([axis]), T(tuple(rest), "int32")]
    op = O(kind, (0, 1), (2,), f"{'ArgMax' if kind == 'ARG_MAX' else 'ArgMin'}Options", {"OutputType": 2})
    values = np.random.default_rng(seed).integers(-levels, levels, shape).astype(dtype)
    event("compared" if agrees(made, op, lambda graph: {0: values}) else "refused by tflite-micro")


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@few
@given(data=st.data(), shape=shapes(), exclusive=st.booleans(), reverse=st.booleans(), seed=SEED)
def test_cumulative_sums(
    dtype: str, data: st.DataObject, shape: tuple[int, ...], exclusive: bool, reverse: bool, seed: int
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    made = [data.draw(tensors(dtype, shape)), T((), "int32", data=axis), data.draw(tensors(dtype, shape))]
    fields = {"Exclusive": exclusive, "Reverse": reverse}
    judged(made, O("CUMSUM", (0, 1), (2,), "CumsumOptions", fields), seed)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@few
@given(data=st.data(), shape=shapes(), count=st.integers(2, 9), seed=SEED)
def test_sums_of_many(dtype: str, data: st.DataObject, shape: tuple[int, ...], count: int, seed: int) -> None:
    x, out = data.draw(tensors(dtype, shape)), data.draw(tensors(dtype, shape))
    judged([x] * count + [out], O("ADD_N", range(count), (count,), "AddNOptions", {}), seed)


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
@pytest.mark.parametrize("kind", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
@few
@given(
    size=st.tuples(st.integers(1, 2), st.integers(1, 7), st.integers(1, 7), st.integers(1, 3)),
    to=st.tuples(st.integers(1, 15), st.integers(1, 15)),
    corners=st.booleans(),
    centers=st.booleans(),
    seed=SEED,
)
def test_resizing(
    kind: str, dtype: str, size: tuple[int, ...], to: tuple[int, int], corners: bool, centers: bool, seed: int
) -> None:
    quantization = ((), ()) if dtype == "float32" else ((0.1,), (0,))
    made = [T(size, dtype, *quantization), ints(to), T((size[0], *to, size[3]), dtype, *quantization)]
    options = "ResizeBilinearOptions" if kind == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    fields = {"AlignCorners": corners, "HalfPixelCenters": centers}
    judged(made, O(kind, (0, 1), (2,), options, fields), seed)


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int32", "bool"])
@few
@given(data=st.data(), shape=shapes(), masks=st.tuples(*(st.integers(0, 31),) * 3), seed=SEED)
def test_strided_slices(
    dtype: str, data: st.DataObject, shape: tuple[int, ...], masks: tuple[int, ...], seed: int
) -> None:
    rank = len(shape)
    begin_mask, end_mask, shrink_mask = (mask % (1 << rank) for mask in masks)
    begins = [data.draw(st.integers(-size - 2, size + 1)) for size in shape]
    ends = [data.draw(st.integers(-size - 2, size + 2)) for size in shape]
    strides = [data.draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in shape]
    kept = []
    for axis, size in enumerate(shape):
        if shrink_mask >> axis & 1:
            begins[axis] %= size
            strides[axis] = 1
            continue
        begin = None if begin_mask >> axis & 1 else begins[axis]
        end = None if end_mask >> axis & 1 else ends[axis]
        kept.append(len(range(size)[slice(begin, end, strides[axis])]))
    x = data.draw(tensors(dtype, shape))
    if not all(kept):
        return  # nothing to copy
    made = [x, *(ints(values) for values in (begins, ends, strides)), T(tuple(kept), dtype, x.scale, x.zero)]
    fields = {"BeginMask": begin_mask, "EndMask": end_mask, "ShrinkAxisMask": shrink_mask}
    judged(made, O("STRIDED_SLICE", range(4), (4,), "StridedSliceOptions", fields), seed)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("mode", [0, 1])
@few
@given(data=st.data(), shape=shapes(), seed=SEED)
def test_mirrors(mode: int, dtype: str, data: st.DataObject, shape: tuple[int, ...], seed: int) -> None:
    most = [size - 1 + mode for size in shape]
    pads = [[data.draw(st.integers(0, reach)) for _ in range(2)] for reach in most]
    x = data.draw(tensors(dtype, shape))
    result = tuple(size + before + after for size, (before, after) in zip(shape, pads, strict=True))
    made = [x, ints(pads), T(result, dtype, x.scale, x.zero)]
    judged(made, O("MIRROR_PAD", (0, 1), (2,), "MirrorPadOptions", {"Mode": mode}), seed)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@few
@given(data=st.data(), shape=shapes(), indices=shapes(0, 3), seed=SEED)
def test_gathering(
    dtype: str, data: st.DataObject, shape: tuple[int, ...], indices: tuple[int, ...], seed: int
) -> None:
    rank = len(shape)
    axis = data.draw(st.integers(-rank, rank - 1))
    batch = data.draw(st.integers(0, min(axis % rank, len(indices))))
    indices = (*shape[:batch], *indices[batch:])
    places = np.random.default_rng(seed).integers(0, shape[axis], indices)
    result = (*shape[: axis % rank], *indices[batch:], *shape[axis % rank + 1 :])
    x = data.draw(tensors(dtype, shape))
    made = [x, T(indices, "int32", data=places), T(result, dtype, x.scale, x.zero)]
    judged(made, O("GATHER", (0, 1), (2,), "GatherOptions", {"Axis": axis, "BatchDims": batch}), seed)


UNARY = ("ABS", "RSQRT", "RELU", "RELU6", "LEAKY_RELU", "ELU", "HARD_SWISH", "LOGISTIC", "TANH", "QUANTIZE")


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("kind", UNARY)
@few
@given(data=st.data(), alpha=st.floats(-0.5, 3.0, width=32), seed=SEED)
def test_functions_of_any_quantization(kind: str, dtype: str, data: st.DataObject, alpha: float, seed: int) -> None:
    x, out = data.draw(tensors(dtype, (1, 100))), data.draw(tensors(dtype, (1, 100)))
    if kind in ("LOGISTIC", "TANH"):
        scale = 2.0**-15 if dtype == "int16" else 2.0**-8 if kind == "LOGISTIC" else 2.0**-7
        out = T(out.shape, dtype, (scale,), (-128 if (kind, dtype) == ("LOGISTIC", "int8") else 0,))
    options = ("LeakyReluOptions", {"Alpha": alpha}) if kind == "LEAKY_RELU" else ("", None)
    low = x.zero[0] if kind == "RSQRT" else -32768
    values = np.maximum(np.random.default_rng(seed).integers(-32768, 32767, x.shape).astype(dtype), np.int64(low))
    made = values.astype(dtype)
    found = agrees([x, out], O(kind, (0,), (1,), *options), lambda graph: {0: made})
    event("compared" if found else "refused by tflite-micro")


@pytest.mark.parametrize("kind", ["SIN", "COS", "EXP", "LOG", "SQRT", "RSQRT", "TANH", "LOGISTIC", "ELU", "ROUND"])
def test_float_functions(kind: str) -> None:
    x = T((1, 20000), "float32")
    for seed, spread in itertools.product(range(2), (1e-3, 1.0, 30.0, 1e4)):
        values = np.random.default_rng(seed).normal(0, spread, x.shape).astype(np.float32)
        feed: Feed = partial(_fed, values)
        assert agrees([x, x], O(kind, (0,), (1,)), feed)


def _fed(values: np.ndarray, graph: Graph) -> dict[int, np.ndarray]:
    return {0: values}
