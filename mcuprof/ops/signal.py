"""TFLM's signal operators: windows, frames, Fourier transforms of audio, and the filter bank that follows them.

Kernels: TFLM `signal/micro/kernels/*.cc` and `signal/src/*.cc`. Leading dimensions are independent channels, each with
its own state where an operator keeps some.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops.filterbank import (
    no_noise,
    prepare_filter_bank,
    prepare_log,
    prepare_pcan,
    prepare_spectral_subtraction,
    prepare_square_root,
)
from mcuprof.ops.flexoptions import integer_option
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel, Prepare, expect, limits, storage
from mcuprof.ops.kissfft import RealFft
from mcuprof.ops.operator import Operator, StateRule, as_stored

_MOST = 2**20  # samples in a frame, a delay, a transform: far beyond any microcontroller's


def prepare_window(graph: Graph, op: Op) -> Kernel:
    """int16 x [..., n] · window [n], shifted right, clamped: `ApplyWindow`."""
    shift = integer_option(op, "shift", 0, 31)
    expect(graph, op, DType.INT16, DType.INT16, outputs=(DType.INT16,))
    low, high = limits(DType.INT16)
    return lambda inputs: (np.clip((inputs[0].astype(np.int32) * inputs[1]) >> shift, low, high).astype(np.int16),)


def prepare_auto_scale(graph: Graph, op: Op) -> Kernel:
    """int16 → the same shifted left as far as its largest value allows, and by how much (int32): `FftAutoScale`."""
    expect(graph, op, DType.INT16, outputs=(DType.INT16, DType.INT32))
    shape = graph.tensors[op.outputs[1]].shape

    def run(inputs: Inputs) -> tuple[Array, ...]:
        largest = _largest(inputs[0].reshape(-1))
        bits = max(0, 15 - largest.bit_length()) if largest > 0 else 0  # to the kernel 0 has 32 significant bits
        return inputs[0] << np.int16(bits), np.full(shape, bits, np.int32)

    return run


def _largest(values: Array) -> int:
    """`MaxAbs16`, whose largest value so far is an int16: from -32768 on it begins again, below 0."""
    again = np.flatnonzero(values == -32768)
    if not len(again):
        return int(np.abs(values).max(initial=0))
    largest = -32768
    for value in map(int, values[again[-1] + 1 :]):
        largest = value if value > largest else max(largest, -value)
    return largest


def prepare_rfft(graph: Graph, op: Op) -> Kernel:
    """x [..., n] → [..., fft_length + 2], real and imaginary parts; x is followed by zeros up to fft_length."""
    fft = _transform(graph, op, inverse=False)
    x, out = graph.input(op), graph.output(op)
    if not x.shape or x.shape[-1] > fft.length or out.elements * x.shape[-1] != x.elements * (fft.length + 2):
        raise NoKernel(f"{x.shape} for a transform of {fft.length} points into {out.shape}")

    def run(inputs: Inputs) -> tuple[Array, ...]:
        padded = np.zeros((*x.shape[:-1], fft.length), fft.dtype)
        padded[..., : x.shape[-1]] = inputs[0]
        return (fft.forward(padded).reshape(out.shape),)

    return run


def prepare_irfft(graph: Graph, op: Op) -> Kernel:
    """x [..., fft_length + 2], real and imaginary parts → samples [..., fft_length]."""
    fft = _transform(graph, op, inverse=True)
    x, out = graph.input(op), graph.output(op)
    if not x.shape or x.shape[-1] != fft.length + 2 or out.elements * x.shape[-1] != x.elements * fft.length:
        raise NoKernel(f"{x.shape} for a transform of {fft.length} points into {out.shape}")

    def run(inputs: Inputs) -> tuple[Array, ...]:
        samples = fft.backward(inputs[0])
        if samples.dtype == np.float32:  # `IrfftFloatApply`
            samples /= np.float32(fft.length)
        return (samples.reshape(out.shape),)

    return run


def _transform(graph: Graph, op: Op, *, inverse: bool) -> RealFft:
    length = integer_option(op, "fft_length", 0, _MOST)
    dtype = graph.input(op).dtype
    expect(graph, op, dtype, outputs=(dtype,))
    try:
        return RealFft(length, storage(dtype), inverse)
    except ValueError as error:
        raise NoKernel(str(error)) from None


def prepare_energy(graph: Graph, op: Op) -> Kernel:
    """int16 [2 · frequencies], real and imaginary parts → uint32 [frequencies]: re² + im² (`SpectrumToEnergy`).

    The kernel writes frequencies from start_index up to end_index only; the others are left as they were: here 0.
    """
    expect(graph, op, DType.INT16, outputs=(DType.UINT32,))
    out = graph.output(op)
    start, end = (integer_option(op, name, 0, out.elements) for name in ("start_index", "end_index"))
    if graph.input(op).elements != 2 * out.elements:
        raise NoKernel(f"{graph.input(op).elements} parts for {out.elements} frequencies")

    def run(inputs: Inputs) -> tuple[Array, ...]:
        energy = np.zeros(out.elements, np.uint32)
        part = inputs[0].reshape(-1, 2)[start:end].astype(np.int64)
        energy[start:end] = (part * part).sum(axis=-1)
        return (energy.reshape(out.shape),)

    return run


def prepare_delay(graph: Graph, op: Op) -> Kernel:
    """int16 [..., n] → what came in delay_length samples before; at first zeros. State: those samples."""
    expect(graph, op, DType.INT16, outputs=(DType.INT16,))
    size = _delayed(graph, op)[0].shape[1]

    def run(inputs: Inputs) -> tuple[Array, ...]:
        x, waiting = inputs
        line = np.concatenate([waiting, x.reshape(len(waiting), -1)], axis=1)
        return line[:, : line.shape[1] - size].reshape(x.shape), line[:, line.shape[1] - size :]

    return run


def _delayed(graph: Graph, op: Op) -> tuple[Array, ...]:
    return (np.zeros((_channels(graph, op, 1), integer_option(op, "delay_length", 0, _MOST)), np.int16),)


def prepare_framer(graph: Graph, op: Op) -> Kernel:
    """int16 [..., frames · frame_step] → frames [..., frames, frame_size], and whether all of them are there yet.

    The kernel does not write a frame before enough samples have come in; here it is 0. State: the samples since the
    start of the next frame; with prefill zeros come before the first.
    """
    expect(graph, op, DType.INT16, outputs=(DType.INT16, DType.BOOL))
    size, step = _frames(op)
    x, out = graph.input(op), graph.output(op)
    waiting = _framed(graph, op)[0]
    if not x.shape or x.shape[-1] % step or out.elements * step != x.elements * size:
        raise NoKernel(f"{x.shape} for frames {out.shape}")
    frames = x.shape[-1] // step
    valid = graph.tensors[op.outputs[1]].shape

    def run(inputs: Inputs) -> tuple[Array, ...]:
        line = np.concatenate([inputs[1], inputs[0].reshape(len(waiting), -1)], axis=1)
        found = np.zeros((len(waiting), frames, size), np.int16)
        have, start, complete = inputs[1].shape[1], 0, True
        for frame in range(frames):
            have += step
            if have - start >= size:
                found[:, frame] = line[:, start : start + size]
                start += step
            else:
                complete = False
        return found.reshape(out.shape), np.full(valid, complete), line[:, start:]

    return run


def _frames(op: Op) -> tuple[int, int]:
    size = integer_option(op, "frame_size", 1, _MOST)
    return size, integer_option(op, "frame_step", 1, size)


def _framed(graph: Graph, op: Op) -> tuple[Array, ...]:
    size, step = _frames(op)
    return (np.zeros((_channels(graph, op, 1), (size - step) * integer_option(op, "prefill", 0, 1)), np.int16),)


def prepare_overlap_add(graph: Graph, op: Op) -> Kernel:
    """x [..., frames, n], int16 (clamped) or float32 → [..., frames · frame_step]: `OverlapAdd`.

    State [..., n]: the sum of what earlier frames left beyond their step.
    """
    x, out = graph.input(op), graph.output(op)
    if x.dtype not in (DType.INT16, DType.FLOAT32) or len(x.shape) < 2:
        raise NoKernel(f"{x.dtype.value} {x.shape}")
    expect(graph, op, x.dtype, outputs=(x.dtype,))
    step = integer_option(op, "frame_step", 1, x.shape[-1])
    if out.elements * x.shape[-1] != x.elements * step:
        raise NoKernel(f"{x.shape} in steps of {step} into {out.shape}")
    dtype = storage(x.dtype)

    def run(inputs: Inputs) -> tuple[Array, ...]:
        left = inputs[1]
        sums = []
        for frame in inputs[0].reshape(len(left), *x.shape[-2:]).swapaxes(0, 1):
            if dtype == np.int16:
                left = np.clip(left.astype(np.int32) + frame, *limits(DType.INT16)).astype(dtype)
            else:
                left = frame + left
            sums.append(left[:, :step])
            left = np.concatenate([left[:, step:], np.zeros((len(left), step), dtype)], axis=1)
        return np.stack(sums, axis=1).reshape(out.shape), left

    return run


def _overlapping(graph: Graph, op: Op) -> tuple[Array, ...]:
    x = graph.input(op)
    return (np.zeros((_channels(graph, op, 2), x.shape[-1]), storage(x.dtype)),)


def prepare_stacker(graph: Graph, op: Op) -> Kernel:
    """int16 [num_channels] → the last left + 1 + right of them on top of each other, and whether they are there yet.

    The first one stands for those before it. The kernel writes nothing while there are too few; here that is 0. State:
    what has come in since the oldest one still needed, and whether there was a first.
    """
    expect(graph, op, DType.INT16, outputs=(DType.INT16, DType.BOOL))
    channels = integer_option(op, "num_channels", 1, _MOST)
    left, right = (integer_option(op, f"stacker_{side}_context", 0, _MOST) for side in ("left", "right"))
    step = integer_option(op, "stacker_step", 1, _MOST) * channels
    out, size = graph.output(op), channels * (left + 1 + right)
    if graph.input(op).elements != channels or out.elements != size or step > size:
        raise NoKernel(f"{graph.input(op).shape} in a stack {out.shape}")
    valid = graph.tensors[op.outputs[1]].shape

    def run(inputs: Inputs) -> tuple[Array, ...]:
        x, waiting, begun = inputs
        line = np.concatenate([waiting, *([x.reshape(-1)] * (1 if begun else 1 + left))])
        there = len(line) >= size
        stack = line[:size] if there else np.zeros(size, np.int16)
        return stack.reshape(out.shape), np.full(valid, there), line[step if there else 0 :], np.array(True)

    return run


def _stacked(graph: Graph, op: Op) -> tuple[Array, ...]:
    return np.zeros(0, np.int16), np.array(False)


def _channels(graph: Graph, op: Op, inner: int) -> int:
    """The product of all dimensions of the input but the last `inner`."""
    return int(np.prod(graph.input(op).shape[:-inner], dtype=np.int64))


_KERNELS: Sequence[tuple[str, Prepare, StateRule | None]] = (
    ("Window", prepare_window, None),
    ("FftAutoScale", prepare_auto_scale, None),
    ("Rfft", prepare_rfft, None),
    ("Irfft", prepare_irfft, None),
    ("Energy", prepare_energy, None),
    ("Delay", prepare_delay, _delayed),
    ("Framer", prepare_framer, _framed),
    ("OverlapAdd", prepare_overlap_add, _overlapping),
    ("Stacker", prepare_stacker, _stacked),
    ("FilterBank", prepare_filter_bank, None),
    ("FilterBankSquareRoot", prepare_square_root, None),
    ("FilterBankSpectralSubtraction", prepare_spectral_subtraction, no_noise),
    ("PCAN", prepare_pcan, None),
    ("FilterBankLog", prepare_log, None),
)

OPERATORS = tuple(
    Operator(f"CUSTOM:Signal{name}", as_stored, kernel=kernel, state=state) for name, kernel, state in _KERNELS
)
