"""Removes channels that hold the same value for every input, and channels that nobody listens to.

1. What can go: a channel class (see `channels`) none of whose members is pinned, when every convolution or dense layer
   that reads a member can do without it:
   a. the member is constant (interval analysis) and its contribution Σ w·(c − zero point) is the same at every output
      position: c is the zero point, or no window ever leaves the input; it then moves into the bias, if int32 holds it;
   b. or all its weights towards the outputs that stay are zero.
   Rule b depends on what stays, so the set grows until nothing more can go.
2. Members that only linked operators read (say, the input channel of a depthwise convolution whose output is constant)
   need no condition: what reads them goes too.
3. No tensor loses its last channel: one class of it stays, and the set is worked out anew.
4. Weights, biases, per-channel scales and constant operands lose the same indices; nothing else of an operator changes.

Every value that stays is computed from the same products, less those that are constant or zero, so it is the same
integer; the order of integer sums does not matter. Constants hold for kernels that round once or twice (`intervals`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mcuprof.graph import ABSENT, DType, Graph, Op, Quantization, Tensor
from mcuprof.ops.activation import POINTWISE
from mcuprof.ops.elementwise import ELEMENTWISE
from mcuprof.ops.floating import is_float_island
from mcuprof.ops.geometry import window
from mcuprof.ops.interval import Intervals
from mcuprof.ops.interval_products import filters
from mcuprof.ops.intervals import intervals
from mcuprof.ops.kernel import Array, is_onnx, zero_of
from mcuprof.rewrites.channels import MAX_CHANNELS, Channels, channels_of, features, width
from mcuprof.rewrites.edit import Draft, constant

Mask = NDArray[np.bool_]
_PER_CHANNEL = frozenset((*ELEMENTWISE, *POINTWISE))
_INT32 = 2**31 - 1


def remove_dead_channels(graph: Graph) -> Graph:
    """The graph without removable channels; the same object when there are none, for ONNX, and beyond MAX_CHANNELS.

    Surviving tensors keep their names and order; a surviving channel holds the value it held before.
    """
    if is_onnx(graph) or sum(width(tensor) for tensor in graph.tensors if not tensor.is_constant) > MAX_CHANNELS:
        return graph
    channels, readers, kept = _survey(graph, intervals(graph))
    return graph if kept.all() else _without(graph, channels, readers, kept)


def surviving_channels(graph: Graph) -> dict[int, Mask]:
    """Per computed tensor, which channels `remove_dead_channels` leaves: bool arrays over the last axis."""
    channels, _, kept = _survey(graph, intervals(graph))
    return {index: kept[channels.of(index)] for index in graph.producer if not is_onnx(graph)}


def dead_channels(graph: Graph, known: Intervals) -> tuple[dict[int, Mask], dict[int, Array]]:
    """Which channels of each computed tensor can stay alone, and what the biases of operators, by index, then gain.

    For graphs of any origin whose channels lie along the last axis; only tensors and operators that lose channels.
    """
    if sum(width(tensor) for tensor in graph.tensors if not tensor.is_constant) > MAX_CHANNELS:
        return {}, {}
    channels, readers, kept = _survey(graph, known)
    masks = {index: kept[channels.of(index)] for index in graph.producer}
    numbers = {id(op): index for index, op in enumerate(graph.ops)}
    folded = {
        numbers[id(reader.op)]: reader.folded(kept[reader.inputs])
        for reader in readers
        if not kept[reader.inputs].all()
    }
    return {index: mask for index, mask in masks.items() if not mask.all()}, folded


def _survey(graph: Graph, known: Intervals) -> tuple[Channels, list[_Reader], Mask]:
    """Links, readers, and which channels stay."""
    channels = channels_of(graph)
    readers = [reader for op in graph.ops if (reader := _reader(graph, channels, known, op)) is not None]
    while True:
        kept = _kept(channels, readers)
        empty = _emptied(graph, channels, kept)
        if empty is None:
            return channels, readers, kept
        channels.pinned[channels.of(empty)[0]] = True


def _kept(channels: Channels, readers: list[_Reader]) -> Mask:
    """Which channels stay: the smallest set that the rules allow to be reached step by step."""
    classes = channels.classes()
    kept = np.ones(len(classes), np.bool_)
    while True:
        stays = channels.pinned.copy()
        for reader in readers:
            stays[reader.inputs] |= ~reader.dispensable(kept[reader.outputs])
        needed = np.zeros(len(classes), np.bool_)
        np.logical_or.at(needed, classes, stays)
        if (needed[classes] == kept).all():
            return kept
        kept = needed[classes]


def _emptied(graph: Graph, channels: Channels, kept: Mask) -> int | None:
    """A tensor without any channel left."""
    computed = (index for index, tensor in enumerate(graph.tensors) if not tensor.is_constant and width(tensor))
    used = (index for index in computed if index in graph.producer)
    return next((index for index in used if not kept[channels.of(index)].any()), None)


@dataclass(frozen=True, slots=True, eq=False)
class _Reader:
    """A convolution or dense layer and what each of its input channels means to it.

    `inputs` and `outputs` number their channels. [Cin, Cout]: `weights` are summed over taps or features, `connected`
    says where any weight is not zero. [Cin]: `values` are x − zero point where that is constant, 0 elsewhere, and
    `foldable` says which of them may move into the bias.
    """

    op: Op
    inputs: Array
    outputs: Array
    weights: Array
    connected: Mask
    values: Array
    foldable: Mask

    def dispensable(self, kept_outputs: Mask) -> Mask:
        """Input channels that this operator can do without."""
        return self.foldable | ~self.connected[:, kept_outputs].any(axis=1)

    def folded(self, kept_inputs: Mask) -> Array:
        """What the removed inputs add to each output: int64 [Cout]."""
        gone = np.where(self.foldable & ~kept_inputs, self.values, 0)
        return (gone @ self.weights).astype(np.int64)


def _reader(graph: Graph, channels: Channels, known: Intervals, op: Op) -> _Reader | None:
    """None for operators that link or pin their channels, or whose inputs stay anyway."""
    if op.kind not in ("CONV_2D", "FULLY_CONNECTED") or channels.pinned[channels.of(op.inputs[0])].all():
        return None
    x = graph.input(op)
    padded = op.kind == "CONV_2D" and window(graph, op).padded
    parts = filters(graph, op, window(graph, op)) if op.kind == "CONV_2D" else filters(graph, op)
    parts = parts.reshape(-1, width(x), parts.shape[-1])
    low, high = (np.broadcast_to(side, width(x)) for side in known[op.inputs[0]].along(-1))
    values = np.where(low == high, low - zero_of(x), 0)
    weights = parts.sum(axis=0)
    foldable = (low == high) & ((values == 0) | (not padded))
    if not _bias_holds(graph, op, weights * np.where(foldable, values, 0)[:, None]):
        foldable &= values == 0
    if is_onnx(graph) and (is_float_island(op) or graph.tensor(op, 2) is None):
        foldable &= values == 0  # a sum of floats would round elsewhere; its nodes may have no place for a bias
    connected = (parts != 0).any(axis=0)
    return _Reader(op, channels.of(op.inputs[0]), channels.of(op.outputs[0]), weights, connected, values, foldable)


def _bias_holds(graph: Graph, op: Op, terms: Array) -> bool:
    """True when the bias plus whichever of the `terms` [Cin, Cout] are folded into it stays within int32."""
    tensor = graph.tensor(op, 2)
    bias = 0 if tensor is None else np.abs(tensor.array().astype(np.int64)).reshape(-1)
    return bool((bias + np.abs(terms).sum(axis=0) <= _INT32).all())


# Rebuilding -----------------------------------------------------------------------------------------------------


def _without(graph: Graph, channels: Channels, readers: list[_Reader], kept: Mask) -> Graph:
    draft = Draft(graph)
    masks = [kept[channels.of(index)] for index in range(len(graph.tensors))]
    by_op = {id(reader.op): reader for reader in readers}
    for index, tensor in enumerate(graph.tensors):
        if len(masks[index]) and not masks[index].all():
            cut = _along(tensor, len(tensor.shape) - 1, masks[index])
            draft.tensor(index, replace(cut, shape=(*tensor.shape[:-1], int(masks[index].sum()))))
    for index, op in enumerate(graph.ops):
        before, after = (masks[side[0]] if side and side[0] != ABSENT else None for side in (op.inputs, op.outputs))
        changed = any(tensor != ABSENT and not masks[tensor].all() for tensor in (*op.inputs, *op.outputs))
        if not changed or before is None or after is None:
            continue
        if op.kind in ("CONV_2D", "FULLY_CONNECTED"):
            _cut_product(draft, index, op, before, after, by_op.get(id(op)))
        elif op.kind == "DEPTHWISE_CONV_2D":
            _cut_depthwise(draft, index, op, before, after)
        elif op.kind == "RESHAPE":
            _cut_reshape(draft, index, op)
        else:
            _cut_operands(draft, index, op, after)
    return draft.close()


def _cut_product(draft: Draft, index: int, op: Op, before: Mask, after: Mask, reader: _Reader | None) -> None:
    weights = draft.source.input(op, 1)
    array = weights.array()[after]
    order = features(draft.source.input(op), weights.shape[-1])
    assert order is not None
    cut = constant(_along(weights, 0, after), array[..., before[order]])
    folded = reader.folded(before)[after] if reader is not None else np.zeros(int(after.sum()), np.int64)
    bias = _bias(draft, op, after, folded)
    _put(draft, index, op, {1: cut, 2: bias})


def _cut_depthwise(draft: Draft, index: int, op: Op, before: Mask, after: Mask) -> None:
    weights = draft.source.input(op, 1)
    cut = constant(_along(weights, len(weights.shape) - 1, after), weights.array()[..., after])
    attributes = {**op.attributes}
    if "multiplier" in attributes:
        attributes["multiplier"] = int(after.sum()) // int(before.sum())
    bias = _bias(draft, op, after, np.zeros(int(after.sum()), np.int64))
    _put(draft, index, replace(op, attributes=attributes), {1: cut, 2: bias})


def _bias(draft: Draft, op: Op, after: Mask, folded: Array) -> Tensor | None:
    """The bias of the outputs that stay, with what was folded; a new one where there was none and one is needed."""
    old = draft.source.tensor(op, 2)
    if old is not None:
        values = old.array().reshape(-1)
        values = (values if len(values) == len(after) else np.broadcast_to(values, len(after)))[after]
        return constant(_along(replace(old, shape=after.shape), 0, after), values + folded)
    if not folded.any():
        return None
    x, weights = draft.source.input(op), draft.source.input(op, 1)
    assert x.quantization is not None and weights.quantization is not None
    scales = np.broadcast_to(np.array(weights.quantization.scale), len(after))[after]
    product = tuple(float(np.float32(x.quantization.scale[0] * scale)) for scale in scales)
    quantization = Quantization(product, (0,) * len(product))
    return constant(Tensor(f"{weights.name}/bias", (len(folded),), DType.INT32, quantization), folded)


def _along(tensor: Tensor, axis: int, mask: Mask) -> Tensor:
    """The tensor with those scales and zero points that go with the indices of `axis` that stay."""
    q = tensor.quantization
    if q is None or len(q.scale) != len(mask) or len(mask) == 1:
        return tensor
    places = np.flatnonzero(mask).tolist()
    zeros = tuple(q.zero_point[i] for i in places) if len(q.zero_point) == len(mask) else q.zero_point
    return replace(
        tensor, quantization=replace(q, scale=tuple(q.scale[i] for i in places), zero_point=zeros, axis=axis)
    )


def _cut_reshape(draft: Draft, index: int, op: Op) -> None:
    """The new shape is the output's, spelled out, in whichever place the operator keeps it."""
    shape = draft.tensors[op.outputs[0]].shape
    attributes = {**op.attributes}
    if "new_shape" in attributes:
        attributes["new_shape"] = shape
    old = draft.source.tensor(op, 1)
    new = constant(old, np.array(shape)) if old is not None else None
    _put(draft, index, replace(op, attributes=attributes), {1: new})


def _cut_operands(draft: Draft, index: int, op: Op, after: Mask) -> None:
    """Constant operands of element-wise operators that have one entry per channel."""
    cuts: dict[int, Tensor | None] = {}
    for position, tensor in enumerate(op.inputs):
        content = draft.source.tensor(op, position)
        if content is None or not content.is_constant or op.kind not in _PER_CHANNEL:
            continue
        if tensor != ABSENT and width(content) == len(after):
            cuts[position] = constant(_along(content, len(content.shape) - 1, after), content.array()[..., after])
    _put(draft, index, op, cuts)


def _put(draft: Draft, index: int, op: Op, constants: dict[int, Tensor | None]) -> None:
    """The operator with these constants: in place where nobody else reads the old one, else as new tensors."""
    inputs = list(op.inputs)
    for position, tensor in constants.items():
        if tensor is None:
            continue
        if position < len(inputs) and inputs[position] != ABSENT:
            shared = draft.source.consumers[inputs[position]] != (index,) or inputs[position] in draft.source.outputs
            if not shared and inputs.count(inputs[position]) == 1:
                draft.tensor(inputs[position], tensor)
                continue
            tensor = replace(tensor, name=f"{tensor.name}/{index}")
        while len(inputs) <= position:
            inputs.append(ABSENT)
        inputs[position] = draft.add(tensor)
    draft.op(index, replace(op, inputs=tuple(inputs)))
