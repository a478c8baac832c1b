"""Which channels of which tensors stand or fall together, and which cannot be taken away at all.

A channel is an index of a tensor's last axis. Operators that treat channels one by one (pools, activations, depthwise
convolutions, additions …) link their operands' channels with their results'; whoever removes one removes all that are
linked with it. Convolutions and dense layers start anew: their inputs and outputs are not linked. Whatever is not known
here pins all channels it touches, as do the inputs and outputs of the graph and state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from mcuprof.graph import ABSENT, Graph, Op, Tensor
from mcuprof.ops.activation import POINTWISE
from mcuprof.ops.elementwise import ELEMENTWISE
from mcuprof.ops.geometry import window
from mcuprof.ops.movement import VIEWS
from mcuprof.ops.operator import ShapeUnknown, normalize_axis
from mcuprof.ops.reduce import reduction_axes

Indices = NDArray[np.int64]


# More than any MCU model has by far; beyond, the graph is left alone rather than the memory filled.
MAX_CHANNELS = 1 << 20


class Channels:
    """Classes of linked channels, as a union-find over all channels of all computed tensors."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        counts = [0 if tensor.is_constant else width(tensor) for tensor in graph.tensors]
        self.first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.parent = np.arange(self.first[-1])
        self.pinned = np.zeros(self.first[-1], np.bool_)

    def of(self, tensor: int) -> Indices:
        """The numbers of a tensor's channels; none for constants and absent operands."""
        if tensor == ABSENT:
            return np.zeros(0, np.int64)
        return np.arange(self.first[tensor], self.first[tensor + 1])

    def link(self, a: Indices, b: Indices) -> None:
        """Channel a[i] stands or falls with b[i]."""
        for one, other in zip(a.tolist(), b.tolist(), strict=True):
            self.parent[self._root(one)] = self._root(other)

    def pin(self, tensor: int) -> None:
        """All channels of the tensor stay."""
        self.pinned[self.of(tensor)] = True

    def classes(self) -> Indices:
        """The representative of every channel's class."""
        while True:
            further = self.parent[self.parent]
            if (further == self.parent).all():
                return further
            self.parent = further

    def _root(self, channel: int) -> int:
        while self.parent[channel] != channel:
            self.parent[channel] = self.parent[self.parent[channel]]
            channel = int(self.parent[channel])
        return channel


def width(tensor: Tensor) -> int:
    """How many channels a tensor has; a scalar has none."""
    return tensor.shape[-1] if tensor.shape else 0


def channels_of(graph: Graph) -> Channels:
    """All links and pins of the graph."""
    channels = Channels(graph)
    state = (index for index, tensor in enumerate(graph.tensors) if tensor.variable)
    for index in (*graph.inputs, *graph.outputs, *state):
        channels.pin(index)
    for op in graph.ops:
        rule = _RULES.get(op.kind)
        try:
            linked = rule is not None and all(index != ABSENT for index in op.outputs) and rule(channels, op)
        except (LookupError, ValueError, ShapeUnknown, ZeroDivisionError):
            linked = False
        if not linked:
            for index in (*op.inputs, *op.outputs, *op.intermediates):
                channels.pin(index)
    return channels


def features(x: Tensor, depth: int) -> Indices | None:
    """For a dense layer over rows of `depth` features of x: the channel that each feature is.

    None where features and channels do not go together.
    """
    count = width(x)
    return np.arange(depth) % count if count and depth % count == 0 else None


# One rule per family: links what the operator links and returns True, or False when it must be pinned. ----------------

_Rule = Callable[[Channels, Op], bool]


def _is_plain(graph: Graph, op: Op) -> bool:
    """8-bit activations and dense, constant 8-bit weights in NHWC order; a bias, if any, is constant."""
    x, weights, bias = graph.input(op), graph.input(op, 1), graph.tensor(op, 2)
    stored = weights.data is not None and len(weights.data) >= weights.nbytes
    integers = all(tensor.dtype.is_integer and tensor.dtype.bits == 8 for tensor in (x, weights, graph.output(op)))
    return stored and integers and (bias is None or bias.is_constant) and op.text("layout", "NHWC") == "NHWC"


def _free(channels: Channels, op: Op) -> bool:
    """CONV_2D and FULLY_CONNECTED with constant weights: outputs are independent of each other and of the inputs."""
    graph = channels.graph
    x, weights, out = graph.input(op), graph.input(op, 1), graph.output(op)
    if not _is_plain(graph, op) or x.is_constant:
        return False
    if op.kind == "CONV_2D":
        return window(graph, op).groups == 1 and weights.shape[0] == width(out)
    one_per_output = weights.shape[0] == width(out) and not op.integer("transposed")
    return one_per_output and not op.integer("weights_format") and features(x, weights.shape[-1]) is not None


def _depthwise(channels: Channels, op: Op) -> bool:
    """Each input channel with its `multiplier` outputs; a single input channel leaves its outputs free."""
    graph = channels.graph
    x, weights, out = graph.input(op), graph.input(op, 1), graph.output(op)
    spread = width(out) // width(x)
    if not _is_plain(graph, op) or weights.shape[-1] != width(out) or op.integer("multiplier", spread) != spread:
        return False
    if width(x) == 1:
        channels.pin(op.inputs[0])
    else:
        channels.link(np.repeat(channels.of(op.inputs[0]), spread), channels.of(op.outputs[0]))
    return True


def _each(channels: Channels, op: Op) -> bool:
    """Operators that go channel by channel: computed operands and the output have equally many.

    Constants must have one channel or as many; the caller cuts the latter.
    """
    graph = channels.graph
    count = width(graph.output(op))
    tensors = [(index, graph.tensors[index]) for index in op.inputs if index != ABSENT]
    if any(tensor.is_constant and width(tensor) not in (0, 1, count) for _, tensor in tensors):
        return False
    computed = [index for index, tensor in tensors if not tensor.is_constant]
    if any(width(graph.tensors[index]) != count for index in computed):
        return False
    for index in computed:
        channels.link(channels.of(index), channels.of(op.outputs[0]))
    return True


def _first(channels: Channels, op: Op) -> bool:
    """As `_each`, where only input 0 is data and the others say how."""
    graph = channels.graph
    if any(index != ABSENT and not graph.tensors[index].is_constant for index in op.inputs[1:]):
        return False
    if width(graph.input(op)) != width(graph.output(op)) or op.text("layout", "NHWC") != "NHWC":
        return False
    channels.link(channels.of(op.inputs[0]), channels.of(op.outputs[0]))
    return True


def _reduction(channels: Channels, op: Op) -> bool:
    """Reductions that leave the last axis alone."""
    graph = channels.graph
    rank = len(graph.input(op).shape)
    axes = {normalize_axis(axis, rank) for axis in reduction_axes(graph, op)}
    return bool(axes) and rank - 1 not in axes and _first(channels, op)


def _pad(channels: Channels, op: Op) -> bool:
    """Padding that does not add channels."""
    return not channels.graph.input(op, 1).array().reshape(-1, 2)[-1].any() and _first(channels, op)


def _view(channels: Channels, op: Op) -> bool:
    """Channels stay channels, or become features that repeat them (or the other way round)."""
    graph = channels.graph
    shape = graph.tensor(op, 1)
    if op.kind == "SQUEEZE" and not op.integers("axes"):
        return False  # it would drop the channels' axis too when one channel is left
    x, out = channels.of(op.inputs[0]), channels.of(op.outputs[0])
    if (shape is not None and not shape.is_constant) or not len(x) or not len(out):
        return False
    if len(out) % len(x) and len(x) % len(out):
        return False
    longer, shorter = (x, out) if len(x) > len(out) else (out, x)
    channels.link(longer, np.resize(shorter, len(longer)))
    return True


def _concatenation(channels: Channels, op: Op) -> bool:
    """Along the channels: one after the other; along another axis: channel by channel."""
    graph = channels.graph
    if any(index == ABSENT or graph.tensors[index].is_constant for index in op.inputs):
        return False
    axis = normalize_axis(op.integer("axis"), len(graph.output(op).shape))
    if axis != len(graph.output(op).shape) - 1:
        return _each(channels, op)
    parts = np.concatenate([channels.of(index) for index in op.inputs])
    channels.link(parts, channels.of(op.outputs[0]))
    return True


_RULES: Mapping[str, _Rule] = {
    "CONV_2D": _free,
    "FULLY_CONNECTED": _free,
    "DEPTHWISE_CONV_2D": _depthwise,
    **dict.fromkeys((kind for kind in ELEMENTWISE if not kind.startswith("SELECT")), _each),
    **dict.fromkeys((*POINTWISE, "QUANTIZE", "DEQUANTIZE"), _each),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"), _first),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), _reduction),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), _pad),
    **dict.fromkeys(VIEWS, _view),
    "CONCATENATION": _concatenation,
}
