"""The signal front end against tflite-micro's: random shapes, options and values, several inferences in a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flatbuffers import flexbuffers
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.errors import ModelError
from mcuprof.ops.kernel import storage
from mcuprof.readers.tflite import read_tflite
from mcuprof.runner.program import evaluate, prepare
from tests.tflite_models import TYPE_NUMBERS, O, T, build

runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed")

few = settings(max_examples=25, deadline=None)
SEED = st.integers(0, 2**32 - 1)
Written = Callable[[int, Any], Any]
_INFERENCES = 4


def model(tensors: Sequence[T], kind: str, options: Mapping[str, Any], inputs: int, outputs: int) -> bytes:
    """One signal operator: its inputs, its constants (the tensors with data), then its outputs."""
    last = len(tensors) - outputs
    op = O(f"CUSTOM:Signal{kind}", range(last), range(last, len(tensors)), "", options)
    return build(tensors, [op], range(inputs), range(last, len(tensors)))


def judge(data: bytes, feeds: Sequence[Sequence[Any]], written: Written = lambda number, valid: slice(None)) -> None:
    """Every output of every inference equals tflite-micro's; state goes on from one to the next.

    `written(inference, last output)` is the part of the first output that tflite-micro's kernel writes at all.
    """
    graph = read_tflite(data, {})
    program = prepare(graph)
    program.require_all()
    state = program.initial_state()
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=1 << 22)
    for number, feed in enumerate(feeds):
        for position, value in enumerate(feed):
            interpreter.set_input(np.ascontiguousarray(value), position)
        interpreter.invoke()
        ours = evaluate(program, dict(zip(graph.inputs, feed, strict=True)), state)
        for position, tensor in enumerate(graph.outputs):
            assert ours[tensor].dtype == storage(graph.tensors[tensor].dtype)
            assert ours[tensor].shape == graph.tensors[tensor].shape
            theirs = interpreter.get_output(position).reshape(ours[tensor].shape)
            part = written(number, ours[graph.outputs[-1]]) if position == 0 else ...
            np.testing.assert_array_equal(ours[tensor][part], theirs[part])


def integers(seed: int, shape: Sequence[int], dtype: str) -> Any:
    """Values of every magnitude the type has, and now and then its extremes."""
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    bits = int(rng.integers(1, 8 * info.dtype.itemsize, endpoint=True))
    values = rng.integers(info.min, info.max, shape, info.dtype, endpoint=True) >> (8 * info.dtype.itemsize - bits)
    extremes = rng.choice(np.array([info.min, info.max, 0], info.dtype), shape)
    return np.where(rng.random(shape) < 0.05 * rng.integers(0, 2), extremes, values.astype(info.dtype))


def runs(seed: int, shape: Sequence[int], dtype: str) -> list[list[Any]]:
    return [[integers(seed + number, shape, dtype)] for number in range(_INFERENCES)]


@few
@given(channels=st.integers(1, 3), size=st.integers(1, 70), shift=st.integers(0, 31), seed=SEED)
def test_window(channels: int, size: int, shift: int, seed: int) -> None:
    window = T((size,), "int16", data=integers(seed, (size,), "int16"))
    x = T((channels, size), "int16")
    judge(model([x, window, x], "Window", {"shift": shift}, 1, 1), runs(seed, x.shape, "int16"))


@few
@given(size=st.integers(1, 70), seed=SEED)
def test_auto_scale(size: int, seed: int) -> None:
    x = T((size,), "int16")
    judge(model([x, x, T((), "int32")], "FftAutoScale", {}, 1, 2), runs(seed, x.shape, "int16"))


@pytest.mark.parametrize("values", [[-32768], [-32768, 5], [-32768, -5], [-32768, -5, 4, -7], [3, -32768, -1, -1], [0]])
def test_auto_scale_after_the_smallest_integer(values: list[int]) -> None:
    x = T((len(values),), "int16")
    judge(model([x, x, T((), "int32")], "FftAutoScale", {}, 1, 2), [[np.array(values, np.int16)]])


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
@few
@given(power=st.integers(2, 11), channels=st.integers(1, 2), missing=st.integers(0, 1 << 11), seed=SEED)
def test_fft(dtype: str, power: int, channels: int, missing: int, seed: int) -> None:
    length = 1 << power
    size = length - missing % length
    options = {"T": TYPE_NUMBERS[dtype], "fft_length": length}
    x, spectrum = T((channels, size), dtype), T((channels, length + 2), dtype)
    judge(model([x, spectrum], "Rfft", options, 1, 1), samples(seed, x.shape, dtype))
    whole = T((channels, length), dtype)
    judge(model([spectrum, whole], "Irfft", options, 1, 1), samples(seed, spectrum.shape, dtype))


def samples(seed: int, shape: Sequence[int], dtype: str) -> list[list[Any]]:
    if dtype != "float32":
        return runs(seed, shape, dtype)
    rng = np.random.default_rng(seed)
    return [[rng.normal(0, 10.0 ** rng.integers(-6, 6), shape).astype(np.float32)]]


@few
@given(size=st.integers(1, 70), cut=st.tuples(st.integers(0, 70), st.integers(0, 70)), seed=SEED)
def test_energy(size: int, cut: tuple[int, int], seed: int) -> None:
    start, end = sorted(min(edge, size) for edge in cut)
    x = T((2 * size,), "int16")
    made = model([x, T((size,), "uint32")], "Energy", {"start_index": start, "end_index": end}, 1, 1)
    judge(made, runs(seed, x.shape, "int16"), lambda number, out: slice(start, end))


@few
@given(channels=st.integers(1, 3), size=st.integers(1, 40), delay=st.integers(1, 90), seed=SEED)
def test_delay(channels: int, size: int, delay: int, seed: int) -> None:
    x = T((channels, size), "int16")
    judge(model([x, x], "Delay", {"delay_length": delay}, 1, 1), runs(seed, x.shape, "int16"))


@few
@given(
    channels=st.integers(1, 3),
    frames=st.integers(1, 3),
    step=st.integers(1, 20),
    more=st.integers(0, 50),
    prefill=st.booleans(),
    seed=SEED,
)
def test_framer(channels: int, frames: int, step: int, more: int, prefill: bool, seed: int) -> None:
    size = step + more
    tensors = [T((channels, frames * step), "int16"), T((channels, frames, size), "int16"), T((), "bool")]
    options = {"frame_size": size, "frame_step": step, "prefill": prefill}

    def written(number: int, valid: Any) -> Any:
        samples = prefill * more + (number * frames + np.arange(frames) + 1) * step
        return slice(None), samples >= size

    judge(model(tensors, "Framer", options, 1, 2), runs(seed, tensors[0].shape, "int16"), written)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@few
@given(channels=st.integers(1, 3), frames=st.integers(1, 3), size=st.integers(1, 40), cut=st.integers(0, 39), seed=SEED)
def test_overlap_add(dtype: str, channels: int, frames: int, size: int, cut: int, seed: int) -> None:
    step = size - cut % size
    tensors = [T((channels, frames, size), dtype), T((channels, frames * step), dtype)]
    options = {"T": TYPE_NUMBERS[dtype], "frame_step": step}
    judge(model(tensors, "OverlapAdd", options, 1, 1), samples(seed, tensors[0].shape, dtype))


@few
@given(
    channels=st.integers(1, 9),
    left=st.integers(0, 3),
    right=st.integers(0, 3),
    step=st.integers(1, 3),
    seed=SEED,
)
def test_stacker(channels: int, left: int, right: int, step: int, seed: int) -> None:
    step = min(step, left + right + 1)
    tensors = [T((channels,), "int16"), T((channels * (left + right + 1),), "int16"), T((), "bool")]
    options = {
        "num_channels": channels,
        "stacker_left_context": left,
        "stacker_right_context": right,
        "stacker_step": step,
    }
    made = model(tensors, "Stacker", options, 1, 2)
    judge(made, runs(seed, tensors[0].shape, "int16"), lambda number, valid: slice(None if valid else 0))


@few
@given(channels=st.integers(1, 12), width=st.integers(0, 9), seed=SEED)
def test_filter_bank(channels: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    widths = rng.integers(0, width, channels + 1, endpoint=True).astype(np.int16)
    starts = (np.cumsum(widths) - widths).astype(np.int16)
    size = int(widths.sum()) + 1
    weights = [T((size,), "int16", data=integers(seed + n, (size,), "int16")) for n in range(2)]
    rows = [T((channels + 1,), "int16", data=data) for data in (starts, starts, widths)]
    x = T((size,), "uint32")
    made = model([x, *weights, *rows, T((channels,), "uint64")], "FilterBank", {"num_channels": channels}, 1, 1)
    judge(made, runs(seed, x.shape, "uint32"))


@few
@given(size=st.integers(1, 40), drop=st.integers(0, 31), seed=SEED)
def test_square_root(size: int, drop: int, seed: int) -> None:
    x = T((size,), "uint64")
    made = model([x, T((), "int32", data=drop), T((size,), "uint32")], "FilterBankSquareRoot", {}, 1, 1)
    squares = integers(seed, (size,), "uint32").astype(np.uint64) ** 2 + np.uint64(seed % 5) - np.uint64(2)
    judge(made, [*runs(seed, x.shape, "uint64"), [squares]])


@few
@given(
    channels=st.integers(1, 9),
    up=st.integers(0, 12),
    down=st.integers(1, 20),
    clamping=st.booleans(),
    seed=SEED,
)
def test_spectral_subtraction(channels: int, up: int, down: int, clamping: bool, seed: int) -> None:
    even, odd, least = (int(value) for value in np.random.default_rng(seed).integers(0, 1 << 14, 3))
    options = {
        "num_channels": channels,
        "smoothing": even,
        "one_minus_smoothing": (1 << 14) - even,
        "alternate_smoothing": odd,
        "alternate_one_minus_smoothing": (1 << 14) - odd,
        "smoothing_bits": up,
        "spectral_subtraction_bits": down,
        "min_signal_remaining": least,
        "clamping": clamping,
    }
    x = T((channels,), "uint32")
    judge(model([x, x, x], "FilterBankSpectralSubtraction", options, 1, 2), runs(seed, x.shape, "uint32"))


@few
@given(size=st.integers(1, 40), shift=st.integers(0, 20), seed=SEED)
def test_pcan(size: int, shift: int, seed: int) -> None:
    x, table = T((size,), "uint32"), T((125,), "int16", data=integers(seed, (125,), "int16"))
    feeds = [[integers(seed + n, (size,), "uint32"), integers(seed + 9 + n, (size,), "uint32")] for n in range(4)]
    judge(model([x, x, table, x], "PCAN", {"snr_shift": shift}, 2, 1), feeds)


@few
@given(scale=st.integers(0, 4000), correction=st.integers(0, 9), seed=SEED)
def test_log(scale: int, correction: int, seed: int) -> None:
    x = T((400,), "uint32")
    options = {"output_scale": scale, "input_correction_bits": correction}
    judge(model([x, T(x.shape, "int16")], "FilterBankLog", options, 1, 1), runs(seed, x.shape, "uint32"))


def test_log_in_every_segment() -> None:
    """All first 2^16 numbers, and all segments of every power of two."""
    x = np.concatenate([np.arange(1 << 16), *((np.arange(1 << 10) << p) + (1 << (p + 10)) for p in range(22))])
    tensors = [T((len(x),), "uint32"), T((len(x),), "int16")]
    judge(
        model(tensors, "FilterBankLog", {"output_scale": 1600, "input_correction_bits": 0}, 1, 1),
        [[x.astype(np.uint32)]],
    )


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("Window", None, "options are missing"),
        ("Window", {"bits": 3}, "'shift' cannot be read"),
        ("Window", {"shift": 32}, "'shift' is 32, outside 0 to 31"),
        ("Window", {"shift": "many"}, "'shift' cannot be read"),
        ("Rfft", {"fft_length": 48}, "48 points"),
        ("Rfft", {"fft_length": 32}, "a transform of 32 points"),
        ("Delay", {"delay_length": -1}, "'delay_length' is -1"),
        ("Framer", {"frame_size": 4, "frame_step": 5}, "'frame_step' is 5"),
    ],
)
def test_options_that_cannot_be(kind: str, options: Mapping[str, Any] | None, reason: str) -> None:
    x = T((1, 40), "int16")
    graph = read_tflite(model([x, x, x, T((), "bool")], kind, options or {}, 2, 2), {})
    if options is None:
        graph = replace(graph, ops=tuple(replace(op, attributes={}) for op in graph.ops))
    with pytest.raises(ModelError, match=reason):
        prepare(graph).require_all()


@pytest.mark.parametrize("data", [b"\0", b"\xff" * 9, bytes(range(40)), bytes(flexbuffers.Dumps({"shift": 3}))[:-3]])
def test_broken_options_are_one_reason(data: bytes) -> None:
    x = T((1, 40), "int16")
    graph = read_tflite(model([x, x, x], "Window", {"shift": 3}, 2, 1), {})
    graph = replace(graph, ops=tuple(replace(op, attributes={"custom_options": data}) for op in graph.ops))
    with pytest.raises(ModelError, match=r"operator 0 \(CUSTOM:SignalWindow\) has no kernel: its option 'shift'"):
        prepare(graph).require_all()


def test_state_inside_a_branch_lasts_from_one_call_to_the_next() -> None:
    flag, x = T((1,), "bool"), T((1, 4), "int16")
    late = ([x, x], [O("CUSTOM:SignalDelay", [0], [1], "", {"delay_length": 3})], [0], [1])
    later = ([x, x], [O("CUSTOM:SignalDelay", [0], [1], "", {"delay_length": 7})], [0], [1])
    choose = O("IF", [0, 1], [2], "IfOptions", {"ThenSubgraphIndex": 1, "ElseSubgraphIndex": 2})
    data = build([flag, x, x], [choose], [0, 1], [2], late, later)
    values = np.arange(1, 33, dtype=np.int16).reshape(8, 1, 4)
    judge(data, [[np.array([number % 3 > 0]), value] for number, value in enumerate(values)])
