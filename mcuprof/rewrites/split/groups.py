"""Channel groups: a convolution and what follows it channel by channel, some channels at a time.

A convolution makes each of its channels alone, so its filters may be dealt out to several convolutions that all read
the whole input; depthwise convolutions, pools and activations then go on group by group, and CONCATENATION joins the
channels. Nothing is computed twice; sums over input channels are never split, because partial sums are requantized.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from mcuprof.graph import ABSENT, Graph, Op, Tensor
from mcuprof.rewrites.split.options import COPY_MACS, Option, Tariff, pareto
from mcuprof.rewrites.split.regions import Outline, Region

MAX_GROUPS = 10  # inputs of TFLM's CONCATENATION
MAX_CHAIN = 6  # operators
POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
UNARY = ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LOGISTIC", "TANH", "HARD_SWISH", "QUANTIZE")


def group_options(outline: Outline, tariff: Tariff) -> list[Option]:
    """Ways to run chains in channel groups that are worth knowing; none where tensors lie apart (`Tariff.apart`)."""
    found: list[Option] = []
    if tariff.apart:
        return found
    for first, op in enumerate(outline.graph.ops):
        if not _deals(outline.graph, op):
            continue
        best: list[Option] = []
        for region in _chains(outline, first):
            best += pareto(_costed(outline, region, tariff, channels) for channels in _dealt(outline, region))
        found += best
    return found


def _deals(graph: Graph, op: Op) -> bool:
    """A convolution of all input channels, with constant weights of whole bytes."""
    if op.kind != "CONV_2D" or op.text("layout", "NHWC") != "NHWC":
        return False
    weights = graph.input(op, 1)
    return weights.shape[-1] == graph.input(op).shape[-1] and _constants(graph, op)


def _constants(graph: Graph, op: Op) -> bool:
    """Weights and bias can be dealt out: constants of whole bytes, scales per tensor or per output channel."""
    axes = (3 if op.kind == "DEPTHWISE_CONV_2D" else 0, 0)
    return len(op.inputs) <= 3 and all(
        index == ABSENT or _divisible(graph.tensors[index], axis)
        for index, axis in zip(op.inputs[1:], axes, strict=False)
    )


def _divisible(tensor: Tensor, axis: int) -> bool:
    scales = tensor.quantization
    fine = scales is None or not scales.per_channel or (scales.axis == axis and scales.block == 0)
    return tensor.is_constant and tensor.dtype.bits % 8 == 0 and fine


def _goes_on(graph: Graph, op: Op) -> bool:
    """Whether each output channel comes of the same channel of operand 0."""
    if op.kind == "DEPTHWISE_CONV_2D":
        same = graph.input(op).shape[-1] == graph.output(op).shape[-1]
        return same and op.text("layout", "NHWC") == "NHWC" and _constants(graph, op)
    return op.kind in POOLS or (op.kind in UNARY and len(op.inputs) == 1)


def _chains(outline: Outline, first: int) -> Iterator[Region]:
    """Regions of the convolution and some of what follows it, each tensor read by the next operator alone."""
    graph = outline.graph
    for last in range(first + 1, min(first + MAX_CHAIN, len(graph.ops))):
        op, before = graph.ops[last], graph.ops[last - 1].outputs[0]
        if op.inputs[0] != before or graph.consumers[before] != (last,) or before in graph.outputs:
            return
        region = outline.region(first, last)
        if not _goes_on(graph, op) or region is None:
            return
        if graph.output(op).dtype in outline.copied:
            yield region


def _dealt(outline: Outline, region: Region) -> Iterator[tuple[int, ...]]:
    """Channel bounds of two, three … groups as equal as may be, each of a multiple of four channels where all are."""
    count = outline.graph.tensors[region.outputs[0]].shape[-1]
    unit = 4 if count % 4 == 0 else 1
    for groups in range(2, min(MAX_GROUPS, count // unit) + 1):
        yield tuple(unit * round(part * (count // unit) / groups) for part in range(groups + 1))


def _costed(outline: Outline, region: Region, tariff: Tariff, channels: tuple[int, ...]) -> Option:
    graph = outline.graph
    output = graph.tensors[region.outputs[0]]
    ops = range(region.first, region.last + 1)
    beside = sum(graph.tensors[tensor].nbytes for tensor in region.beside)
    source = graph.tensors[region.source].nbytes
    peak = beside + 2 * output.nbytes + (source if region.keeps else 0)
    for number, (low, high) in enumerate(pairwise(channels)):
        done = output.nbytes * low // channels[-1]
        for index in ops:
            made = _share(graph.output(graph.ops[index]).nbytes, low, high, channels[-1])
            read = 0
            if index > region.first:
                read = _share(graph.input(graph.ops[index]).nbytes, low, high, channels[-1])
            there = source if region.keeps or index == region.first or number < len(channels) - 2 else 0
            peak = max(peak, beside + done + there + read + made + tariff.scratch[index])
    tail = tariff.concat_tail
    for index in ops:
        each = tariff.channel_tail if len(graph.ops[index].inputs) > 1 else 0  # what goes with the channels
        tail += (len(channels) - 2) * max(0, tariff.tail[index] - each * channels[-1])
    return Option(region, frozenset(), (), peak, tail, COPY_MACS * output.nbytes, even=True, channels=channels)


def _share(nbytes: int, low: int, high: int, whole: int) -> int:
    return nbytes * (high - low) // whole
