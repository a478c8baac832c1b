"""The filter bank of TFLM's signal front end: energies of frequencies → channels → noise subtracted → gain → logarithm.

Kernels: TFLM `signal/src/filter_bank*.cc`, `square_root_64.cc`, `pcan_argc_fixed.cc`, `log.cc`. All is unsigned
arithmetic that wraps around.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops.flexoptions import integer_option
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel, expect

_UINT16_MAX, _UINT32_MAX, _INT16_MAX = 2**16 - 1, 2**32 - 1, 2**15 - 1


def prepare_filter_bank(graph: Graph, op: Op) -> Kernel:
    """Inputs: energies uint32 [frequencies]; int16: weights, their complements, and per channel (one more than there
    are outputs) where its frequencies start, where its weights start, and how many there are.

    Each energy is shared between two neighbours: by weight it goes to its channel, by the complement to the next.
    Returns uint64 [channels]: `FilterbankAccumulateChannels` without its first sum, which has no channel.
    """
    channels = integer_option(op, "num_channels", 1, _INT16_MAX)
    expect(graph, op, DType.UINT32, *(DType.INT16,) * 5, outputs=(DType.UINT64,))
    if not all(graph.input(op, position).is_constant for position in range(1, 6)):
        raise NoKernel("computed filters")
    weights, complements = (graph.input(op, p).array().reshape(-1).astype(np.int64) for p in (1, 2))
    rows = np.stack([graph.input(op, p).array().reshape(-1)[: channels + 1].astype(np.int64) for p in (3, 4, 5)])
    energies, out = graph.input(op), graph.output(op)
    first, at, widths = rows
    most = min(len(weights), len(complements))
    if rows.shape[1] <= channels or (rows < 0).any() or (at + widths > most).any():
        raise NoKernel("filters outside their weights")
    if (first + widths > energies.elements).any() or out.elements != channels:
        raise NoKernel("filters outside their frequencies")

    def run(inputs: Inputs) -> tuple[Array, ...]:
        energy = inputs[0].reshape(-1).astype(np.uint64)
        sums = np.zeros((2, channels + 1), np.uint64)
        for channel, (start, weight, width) in enumerate(rows.T):
            part = energy[start : start + width]
            for row, factors in zip(sums, (weights, complements), strict=True):
                row[channel] = (factors[weight : weight + width].astype(np.uint64) * part).sum(dtype=np.uint64)
        return ((sums[0, 1:] + sums[1, :-1]).reshape(out.shape),)

    return run


def prepare_square_root(graph: Graph, op: Op) -> Kernel:
    """Inputs: uint64 [channels] and an int32 of how many bits to drop → uint32: `FilterbankSqrt`."""
    expect(graph, op, DType.UINT64, DType.INT32, outputs=(DType.UINT32,))

    def run(inputs: Inputs) -> tuple[Array, ...]:
        drop = int(inputs[1].reshape(-1)[0])
        if not 0 <= drop < 32:  # the kernel shifts 32-bit integers
            raise NoKernel(f"a shift by {drop} bits")
        roots = [_root(int(value)) >> drop for value in inputs[0].reshape(-1)]
        return (np.array(roots, np.uint32).reshape(inputs[0].shape),)

    return run


def _root(value: int) -> int:
    """`Sqrt64`: the nearest integer to the root, but no more than 32 bits, or 16 for what fits into 32."""
    root = math.isqrt(value)
    return min(root + (value - root * root > root), _UINT16_MAX if value <= _UINT32_MAX else _UINT32_MAX)


def prepare_spectral_subtraction(graph: Graph, op: Op) -> Kernel:
    """uint32 [channels] → what is left over the noise, and the noise estimate: `FilterbankSpectralSubtraction`.

    The state is the estimate, uint32 [channels], smoothed from one inference to the next.
    """
    channels = integer_option(op, "num_channels", 1, _INT16_MAX)
    even, odd = (
        [integer_option(op, name, 0, _UINT16_MAX) for name in names]
        for names in (("smoothing", "one_minus_smoothing"), ("alternate_smoothing", "alternate_one_minus_smoothing"))
    )
    remaining = np.uint64(integer_option(op, "min_signal_remaining", 0, _UINT16_MAX))
    up = np.uint32(integer_option(op, "smoothing_bits", 0, 31))
    down = np.uint64(integer_option(op, "spectral_subtraction_bits", 0, 63))
    clamping = bool(integer_option(op, "clamping", 0, 1))
    expect(graph, op, DType.UINT32, outputs=(DType.UINT32, DType.UINT32))
    if graph.input(op).elements != channels:
        raise NoKernel(f"{graph.input(op).elements} values for {channels} channels")
    smoothing, kept = np.array([even, odd], np.uint64)[np.arange(channels) % 2].T

    def run(inputs: Inputs) -> tuple[Array, ...]:
        x, estimate = inputs[0].reshape(-1), inputs[1]
        scaled = x << up
        new = ((scaled * smoothing + estimate * kept) >> down).astype(np.uint32)
        noise = np.minimum(new, scaled)
        least = ((x * remaining) >> down).astype(np.uint32)
        left = np.maximum((scaled - noise) >> up, least)
        estimate = noise if clamping else new
        return left.reshape(inputs[0].shape), estimate.reshape(inputs[0].shape), estimate

    return run


def no_noise(graph: Graph, op: Op) -> tuple[Array, ...]:
    """The state of the spectral subtraction before the first inference."""
    return (np.zeros(graph.input(op).elements, np.uint32),)


_LUT_ENTRIES = 4 * 32 - 3
_SNR_BITS, _GAIN_BITS = 12, 6


def prepare_pcan(graph: Graph, op: Op) -> Kernel:
    """Inputs: signal and noise uint32 [channels], gain table int16 [125] → uint32: `ApplyPcanAutoGainControlFixed`."""
    shift = np.uint64(integer_option(op, "snr_shift", 0, 63))
    expect(graph, op, DType.UINT32, DType.UINT32, DType.INT16, outputs=(DType.UINT32,))
    if graph.input(op, 2).elements < _LUT_ENTRIES or graph.input(op).elements != graph.input(op, 1).elements:
        raise NoKernel("a gain table or a noise estimate that is too short")

    def run(inputs: Inputs) -> tuple[Array, ...]:
        signal, noise, table = (value.reshape(-1) for value in inputs)
        gain = _piecewise(noise, table).astype(np.uint32)
        snr = ((signal.astype(np.uint64) * gain) >> shift).astype(np.uint32)
        small = (snr * snr) >> np.uint32(2 + 2 * _SNR_BITS - _GAIN_BITS)
        large = (snr >> np.uint32(_SNR_BITS - _GAIN_BITS)) - np.uint32(1 << _GAIN_BITS)
        return (np.where(snr < 2 << _SNR_BITS, small, large).reshape(inputs[0].shape),)

    return run


def _piecewise(x: Array, table: Array) -> Array:
    """`WideDynamicFunction`: a parabola for each power of two, its three coefficients in four entries of the table."""
    interval = _significant_bits(x)
    base = np.where(x <= 2, 0, 4 * interval - 6)
    a, b, c = (table[base + place].astype(np.int32) for place in range(3))
    left, right = np.maximum(11 - interval, 0), np.maximum(interval - 11, 0)
    fraction = ((x.astype(np.int64) << left >> right) & 0x3FF).astype(np.int32)
    result = ((c * fraction >> 5) + (b << 5)) * fraction
    result = ((result + (1 << 14)) >> 15) + a
    return np.where(x <= 2, table[np.minimum(x, 2)], result.astype(np.int16))


def _significant_bits(x: Array) -> Array:
    """`MostSignificantBit32`: 1 + ⌊log2 x⌋ of x > 0."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)


_LOG_BITS, _SEGMENT_BITS = 16, 7
_LN2 = 45426  # ln 2 in Q16


def prepare_log(graph: Graph, op: Op) -> Kernel:
    """uint32 [channels] → int16, output_scale · ln(x · 2^input_correction_bits): `FilterbankLog`."""
    scale = np.uint32(integer_option(op, "output_scale", 0, 2**31 - 1))
    correction = np.uint32(integer_option(op, "input_correction_bits", 0, 31))
    expect(graph, op, DType.UINT32, outputs=(DType.INT16,))

    def run(inputs: Inputs) -> tuple[Array, ...]:
        x = inputs[0] << correction
        logarithm = np.minimum(_log(np.maximum(x, 1), scale), _INT16_MAX)
        return (np.where(x > 1, logarithm, 0).astype(np.int16),)

    return run


def _log(x: Array, scale: np.uint32) -> Array:
    """`Log32`: log2 in Q16 from a table of 128 segments, times ln 2, times the scale."""
    half = 1 << (_LOG_BITS - 1)
    whole = _significant_bits(x) - 1
    rest = x.astype(np.int64) - (np.int64(1) << whole)
    fraction = rest << np.maximum(_LOG_BITS - whole, 0) >> np.maximum(whole - _LOG_BITS, 0)
    segment = fraction >> (_LOG_BITS - _SEGMENT_BITS)
    low, high = _log_table()[segment], _log_table()[segment + 1]
    inside = fraction - (segment << (_LOG_BITS - _SEGMENT_BITS))
    log2 = (whole << _LOG_BITS) + fraction + low + ((high - low) * inside >> _LOG_BITS)
    natural = ((log2 * _LN2 + half) >> _LOG_BITS).astype(np.uint32)
    return (scale * natural + np.uint32(half)) >> np.uint32(_LOG_BITS)


@cache
def _log_table() -> Array:
    """log2(1 + t) − t at the segments' borders in Q16, as `kLogLut` has it."""
    t = np.arange(2**_SEGMENT_BITS + 1) / 2**_SEGMENT_BITS
    return np.rint(2**_LOG_BITS * (np.log2(1 + t) - t)).astype(np.int64)
