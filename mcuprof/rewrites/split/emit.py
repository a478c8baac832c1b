"""From chosen options to a graph of ordinary operators: SLICE, the operators themselves per stripe, CONCATENATION.

The graph is right wherever its tensors lie. `views` says how to place them so that SLICE and CONCATENATION copy bytes
onto themselves: a slice on the rows it takes, a piece on its rows of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from mcuprof.graph import ABSENT, DType, Graph, Op, Tensor, pack
from mcuprof.graph.graph import Attribute
from mcuprof.memory.views import View
from mcuprof.ops.rows import Rows
from mcuprof.rewrites.edit import POSITIONAL
from mcuprof.rewrites.split.options import Option
from mcuprof.rewrites.split.regions import Outline
from mcuprof.rewrites.split.rows import Span
from mcuprof.rewrites.split.stripes import Stripes, lay, wanted_rows

MAX_JOINED = 10  # inputs of TFLM's CONCATENATION (kMaxInputNum, kernels/concatenation.cc)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A rewritten graph. `views` places tensors on one another; `options` is what was done to the original.

    `origins` holds per operator the original's that it is (a stripe of), None for SLICE and CONCATENATION that were
    added; `tensors` maps each tensor that is whole to the original's, `channels` each that holds some channels of one
    of the original's to (that tensor, the first, behind the last): activations, weights and biases.
    """

    graph: Graph
    views: Mapping[int, View]
    options: tuple[Option, ...]
    origins: tuple[int | None, ...]
    tensors: Mapping[int, int]
    channels: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)


def split(outline: Outline, options: Sequence[Option], most_joined: int = MAX_JOINED) -> Split:
    """The graph of `outline` with these regions (disjoint) in stripes; joints take at most `most_joined` pieces."""
    emitter = _Emitter(outline, most_joined)
    index = 0
    for option in sorted(options, key=lambda o: o.region.first):
        for number in range(index, option.region.first):
            emitter.whole(number)
        emitter.region(option)
        index = option.region.last + 1
    for number in range(index, len(outline.graph.ops)):
        emitter.whole(number)
    return emitter.close(tuple(options))


class _Emitter:
    """Lists under construction. Tensors of the original come in when they are first named."""

    def __init__(self, outline: Outline, most_joined: int) -> None:
        self.outline, self.source, self.most_joined = outline, outline.graph, most_joined
        self.tensors: list[Tensor] = []
        self.place: dict[int, int] = {ABSENT: ABSENT}
        self.ops: list[Op] = []
        self.origins: list[int | None] = []
        self.views: dict[int, View] = {}
        self.numbers: dict[tuple[int, ...], int] = {}
        self.channels: dict[int, tuple[int, int, int]] = {}
        for tensor in (*self.source.inputs, *self.source.outputs):
            self.old(tensor)

    def close(self, options: tuple[Option, ...]) -> Split:
        source = self.source
        origin = source.origin
        metadata = {name: content for name, content in origin.metadata.items() if name not in POSITIONAL}
        graph = replace(
            source,
            tensors=tuple(self.tensors),
            ops=tuple(self.ops),
            inputs=tuple(self.place[tensor] for tensor in source.inputs),
            outputs=tuple(self.place[tensor] for tensor in source.outputs),
            origin=replace(origin, metadata=metadata),
        )
        same = {new: old for old, new in self.place.items() if old != ABSENT}
        return Split(graph, self.views, options, tuple(self.origins), same, self.channels)

    def old(self, tensor: int) -> int:
        """The new index of one of the original's tensors."""
        if tensor not in self.place:
            self.place[tensor] = self.new(self.source.tensors[tensor])
        return self.place[tensor]

    def new(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def op(self, op: Op, origin: int | None) -> None:
        self.ops.append(op)
        self.origins.append(origin)

    def constant(self, values: Sequence[int], shape: tuple[int, ...]) -> int:
        """An int32 constant; equal ones are one tensor."""
        key = (*shape, -1, *values)
        if key not in self.numbers:
            data = memoryview(np.array(values, "<i4").tobytes())
            self.numbers[key] = self.new(Tensor(f"rows{len(self.numbers)}", shape, DType.INT32, data=data))
        return self.numbers[key]

    def whole(self, index: int) -> None:
        """An operator as it was."""
        op = self.source.ops[index]
        inputs, outputs, between = (
            tuple(self.old(tensor) for tensor in group) for group in (op.inputs, op.outputs, op.intermediates)
        )
        self.op(replace(op, inputs=inputs, outputs=outputs, intermediates=between), index)

    def region(self, option: Option) -> None:
        if option.channels:
            self.groups(option)
            return
        region, outline = option.region, self.outline
        rows = np.array(option.rows, np.int64)
        wanted = wanted_rows(outline, region, rows[:-1], rows[1:])
        stripes = lay(outline, region, option.crops, wanted, option.grain)
        if not stripes.solved.all():
            raise ValueError("an option's stripes do not exist: it is of another graph")
        pieces: dict[int, list[int]] = {output: [] for output in region.outputs}
        numbers = range(option.stripes)
        for number in reversed(numbers) if option.upward else numbers:
            _Stripe(self, option, stripes, number).write(pieces)
        for output in region.outputs:
            self.joined(output, pieces[output][::-1] if option.upward else pieces[output])

    def groups(self, option: Option) -> None:
        """The region once per channel group, and their channels joined."""
        pieces = []
        for low, high in pairwise(option.channels):
            here = self.old(option.region.source)
            for index in range(option.region.first, option.region.last + 1):
                op = self.source.ops[index]
                inputs = [self.part(t, axis, low, high) for t, axis in _dealt_constants(op)]
                made = self.part(op.outputs[0], 3, low, high)
                self.op(replace(op, inputs=(here, *inputs), outputs=(made,)), index)
                here = made
            pieces.append(here)
        self._concatenate(pieces, self.old(option.region.outputs[0]), 3)

    def part(self, tensor: int, axis: int, low: int, high: int) -> int:
        """A new tensor that holds some channels of one of the original's."""
        if tensor == ABSENT:
            return ABSENT
        made = self.new(channels_of(self.source.tensors[tensor], axis, low, high))
        self.channels[made] = tensor, low, high
        return made

    def joined(self, output: int, pieces: list[int]) -> None:
        """CONCATENATION of all pieces, of groups of them where there are too many."""
        while len(pieces) > self.most_joined:
            groups = -(-len(pieces) // self.most_joined)
            size = -(-len(pieces) // groups)
            joined = []
            for start in range(0, len(pieces), size):
                group = pieces[start : start + size]
                if len(group) == 1:
                    joined += group
                    continue
                height = sum(self.tensors[piece].shape[1] for piece in group)
                spec = self.source.tensors[output]
                tensor = self.new(_cut(spec, f"t{output}+{start}", height))
                self.views[tensor] = self.views[group[0]]
                self._concatenate(group, tensor)
                joined.append(tensor)
            pieces = joined
        self._concatenate(pieces, self.old(output))

    def _concatenate(self, pieces: list[int], output: int, axis: int = 1) -> None:
        attributes: dict[str, Attribute] = {"axis": axis, "activation": "NONE"}
        self.op(Op("CONCATENATION", tuple(pieces), (output,), attributes, version=2, source="CONCATENATION"), None)

    def slice(self, tensor: int, start: int, rows: int, name: str, output: int | None = None) -> int:
        """Rows of a new tensor by SLICE; into `output`, or into a tensor that lies on these rows."""
        spec = self.tensors[tensor]
        if output is None:
            output = self.new(_cut(spec, name, rows))
            self.views[output] = View(tensor, start * (spec.nbytes // spec.shape[1]))
        begin = self.constant((0, start, 0, 0), (4,))
        size = self.constant((1, rows, -1, -1), (4,))  # whole rows, so that slices of all tensors share it
        self.op(Op("SLICE", (tensor, begin, size), (output,), {}, version=2, source="SLICE"), None)
        return output


class _Stripe:
    """One stripe of a region: its tensors by the original's index, each with the rows it holds."""

    def __init__(self, emitter: _Emitter, option: Option, stripes: Stripes, number: int) -> None:
        self.emitter, self.option, self.stripes, self.number = emitter, option, stripes, number
        self.here: dict[int, tuple[int, int, int]] = {}

    def write(self, pieces: dict[int, list[int]]) -> None:
        emitter, region, stripes = self.emitter, self.option.region, self.stripes
        source = emitter.old(region.source)
        self.here[region.source] = source, 0, emitter.outline.height(region.source)
        for side in region.sides:
            self.here[side] = emitter.old(side), 0, emitter.outline.height(side)
        self.crop(region.source, stripes.source)
        for index in range(region.first, region.last + 1):
            output = emitter.source.ops[index].outputs[0]
            self.operator(index)
            if output in stripes.wanted:
                pieces[output].append(self.deliver(output))
            if output in stripes.crop:
                self.crop(output, stripes.crop[output])

    def rows(self, span: Span) -> tuple[int, int]:
        return int(span.start[self.number]), int(span.stop[self.number])

    def name(self, tensor: int, start: int, stop: int) -> str:
        return f"t{tensor}[{start}:{stop}]"

    def crop(self, tensor: int, span: Span) -> None:
        start, stop = self.rows(span)
        self.here[tensor] = self.cropped(tensor, start, stop)

    def cropped(self, tensor: int, start: int, stop: int) -> tuple[int, int, int]:
        index, first, last = self.here[tensor]
        if (first, last) == (start, stop):
            return index, first, last
        name = self.name(tensor, start, stop)
        return self.emitter.slice(index, start - first, stop - start, name), start, stop

    def operator(self, index: int) -> None:
        emitter, stripes = self.emitter, self.stripes
        op, rule = emitter.source.ops[index], emitter.outline.rules[index]
        assert rule is not None, "regions hold only operators with rules"
        inputs = []
        held = (0, 0)
        seen: dict[int, tuple[int, int, int]] = {}
        for position, tensor in enumerate(op.inputs):
            if position not in rule.inputs:
                inputs.append(emitter.old(tensor))
                continue
            if tensor not in seen:
                seen[tensor] = self.here[tensor]
                if (index, tensor) in stripes.joined:
                    seen[tensor] = self.cropped(tensor, *self.rows(stripes.joined[index, tensor]))
            inputs.append(seen[tensor][0])
            held = seen[tensor][1:]
        if rule.pad is not None and "pads" in op.attributes:
            (top, bottom), (_, left, _, right) = _borders(rule, held), op.integers("pads")
            op = replace(op, attributes={**op.attributes, "pads": (top, left, bottom, right)})
        elif rule.pad is not None:
            inputs[1] = self.paddings(index, rule, held)
        if rule.up > 1:
            inputs[1] = emitter.constant((rule.up * (held[1] - held[0]), emitter.source.output(op).shape[2]), (2,))
        output = op.outputs[0]
        start, stop = self.rows(stripes.extent[output])
        spec = emitter.source.tensors[output]
        made = emitter.new(_cut(spec, self.name(output, start, stop), stop - start))
        emitter.op(replace(op, inputs=tuple(inputs), outputs=(made,)), index)
        self.here[output] = made, start, stop

    def paddings(self, index: int, rule: Rows, held: tuple[int, int]) -> int:
        """PAD's amounts for rows `held` of its input: nothing is added at inner borders."""
        amounts = self.emitter.source.input(self.emitter.source.ops[index], 1).array().reshape(-1, 2).copy()
        amounts[1] = _borders(rule, held)
        return self.emitter.constant(amounts.reshape(-1).tolist(), amounts.shape)

    def deliver(self, output: int) -> int:
        """The stripe's rows of an output of the region, at their place in it: as they are, or copied."""
        emitter = self.emitter
        start, stop = self.rows(self.stripes.wanted[output])
        index, first, last = self.here[output]
        parent = emitter.old(output)
        view = View(parent, start * emitter.outline.row_bytes(output))
        if (first, last) == (start, stop):
            emitter.views[index] = view
            return index
        spec = emitter.source.tensors[output]
        piece = emitter.new(_cut(spec, f"{self.name(output, start, stop)}p", stop - start))
        emitter.views[piece] = view
        return emitter.slice(index, start - first, stop - start, "", piece)


def channels_of(tensor: Tensor, axis: int, low: int, high: int) -> Tensor:
    """Channels `low` … `high` − 1 of `axis`, contents and scales included."""
    shape = (*tensor.shape[:axis], high - low, *tensor.shape[axis + 1 :])
    quantization = tensor.quantization
    if quantization is not None and quantization.per_channel:
        zeros = quantization.zero_point
        zeros = zeros[low:high] if len(zeros) > 1 else zeros
        quantization = replace(quantization, scale=quantization.scale[low:high], zero_point=zeros)
    data = tensor.data
    if data is not None:
        data = memoryview(pack(np.take(tensor.array(), range(low, high), axis), tensor.dtype))
    name = f"{tensor.name}[{low}:{high}]"
    return replace(tensor, name=name, shape=shape, quantization=quantization, data=data)


def _dealt_constants(op: Op) -> list[tuple[int, int]]:
    """(weights and bias, the axis of their output channels)."""
    axes = (3 if op.kind == "DEPTHWISE_CONV_2D" else 0, 0)
    return list(zip(op.inputs[1:], axes, strict=False))


def _borders(rule: Rows, held: tuple[int, int]) -> tuple[int, int]:
    """The rows to add above and below rows `held` of the input: none at inner borders."""
    assert rule.pad is not None
    return rule.pad[0] if held[0] == 0 else 0, rule.pad[1] if held[1] == rule.in_rows else 0


def _cut(tensor: Tensor, name: str, rows: int) -> Tensor:
    return replace(tensor, name=name, shape=(1, rows, *tensor.shape[2:]))
