"""Whether a rewritten graph computes the original, row by row: worked out anew from the two graphs alone.

Each tensor of the rewritten graph is given a list: which row of which of the original's tensors each of its rows holds,
or NOTHING where no one knows. Inputs and constants hold themselves. An operator that stands for one of the original's
makes row J where it reads, tap by tap, exactly what that operator reads for row J: the same rows, and padding where it
reads padding. SLICE and CONCATENATION move rows. Everything that is not a row (weights, options, columns, channels)
must be the same. No formula of the search is used; rows are looked at one at a time. Channel groups: proof_groups.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mcuprof.errors import PlanError
from mcuprof.graph import ABSENT, Graph, Op, Tensor
from mcuprof.ops import row_rule
from mcuprof.ops.geometry import window
from mcuprof.rewrites.split.emit import Split
from mcuprof.rewrites.split.proof_groups import is_dealt, prove_group, prove_joined

NOTHING = -1
_OUTSIDE = -2  # a tap on padding
_ALL = -3  # a tensor that is whole and has no rows to speak of

Rows = tuple[int, list[int]]  # (tensor of the original, row of it per row)


def prove(original: Graph, split: Split) -> int:
    """The number of rows of all stripes that were shown to be the original's. Raises PlanError where one is not."""
    return _Proof(original, split).run()


class _Proof:
    def __init__(self, original: Graph, split: Split) -> None:
        self.old, self.new, self.split = original, split.graph, split
        self.held: dict[int, Rows] = {}
        self.shown = 0

    def run(self) -> int:
        old, new, same = self.old, self.new, self.split.tensors
        if len(new.inputs) != len(old.inputs) or len(new.outputs) != len(old.outputs):
            raise PlanError("the rewritten graph has other inputs or outputs")
        for here, there in zip((*new.inputs, *new.outputs), (*old.inputs, *old.outputs), strict=True):
            if same.get(here) != there:
                raise PlanError(f"tensor {new.tensors[here].name!r} stands for another input or output")
        for here, there in same.items():
            if not _alike(new.tensors[here], old.tensors[there]):
                raise PlanError(f"tensor {new.tensors[here].name!r} is not the original's")
            if new.tensors[here].is_constant or new.tensors[here].variable:
                self.held[here] = there, [_ALL]
        for here in new.inputs:
            self.held[here] = self.whole(same[here])
        for index, origin in enumerate(self.split.origins):
            self.operator(index, new.ops[index], origin)
        for here in new.outputs:
            self.require_whole(here, same[here])
        return self.shown

    def operator(self, index: int, op: Op, origin: int | None) -> None:
        if is_dealt(self.split, op):
            self.dealt(op, origin)
        elif origin is None:
            made = self.sliced(op) if op.kind == "SLICE" else self.joined(op)
            self.held[op.outputs[0]] = made
        else:
            self.computed(index, op, self.old.ops[origin])
        for tensor in op.outputs:
            if tensor in self.split.tensors:
                self.require_whole(tensor, self.split.tensors[tensor])

    def dealt(self, op: Op, origin: int | None) -> None:
        """Channels, not rows: what is joined again is whole."""
        if origin is None:
            self.held[op.outputs[0]] = self.whole(prove_joined(self.old, self.split, op))
            return
        prove_group(self.old, self.split, op, self.old.ops[origin], self.is_whole)
        self.shown += self.new.output(op).shape[1]

    def computed(self, index: int, op: Op, source: Op) -> None:
        pairs = list(zip(op.inputs, source.inputs, strict=True))
        whole = op.attributes == source.attributes
        if (op.kind, len(op.outputs)) != (source.kind, len(source.outputs)) or not (
            whole or _same_but_row_pads(op, source)
        ):
            raise PlanError(f"operator {index} ({op.kind}) is not the original's")
        if whole and all(here == ABSENT == there or self.is_whole(here, there) for here, there in pairs):
            for here, there in zip(op.outputs, source.outputs, strict=True):
                if not _alike(self.new.tensors[here], self.old.tensors[there]):
                    raise PlanError(f"operator {index} ({op.kind}) makes a tensor of another kind")
                self.held[here] = self.whole(there)
            return
        (here,), (there,) = op.outputs, source.outputs
        if not _same_but_rows(self.new.tensors[here], self.old.tensors[there]):
            raise PlanError(f"operator {index} ({op.kind}) makes a tensor of another kind")
        if op.kind == "RESIZE_NEAREST_NEIGHBOR":
            rows = self.enlarged(op, source)
        else:
            rows = self.padded(op, source) if op.kind in ("PAD", "PADV2") else self.windows(index, op, source)
        self.held[here] = there, rows
        self.shown += sum(row != NOTHING for row in rows)

    def windows(self, index: int, op: Op, source: Op) -> list[int]:
        """Rows of a window or pointwise operator: the taps of every row compared with the original's."""
        rule = row_rule(self.old, source)
        if rule is None:
            raise PlanError(f"operator {index} ({op.kind}) does not work row by row")
        cut = set(rule.inputs)
        for position, (here, there) in enumerate(zip(op.inputs, source.inputs, strict=True)):
            if position not in cut and not (here == ABSENT == there or self.is_whole(here, there)):
                raise PlanError(f"operator {index} ({op.kind}) reads another operand {position}")
        parts = []
        for position in rule.inputs:
            tensor, rows = self.held[op.inputs[position]]
            if tensor != source.inputs[position]:
                raise PlanError(f"operator {index} ({op.kind}) reads another tensor")
            parts.append(rows)
        local, whole = _taps(self.new, op), _taps(self.old, source)
        wanted: dict[tuple[int, ...], int] = {}
        for row, taps in enumerate(whole):
            wanted.setdefault(tuple(taps), row)
        if len(wanted) < len(whole):  # rows that read the same need a place, not only taps
            return [_unique(parts, taps, whole) for taps in local]
        found = []
        for taps in local:
            read = [[rows[tap] if tap != _OUTSIDE else _OUTSIDE for tap in taps] for rows in parts]
            agreed = all(other == read[0] for other in read[1:]) and NOTHING not in read[0]
            found.append(wanted.get(tuple(read[0]), NOTHING) if agreed else NOTHING)
        return found

    def padded(self, op: Op, source: Op) -> list[int]:
        """Rows of a PAD: those it adds at a true border, and those of its input."""
        if any(
            self.new.input(op, 1).array().reshape(-1, 2)[axis].tolist() != amounts
            for axis, amounts in _columns(self.old, source)
        ):
            raise PlanError("a PAD adds other columns or channels")
        if len(op.inputs) > 2 and not self.is_whole(op.inputs[2], source.inputs[2]):
            raise PlanError("a PAD adds another value")
        tensor, rows = self.held[op.inputs[0]]
        if tensor != source.inputs[0]:
            raise PlanError("a PAD reads another tensor")
        above, below = (int(n) for n in self.new.input(op, 1).array().reshape(-1, 2)[1])
        before, after = (int(n) for n in self.old.input(source, 1).array().reshape(-1, 2)[1])
        height = self.old.input(source).shape[1]
        top = list(range(above)) if above == before and rows[0] == 0 else [NOTHING] * above
        full = before + height + after
        bottom = list(range(full - below, full)) if below == after and rows[-1] == height - 1 else [NOTHING] * below
        return [*top, *(row + before if row != NOTHING else NOTHING for row in rows), *bottom]

    def enlarged(self, op: Op, source: Op) -> list[int]:
        """Rows of a nearest neighbour: where the kernel takes all of them from, those of the original taken so."""
        new, old = self.new, self.old
        tensor, rows = self.held[op.inputs[0]]
        for graph, resize in ((new, op), (old, source)):
            if graph.input(resize, 1).array().tolist() != list(graph.output(resize).shape[1:3]):
                raise PlanError("a RESIZE_NEAREST_NEIGHBOR makes another size than it says")
        if tensor != source.inputs[0] or len(op.inputs) != len(source.inputs):
            raise PlanError("a RESIZE_NEAREST_NEIGHBOR reads another tensor")
        local, whole = _nearest(new, op), _nearest(old, source)
        # Each row of the original's input is taken as one block of rows: stripes take blocks as a whole, in order.
        found: list[int] = []
        for place, row in enumerate(rows):
            block = [number for number, taken in enumerate(whole) if taken == row]
            made = [number for number, taken in enumerate(local) if taken == place]
            found += block if len(block) == len(made) and made == sorted(made) else [NOTHING] * len(made)
        return found if local == sorted(local) else [NOTHING] * len(local)

    def sliced(self, op: Op) -> Rows:
        x, out = self.new.input(op), self.new.output(op)
        begin, size = (self.new.input(op, position).array().tolist() for position in (1, 2))
        size = [x.shape[axis] - begin[axis] if length == -1 else length for axis, length in enumerate(size)]
        rest = (0, 2, 3)
        if any(begin[axis] or size[axis] != x.shape[axis] for axis in rest) or tuple(size) != out.shape:
            raise PlanError("a SLICE takes more or less than rows")
        if not _same_but_rows(x, out):
            raise PlanError("a SLICE changes the kind of its tensor")
        tensor, rows = self.held[op.inputs[0]]
        return tensor, rows[begin[1] : begin[1] + size[1]]

    def joined(self, op: Op) -> Rows:
        out = self.new.output(op)
        if op.kind != "CONCATENATION" or op.integer("axis") != 1 or op.text("activation", "NONE") != "NONE":
            raise PlanError(f"an operator {op.kind} was added that does not join rows")
        tensors = {self.held[piece][0] for piece in op.inputs}
        if len(tensors) != 1 or not all(_same_but_rows(self.new.tensors[piece], out) for piece in op.inputs):
            raise PlanError("a CONCATENATION joins rows of different tensors")
        rows = [row for piece in op.inputs for row in self.held[piece][1]]
        if len(rows) != out.shape[1]:
            raise PlanError("a CONCATENATION does not fill its output")
        return tensors.pop(), rows

    def whole(self, tensor: int) -> Rows:
        shape = self.old.tensors[tensor].shape
        return tensor, list(range(shape[1])) if len(shape) == 4 else [_ALL]

    def is_whole(self, here: int, there: int) -> bool:
        return here in self.held and there != ABSENT and self.held[here] in (self.whole(there), (there, [_ALL]))

    def require_whole(self, here: int, there: int) -> None:
        if not self.is_whole(here, there):
            rows = self.held[here][1] if here in self.held else []
            wrong = [number for number, row in enumerate(rows) if row != number]
            name = self.old.tensors[there].name
            raise PlanError(f"rows {wrong[:3]} of tensor {name!r} are not the original's")


def _taps(graph: Graph, op: Op) -> list[list[int]]:
    """Per output row the input rows that its window touches, _OUTSIDE for padding."""
    height = graph.input(op).shape[1]
    if op.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"):
        return [[row] for row in range(graph.output(op).shape[1])]
    w = window(graph, op)
    return [
        [
            row if 0 <= row < height else _OUTSIDE
            for row in (out * w.stride_h - w.pad_top + tap * w.dilation_h for tap in range(w.kernel_h))
        ]
        for out in range(w.out_h)
    ]


def _nearest(graph: Graph, op: Op) -> list[int]:
    """Per output row the row it copies: TFLite's GetNearestNeighbor, in float32."""
    size, count = graph.input(op).shape[1], graph.output(op).shape[1]
    if op.integer("align_corners"):
        raise PlanError("a RESIZE_NEAREST_NEIGHBOR that aligns corners does not work row by row")
    scale, offset = np.float32(size / count), np.float32(0.5 if op.integer("half_pixel_centers") else 0.0)
    return [min(int(np.floor((np.float32(row) + offset) * scale)), size - 1) for row in range(count)]


def _unique(parts: Sequence[Sequence[int]], taps: Sequence[int], whole: Sequence[Sequence[int]]) -> int:
    """Where several rows of the original read the same, none is told apart by its taps."""
    read = [rows[tap] if tap != _OUTSIDE else _OUTSIDE for rows in parts[:1] for tap in taps]
    same = [row for row, other in enumerate(whole) if list(other) == read]
    return same[0] if len(same) == 1 else NOTHING


def _columns(graph: Graph, pad: Op) -> Iterator[tuple[int, list[int]]]:
    amounts = graph.input(pad, 1).array().reshape(-1, 2).tolist()
    return ((axis, amounts[axis]) for axis in (0, 2, 3))


def _same_but_row_pads(op: Op, source: Op) -> bool:
    """Whether only explicit pads above and below differ: which rows a window reads is looked at tap by tap."""
    (_, left, _, right), (_, old_left, _, old_right) = (one.integers("pads", (0, 0, 0, 0)) for one in (op, source))
    rest, old_rest = ({**one.attributes, "pads": ()} for one in (op, source))
    return source.text("padding") == "EXPLICIT" and (left, right, rest) == (old_left, old_right, old_rest)


def _alike(one: Tensor, other: Tensor) -> bool:
    return _same_but_rows(one, other) and one.shape == other.shape and one.data == other.data


def _same_but_rows(one: Tensor, other: Tensor) -> bool:
    kind = (one.dtype, one.quantization, one.variable) == (other.dtype, other.quantization, other.variable)
    rest = (one.shape[:1], one.shape[2:]) == (other.shape[:1], other.shape[2:]) if len(one.shape) == 4 else True
    return kind and len(one.shape) == len(other.shape) and rest


Origins = Mapping[int, int]
