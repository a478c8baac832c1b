"""Execution inside a memory plan: one byte buffer, tensors at the plan's offsets, every claim put to the test.

Each byte of the arena has a mark: which byte of which tensor was written there last. An operator may read a tensor only
while its marks are all there. Bytes are poisoned when their tensor dies by the plan's word (in a plan with views, each
byte when it has been read for the last time) and when a kernel takes them as scratch. Where an output lies on an input,
the operator runs in strips on the live bytes in its declared order (a kernel that goes by rows makes the rows of its
strip only), and no byte may be written before the step at which `ops.traversal` says it is read for the last time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from mcuprof.errors import ModelError, PlanError
from mcuprof.graph import ABSENT, Op, Tensor
from mcuprof.ops.kernel import Array, storage
from mcuprof.ops.traversal import Walk, channel_reads, reference_walk
from mcuprof.runner.marks import NOBODY, Ledger
from mcuprof.runner.program import Program, State, operand, run_operator, run_stretch

POISON = 0xA5
_STRIPS = 4


class Plan(Protocol):
    """What execution needs of `memory.plan.MemoryPlan`: the fields of the same names."""

    @property
    def order(self) -> Sequence[int]:
        """Operator indices in the order they run."""

    @property
    def offsets(self) -> Sequence[int | None]:
        """First byte by tensor index; None outside the arena."""

    @property
    def lifetimes(self) -> Sequence[tuple[int, int] | None]:
        """First and last position in `order`, by tensor index."""

    @property
    def scratch(self) -> Sequence[Sequence[tuple[int, int]]]:
        """Per operator, its scratch blocks as (offset, bytes)."""

    @property
    def strategy(self) -> str:
        """The in-place strategy."""

    @property
    def arena_bytes(self) -> int:
        """Size of the arena."""

    @property
    def views(self) -> Mapping[int, object]:
        """Tensors that lie inside others by intent."""


def evaluate_in_arena(
    program: Program,
    plan: Plan,
    inputs: Mapping[int, Array],
    state: State,
    seed: int = 0,
    walk: Walk = reference_walk,
) -> dict[int, Array]:
    """As `program.evaluate`, with every placed tensor inside the arena. `seed` chooses where strips are cut.

    `walk` says in which order the kernels read and write (default: as the reference kernels).

    Returns every computed tensor as it was right after it was written. Raises PlanError where the plan breaks one,
    ModelError where a tensor is larger than the file says.
    """
    return Arena(program, plan, walk).run(inputs, state, seed)


class Arena:
    """A program inside its plan, for many inferences: `run` is `evaluate_in_arena`.

    What does not depend on the inputs is worked out once: marks, and in which order operators read what they overwrite.
    """

    def __init__(self, program: Program, plan: Plan, walk: Walk = reference_walk) -> None:
        if sorted(plan.order) != list(range(len(program.graph.ops))):
            raise PlanError("the plan does not run every operator exactly once")
        self.walk = walk
        self.program, self.graph, self.plan = program, program.graph, plan
        self.bytes = np.full(plan.arena_bytes, POISON, np.uint8)
        self.places = [self.place(tensor) for tensor in range(len(self.graph.tensors))]
        self.ledger = Ledger(self.graph, plan.order, self.places)
        self.marks = np.full(plan.arena_bytes, NOBODY, self.ledger.dtype)
        self.graves = self.ledger.graves(None if plan.views else plan.lifetimes)
        self.blocks: dict[int, int | None] = {}
        self.windows: dict[int, Array] = {}

    def run(self, inputs: Mapping[int, Array], state: State, seed: int = 0) -> dict[int, Array]:
        """One inference, which begins with poisoned bytes."""
        self.state, self.rng = state, np.random.default_rng(seed)
        self.bytes[:] = POISON
        self.marks[:] = NOBODY
        unwritten = (tensor for tensor in range(len(self.graph.tensors)) if tensor not in self.graph.producer)
        self.present = {*self.graph.inputs, *unwritten}
        self.outside: dict[int, Array] = dict(self.program.constants)
        values: dict[int, Array] = {**self.program.constants, **inputs}
        for tensor, value in inputs.items():
            self.store(tensor, value)
        for position, index in enumerate(self.plan.order):
            values.update(self.step(index))
            self.bury(position)
        for tensor in self.graph.outputs:
            if self.plan.offsets[tensor] is not None:
                if tensor not in self.ledger.marks:
                    raise ModelError(f"output {self.name(tensor)} is never computed: no operator writes it")
                self.claim(tensor, slice(None), "the caller")
        return values

    def step(self, index: int) -> dict[int, Array]:
        """Runs one operator; returns its outputs."""
        op = self.graph.ops[index]
        reader = f"operator {index} ({op.kind})"
        for offset, size in self.plan.scratch[index]:
            self.poison(slice(offset, offset + size))
        operands = [self.load(op, position, reader) for position in range(len(op.inputs))]
        if index not in self.blocks:
            self.blocks[index] = self.shared_block(op, reader)
        block = self.blocks[index]
        if block is not None:
            results = self.in_strips(index, operands, block)
        else:
            # A kernel may return a view of its input; what leaves the arena must not change with it.
            results = tuple(
                value.copy() if np.may_share_memory(value, self.bytes) else value
                for value in run_operator(self.program, index, operands, self.state)
            )
            for tensor, value in zip(op.outputs, results, strict=False):
                if tensor != ABSENT:
                    self.store(tensor, value)
        for offset, size in self.plan.scratch[index]:
            self.poison(slice(offset, offset + size))
        self.present.update(op.outputs)
        return {tensor: value for tensor, value in zip(op.outputs, results, strict=False) if tensor != ABSENT}

    # Bytes ----------------------------------------------------------------------------------------------------------

    def place(self, tensor: int) -> slice | None:
        """Where the tensor lies; None outside the arena. Raises PlanError beyond its end."""
        offset = self.plan.offsets[tensor]
        if offset is None:
            return None
        end = offset + _nbytes(self.graph.tensors[tensor])
        if offset < 0 or end > len(self.bytes):
            raise PlanError(f"tensor {self.name(tensor)} reaches to byte {end} of an arena of {len(self.bytes)}")
        return slice(offset, end)

    def store(self, tensor: int, value: Array) -> None:
        """Writes a tensor and its marks to its place, or keeps it outside."""
        place = self.places[tensor]
        if place is None:
            self.outside[tensor] = value
            return
        content = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        if content.size != place.stop - place.start:
            stored = place.stop - place.start
            raise ModelError(f"tensor {self.name(tensor)} takes {content.size} bytes when run, {stored} in the file")
        self.bytes[place] = content
        self.marks[place] = self.ledger.marks[tensor]

    def load(self, op: Op, position: int, reader: str) -> Array:
        """A live view of a placed input; the array of any other, None where absent or not computed."""
        tensor = op.inputs[position]
        if tensor == ABSENT or self.places[tensor] is None:
            found = operand(self.program, tensor, self.outside, self.state)
            if found is None and tensor != ABSENT:
                raise PlanError(f"{reader} runs before tensor {self.name(tensor)} is written")
            return found
        self.claim(tensor, self.ledger.wanted(op, position), reader)
        if tensor not in self.windows:
            spec = self.graph.tensors[tensor]
            self.windows[tensor] = self.bytes[self.places[tensor]].view(storage(spec.dtype)).reshape(spec.shape)
        return self.windows[tensor]

    def claim(self, tensor: int, part: slice, reader: str) -> None:
        """Raises PlanError unless this part of the tensor is where it was written."""
        place = self.places[tensor]
        assert place is not None, "only placed tensors are claimed"
        foreign = self.marks[place][part] != self.ledger.marks[tensor][part]
        if tensor not in self.present:  # its bytes may be there, under another name
            raise PlanError(f"{reader} reads tensor {self.name(tensor)}, which is not (or no longer) written")
        if not foreign.any():
            return
        at = place.start + (part.start or 0) + int(np.argmax(foreign))
        thief = int(self.marks[at])
        what = (
            "not (or no longer) written"
            if thief == NOBODY
            else f"overwritten by {self.name(self.ledger.writer(thief))}"
        )
        raise PlanError(f"{reader} reads tensor {self.name(tensor)}, whose byte {at} of the arena is {what}")

    def bury(self, position: int) -> None:
        """Poisons what has died at this position."""
        for place, marks in self.graves.get(position, ()):
            dead = self.marks[place] == marks
            self.bytes[place][dead] = POISON
            self.marks[place][dead] = NOBODY

    def poison(self, place: slice) -> None:
        """Makes these bytes nobody's."""
        if place.stop > len(self.bytes):
            raise PlanError(f"scratch reaches to byte {place.stop} of an arena of {len(self.bytes)}")
        self.bytes[place] = POISON
        self.marks[place] = NOBODY

    def name(self, tensor: int) -> str:
        """The tensor, for messages."""
        return repr(self.graph.tensors[tensor].name)

    # Sharing --------------------------------------------------------------------------------------------------------

    def shared_block(self, op: Op, reader: str) -> int | None:
        """How many pixels the kernel writes in one go when its output lies on an input; None when it does not.

        Raises PlanError when a byte would be overwritten that is still to be read.
        """
        shared = [
            (position, out)
            for position, tensor in enumerate(op.inputs)
            for out in op.outputs
            if tensor != ABSENT and out != ABSENT and self.meet(op, position, out)
        ]
        for position, out in shared:
            self.check_order(op, reader, position, out)
        return max((self.walk(self.graph, op, position).block for position, _ in shared), default=None)

    def meet(self, op: Op, position: int, out: int) -> bool:
        """True when the output has bytes in common with what is read of this input, and does not just keep them."""
        a, b = self.places[op.inputs[position]], self.places[out]
        if a is None or b is None or self.ledger.kept(op, position) is not None:
            return False
        part = self.ledger.wanted(op, position)
        start, stop = a.start + (part.start or 0), a.stop if part.stop is None else a.start + part.stop
        return start < b.stop and b.start < stop

    def check_order(self, op: Op, reader: str, position: int, out: int) -> None:
        """Raises PlanError when the output would overwrite a byte of the input that is still to be read."""
        source, target = self.places[op.inputs[position]], self.places[out]
        assert source is not None and target is not None, "only placed tensors meet"
        if self.plan.strategy == "depthwise" and op.kind == "DEPTHWISE_CONV_2D" and source.start == target.start:
            read, written = channel_reads(self.graph, op)
        else:
            read = self.walk(self.graph, op, position).written
            length = target.stop - target.start
            written = np.arange(length) * self.graph.tensors[out].elements // max(1, length)
        unread = np.ones(len(read), np.bool_)
        unread[self.ledger.wanted(op, position)] = False
        read = np.where(unread, -1, read)
        low, high = max(source.start, target.start), min(source.stop, target.stop)
        late = read[low - source.start : high - source.start] > written[low - target.start : high - target.start]
        if op.outputs[0] != out or late.any():
            at = low + int(np.argmax(late))
            name = self.name(op.inputs[position])
            raise PlanError(f"{reader} writes byte {at} of the arena while it still has to read tensor {name} there")

    def in_strips(self, index: int, operands: list[Array], block: int) -> tuple[Array, ...]:
        """Runs the operator strip by strip on live bytes: each strip sees what the ones before it have overwritten.

        Strips begin at multiples of `block` pixels, which the kernel writes in one go. A channel-by-channel kernel has
        read a channel before it writes it, so it runs in one piece.
        """
        op = self.graph.ops[index]
        out = op.outputs[0]
        spec, place = self.graph.tensors[out], self.places[out]
        assert place is not None, "a shared output is placed"
        whole = op.kind == "DEPTHWISE_CONV_2D" and self.plan.strategy == "depthwise"
        row = max(1, spec.shape[-1] if spec.shape else 1)
        cuts = self.rng.integers(0, spec.elements // row + 1, 0 if whole else _STRIPS) // block * block * row
        edges = sorted({0, *(int(cut) for cut in cuts), spec.elements})
        width = (place.stop - place.start) // spec.elements
        result = np.empty(spec.shape, storage(spec.dtype))
        flat = result.reshape(-1)
        for start, stop in pairwise(edges):
            flat[start:stop] = run_stretch(self.program, index, operands, self.state, start, stop)
            part = slice(place.start + start * width, place.start + stop * width)
            self.bytes[part] = flat[start:stop].view(np.uint8)
            self.marks[part] = self.ledger.marks[out][start * width : stop * width]
        return (result,)


def _nbytes(tensor: Tensor) -> int:
    """Bytes of the tensor as it is held here: 4-bit integers take one each."""
    return tensor.elements * storage(tensor.dtype).itemsize if tensor.dtype.bits % 8 else tensor.nbytes
