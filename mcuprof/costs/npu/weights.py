"""How many bytes an operation's weights take once coded for an Ethos-U, scales and biases included.

An estimate from the weights themselves: they are put in the order in which the NPU wants them, padding included, and
the length of the code is added up: Golomb-Rice with a palette of the most frequent values and runs of zeros, the
parameters of the code chosen anew for every stretch of weights so that all of it gets as short as it can (dynamic
programming, where the compiler's encoder searches greedily). No bit stream is made. Source of the format and of the
rules for palette and zero runs: Arm Vela 5.2 (Apache-2.0), mlw_codec/source/mlw_encode.cpp; of the order,
ethos_u55_weight_encoder.cpp and ethos_u85_weight_encoder.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import ceil

import numpy as np

from mcuprof.costs.npu.blocks import Block
from mcuprof.costs.npu.machine import Machine
from mcuprof.costs.npu.work import Weights, Work, ceil_div, round_up

# A scale, shift and bias of one output channel.
_SCALE_BYTES = 10
_ALIGN = 16
# Weights among which the code's parameters stay the same, and the bits that changing them costs (slice header).
_STRETCH = 128
_SWITCH_BITS = 40
_PALETTE = 32
_DIVISORS, _ZERO_DIVISORS = 6, 4
_PALETTE_HEADER, _SLICE_HEADER, _END = 13, 23, 3
_MUST_NOT = 1e9


@dataclass(frozen=True, slots=True)
class Coded:
    """Bytes of each slice of output channels, and of all weights and all scales. `source` counts coded weights."""

    slices: tuple[int, ...]
    weights: int
    scales: int
    source: int

    @property
    def total(self) -> int:
        """All slices."""
        return sum(self.slices)

    @property
    def largest(self) -> int:
        """The largest slice."""
        return max(self.slices)


class Coder:
    """Coded sizes of one graph's weights; the same question is answered once."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._streams: dict[tuple[object, ...], tuple[int, int]] = {}

    def coded(self, work: Work, block: Block, cuts: tuple[int, ...]) -> Coded:
        """The weights of `work` cut at these output channels (first 0, last all)."""
        assert work.weights is not None
        slices, all_weights, all_scales, source = [], 0, 0, 0
        for begin, end in pairwise(cuts):
            weight, scale, count = self._slice(work, work.weights, block, begin, end)
            slices.append(weight + scale)
            all_weights, all_scales, source = all_weights + weight, all_scales + scale, source + count
        return Coded(tuple(slices), all_weights, all_scales, source)

    def _slice(self, work: Work, weights: Weights, block: Block, begin: int, end: int) -> tuple[int, int, int]:
        machine, depth = self.machine, end - begin
        streams = machine.chip.cores if machine.u85 else min(machine.chip.cores, depth)
        if machine.u85:
            scales = round_up(round_up(depth, round_up(block.micro.c, 16)) * _SCALE_BYTES, _ALIGN)
        else:
            each = (ceil_div(depth - stream, streams) for stream in range(streams))
            scales = sum(round_up(count * _SCALE_BYTES, _ALIGN) for count in each)
        key = (
            weights.key,
            block.output.c,
            block.micro.c,
            block.traversal,
            block.sparse,
            work.inputs[0].bits,
            begin,
            end,
        )
        if key not in self._streams:
            layout = _Layout.of(work, block, machine)
            found = layout.streams(weights.values[begin:end], streams)
            size, count = sum(map(_coded_bytes, found)), sum(map(len, found))
            if machine.u85 and block.traversal != "depthwise":
                size = min(size, _plain_bytes(found))
            self._streams[key] = (size, count)
        size, count = self._streams[key]
        return size, scales, count


@dataclass(frozen=True, slots=True)
class _Layout:
    """The order of weights: blocks of outputs, of inputs, microblocks, taps, inputs in steps, outputs, inputs."""

    depthwise: bool
    outputs: int
    micro: int
    inputs: int
    inner: int
    taps: int
    extra_taps: int
    interleave: int

    @staticmethod
    def of(work: Work, block: Block, machine: Machine) -> _Layout:
        wide = work.inputs[0].bits == 16
        depthwise, first = block.traversal == "depthwise", block.traversal == "part-kernel"
        if machine.u85:
            macs = machine.chip.macs
            extra = 0 if not wide and macs <= 256 else 2 if macs <= 512 else 6
            taps = 10 if depthwise else (10 if wide or block.sparse else 5) if first else 1
            inner = 1 if depthwise else 8 if first and wide and not block.sparse else block.input.c
            return _Layout(depthwise, block.output.c, block.micro.c, inner, inner, taps, extra if depthwise else 0, 4)
        taps = 4 if depthwise else (2 if wide else 4) if first else 1
        inputs = 1 if depthwise else 8 if first else 16 if wide else 32
        return _Layout(depthwise, block.output.c, block.micro.c, inputs, inputs, taps, 0, 1)

    def streams(self, values: np.ndarray, count: int) -> list[np.ndarray]:
        """The weights of each stream in order, as flat arrays."""
        flat = values.reshape(values.shape[0], -1, values.shape[3])
        taps = round_up(flat.shape[1], self.taps)
        if taps != flat.shape[1]:
            taps += self.extra_taps
        pad = ((0, 0), (0, taps - flat.shape[1]), (0, round_up(flat.shape[2], self.inputs) - flat.shape[2]))
        flat = np.pad(flat, pad)
        if self.interleave == 1:
            return [self._ordered(flat[stream::count], ceil_div(self.outputs, count)) for stream in range(count)]
        whole = np.pad(flat, ((0, round_up(len(flat), self.micro) - len(flat)), (0, 0), (0, 0)))
        group = np.arange(len(whole)) % self.micro // self.interleave % count
        return [self._ordered(whole[group == stream], self.outputs // count, count) for stream in range(count)]

    def _ordered(self, flat: np.ndarray, block: int, count: int = 1) -> np.ndarray:
        micro, found = max(1, self.micro // count), []
        for begin in range(0, len(flat), max(1, block)):
            part = flat[begin : begin + block]
            part = np.pad(part, ((0, round_up(len(part), micro) - len(part)), (0, 0), (0, 0)))
            o, k, i = part.shape
            step = min(8, self.inner)
            cut = part.reshape(o // micro, micro, k, i // self.inputs, self.inputs // step, step)
            found.append(cut.transpose(3, 0, 2, 4, 1, 5).ravel())
        return np.concatenate(found) if found else np.zeros(0, flat.dtype)


def _coded_bytes(stream: np.ndarray) -> int:
    """Bytes of one stream of weights, a multiple of 16."""
    if not len(stream):
        return 0
    counts = np.bincount(stream.astype(np.int64) + 256, minlength=512)
    runs = _zero_runs(stream)
    zeros, others = int(counts[256]), np.delete(counts, 256)
    in_runs = int(runs[runs >= 2].sum())
    by_runs = in_runs >= zeros // 2 and zeros > 5 * int(others.max())
    coded = stream[stream != 0] if by_runs else stream
    if by_runs:
        counts[256] = 0
    index, palette_bits, raw = _palette(counts)
    bits = float(_END + _PALETTE_HEADER + palette_bits + _SLICE_HEADER)
    if len(coded):
        bits += _shortest(index[coded.astype(np.int64) + 256], raw)
    if by_runs:
        bits += min(float(((runs >> d) + 1 + d).sum()) for d in range(_ZERO_DIVISORS))
    return round_up(ceil(bits / 8), _ALIGN)


def _plain_bytes(streams: list[np.ndarray]) -> int:
    """Bytes where the U85 reads weights as they are, or as indices of 2 or 4 bits when there are few values."""
    values = len(np.unique(np.concatenate(streams)))
    shrink = 4 if values <= 4 else 2 if values <= 16 else 1
    return round_up(_PALETTE + sum(map(len, streams)) // shrink, _ALIGN)


def _zero_runs(stream: np.ndarray) -> np.ndarray:
    """Lengths of the runs of zeros before, between and after the other weights, empty ones too."""
    places = np.concatenate(([-1], np.flatnonzero(stream), [len(stream)]))
    return np.diff(places) - 1


def _palette(counts: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Weight + 256 → index that is coded, bits of the palette, bits of a raw index (0: raw indices are impossible)."""
    weights = np.arange(-256, 256)
    magnitude = np.where(weights == -256, 511, np.abs(weights) * 2 + (weights < 0))
    used = counts > 0
    total = int(counts.sum())
    if not total:
        return np.zeros(512, np.int64), 0, 0
    offset = min(int(magnitude[used].min()), 31)
    order = np.lexsort((-magnitude, -counts))
    frequent = [int(at) for at in order[: min(_PALETTE, 511 - int(magnitude[used].max()))] if counts[at]]
    if int(used.sum()) <= _PALETTE:
        frequent = [int(at) for at in order[:_PALETTE] if counts[at]]
    complete = int(used.sum()) <= _PALETTE
    size = len(frequent) if int(counts[frequent].sum()) >= total // 2 and len(frequent) > 1 else 0
    largest = int(magnitude[frequent].max()) if size else int(magnitude[used].max())
    width = max(2, largest.bit_length())
    index = np.where(used, magnitude + size - offset, 0)
    if size:
        index[frequent] = np.arange(len(frequent))
        return index, size * width, max(1, (size - 1).bit_length()) if complete else 0
    return index, 0, width


@cache
def _lengths() -> np.ndarray:
    """Index × parameters → bits of its code: divisors 0 to 5 unlimited (up to 31 steps), then cut off after 2."""
    values = np.arange(1024)
    columns = []
    for cut in (False, True):
        for divisor in range(_DIVISORS):
            steps = values >> divisor
            bits = (np.minimum(steps + 1, 2) if cut else steps + 1) + divisor
            columns.append(np.where(steps > (2 if cut else 31), _MUST_NOT, bits.astype(np.float64)))
    return np.stack(columns, axis=1)


def _shortest(index: np.ndarray, raw: int) -> float:
    """Bits of the shortest code of these indices when its parameters may change between stretches."""
    table = _lengths()
    stretches = ceil_div(len(index), _STRETCH)
    where = np.arange(len(index)) // _STRETCH
    counts = np.bincount(where * 1024 + index, minlength=stretches * 1024).reshape(stretches, 1024)
    costs = counts @ table
    plain = np.full((stretches, 1), _MUST_NOT)
    if raw:
        plain = counts.sum(axis=1, keepdims=True) * float(raw)
    costs = np.concatenate((costs, plain), axis=1)
    best = costs[0]
    for row in costs[1:]:
        best = np.minimum(best, best.min() + _SWITCH_BITS) + row
    return float(best.min())
