"""The abstract problem behind every memory plan: buffers, the steps that write and read them, and who may share bytes.

Everything that a runtime or a file knows has been asked before; from here on there are only numbers. Step 0 stands for
the caller, who writes the graph inputs; step k + 1 is operator k. Tensors that are the same bytes (`alias`) are one
buffer; tensors that lie inside one another are a rigid group of buffers, cut where the lives of their bytes differ.
Constants and state kept between inferences take no part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mcuprof.errors import ModelError, UsageError
from mcuprof.graph import ABSENT, Graph, Op
from mcuprof.memory.views import View, blocks, parts, whole
from mcuprof.ops.sharing import STRATEGIES, Share

MAX_BUFFER_BYTES = 2 * 1024**3
STATEFUL = frozenset({"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "IF", "WHILE"})

Io = Literal["in-arena", "outside"]


class Sharing(Protocol):
    """What output `output_position` of `op` may share with input `input_position`, should that input die there.

    None: they must be disjoint. Distances in bytes, unaligned. `mcuprof.ops.sharing.share` is the one for reference
    kernels; a runtime may bring its own.
    """

    def __call__(  # noqa: D102 — the class says it
        self, graph: Graph, op: Op, strategy: str, input_position: int, output_position: int
    ) -> Share | None: ...


@dataclass(frozen=True, slots=True)
class Buffer:
    """A block of `bytes` (aligned up), or a part of a rigid group, for `tensors` that are the same bytes there.

    `starts` says where each of them begins, in bytes from the buffer's own start. `producer` is the step that writes
    the buffer, `consumers` the steps that read it, ascending; `leaves` when it must survive the last step.
    """

    name: str
    bytes: int
    tensors: tuple[int, ...]
    starts: tuple[int, ...]
    producer: int
    consumers: tuple[int, ...]
    leaves: bool


@dataclass(frozen=True, slots=True)
class Overlay:
    """Buffer `target`, written by a step, may lie on buffer `source` where that step is the last to read it.

    The target then starts with the source (`exact`) or at least `distance` bytes below it (above it, when negative);
    else the two are disjoint. `scratch` bytes are needed beside them when they do share. Both may be parts: then the
    step's output `output` of `written` bytes starts at least `lead` bytes below the source. Distances are aligned up
    for whole tensors.
    """

    source: int
    target: int
    distance: int
    exact: bool
    scratch: int
    output: int
    written: int
    lead: int


@dataclass(frozen=True, slots=True)
class Step:
    """One operator: buffers read and written, its scratch blocks in bytes (aligned up), and which steps precede it."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    scratch: tuple[int, ...]
    overlays: tuple[Overlay, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Buffers and steps; equal problems have equal plans. Offsets are multiples of `alignment`.

    `rigid` holds the groups of buffers that move as one, as (buffer, bytes from the group's start).
    """

    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    alignment: int
    rigid: tuple[tuple[tuple[int, int], ...], ...] = ()

    @property
    def shares(self) -> bool:
        """True when any two buffers may share bytes."""
        return any(step.overlays for step in self.steps)


def align(count: int, alignment: int) -> int:
    """`count` bytes rounded up to a multiple of `alignment`."""
    return -(-count // alignment) * alignment


def build_problem(
    graph: Graph,
    strategy: str,
    *,
    sharing: Sharing,
    alignment: int = 1,
    scratch: Sequence[Sequence[int]] | None = None,
    io: Io = "in-arena",
    views: Mapping[int, View] | None = None,
) -> Problem:
    """The planning problem of `graph` under in-place `strategy`.

    `scratch` holds, per operator, the bytes of each block that only this operator uses. With `io="outside"` graph
    inputs and outputs live in the caller's memory. `views` are tensors that lie inside others. Raises UsageError for
    options that make no sense and ModelError for graphs that cannot run in file order, write a tensor twice or hold one
    above 2 GiB.
    """
    _check_options(graph, strategy, alignment, scratch, io)
    planned = placed_tensors(graph, io)
    _check_graph(graph, planned)
    buffers, rigid = _buffers(graph, planned, strategy, sharing, alignment, views or {})
    scratch = scratch or [()] * len(graph.ops)
    reads: list[list[int]] = [[] for _ in range(len(graph.ops) + 1)]
    writes: list[list[int]] = [[] for _ in range(len(graph.ops) + 1)]
    for number, buffer in enumerate(buffers):
        writes[buffer.producer].append(number)
        for reader in buffer.consumers:
            reads[reader].append(number)
    overlay = _Overlays(graph, strategy, sharing, buffers, rigid, alignment)
    steps = [Step((), tuple(writes[0]), (), (), ())]
    for number, after in enumerate(_predecessors(graph)):
        sizes = tuple(align(size, alignment) for size in scratch[number] if size)
        inputs, outputs = tuple(reads[number + 1]), tuple(writes[number + 1])
        steps.append(Step(inputs, outputs, sizes, overlay.of(number, inputs, outputs), after))
    return Problem(buffers, tuple(steps), alignment, rigid)


def _check_options(
    graph: Graph, strategy: str, alignment: int, scratch: Sequence[Sequence[int]] | None, io: str
) -> None:
    if strategy not in STRATEGIES:
        raise UsageError(f"no in-place strategy {strategy!r}: choose from {', '.join(STRATEGIES)}")
    if alignment < 1:
        raise UsageError(f"an alignment of {alignment} bytes makes no sense")
    if io not in ("in-arena", "outside"):
        raise UsageError(f"no place {io!r} for inputs and outputs: choose in-arena or outside")
    if scratch is not None and (len(scratch) != len(graph.ops) or any(size < 0 for sizes in scratch for size in sizes)):
        raise UsageError(f"scratch needs one list of sizes for each of the {len(graph.ops)} operators, none negative")


def placed_tensors(graph: Graph, io: Io = "in-arena") -> dict[int, None]:
    """Tensors that need arena bytes, in order of appearance: whatever is written or read, save constants and state.

    What is read and never written (the working memory of an Ethos-U command stream) counts as written by the caller.
    """
    outside = {*graph.inputs, *graph.outputs} if io == "outside" else set()
    used = (tensor for op in graph.ops for tensor in (*op.inputs, *op.outputs))
    appearing = dict.fromkeys([*graph.inputs, *used, *graph.outputs])
    return {
        tensor: None
        for tensor in appearing
        if tensor != ABSENT
        and tensor not in outside
        and graph.tensors[tensor].nbytes
        and not graph.tensors[tensor].is_constant
        and not graph.tensors[tensor].variable
    }


def _check_graph(graph: Graph, planned: dict[int, None]) -> None:
    written = dict.fromkeys(graph.inputs, "the caller")
    for number, op in enumerate(graph.ops):
        for tensor in op.outputs:
            if tensor == ABSENT or graph.tensors[tensor].variable:
                continue
            name = graph.tensors[tensor].name
            if tensor in written:
                raise ModelError(f"tensor {name!r} is written by {written[tensor]} and again by {_op_name(number, op)}")
            written[tensor] = _op_name(number, op)
    position = {tensor: number for number, op in enumerate(graph.ops) for tensor in op.outputs}
    for number, op in enumerate(graph.ops):
        for tensor in op.inputs:
            if tensor in planned and position.get(tensor, -1) >= number:
                name = graph.tensors[tensor].name
                producer = _op_name(position[tensor], graph.ops[position[tensor]])
                raise ModelError(f"{_op_name(number, op)} reads tensor {name!r} before {producer} writes it")
    for tensor in planned:
        if graph.tensors[tensor].nbytes > MAX_BUFFER_BYTES:
            raise ModelError(
                f"tensor {graph.tensors[tensor].name!r} takes {graph.tensors[tensor].nbytes:,} bytes; "
                f"nothing above {MAX_BUFFER_BYTES:,} bytes is planned"
            )


def _op_name(number: int, op: Op) -> str:
    return f"operator {number} ({op.kind})"


def _buffers(
    graph: Graph,
    planned: dict[int, None],
    strategy: str,
    sharing: Sharing,
    alignment: int,
    views: Mapping[int, View],
) -> tuple[tuple[Buffer, ...], tuple[tuple[tuple[int, int], ...], ...]]:
    """Buffers, and which of them are rigid groups. Only with `views` do the bytes of a tensor differ in their lives."""
    buffers: list[Buffer] = []
    rigid = []
    for starts in blocks(graph, planned, views, _same_bytes(graph, planned, strategy, sharing)):
        pieces = parts(graph, starts) if views else whole(graph, starts)
        if len(pieces) > 1:
            rigid.append(tuple((len(buffers) + number, piece.start) for number, piece in enumerate(pieces)))
        total = align(pieces[-1].stop, alignment)
        for piece in pieces:
            stop = total if piece is pieces[-1] else piece.stop
            buffers.append(
                Buffer(
                    name=graph.tensors[piece.tensors[0]].name,
                    bytes=stop - piece.start,
                    tensors=piece.tensors,
                    starts=tuple(starts[tensor] - piece.start for tensor in piece.tensors),
                    producer=piece.producer,
                    consumers=piece.consumers,
                    leaves=piece.leaves,
                )
            )
    return tuple(buffers), tuple(rigid)


def _same_bytes(graph: Graph, planned: dict[int, None], strategy: str, sharing: Sharing) -> Iterator[tuple[int, int]]:
    """(input, output) wherever the output is the input under another shape."""
    for op in graph.ops:
        for position, source in enumerate(op.inputs):
            for output, target in enumerate(op.outputs):
                if source in planned and target in planned and source != target:
                    share = sharing(graph, op, strategy, position, output)
                    if share is not None and share.mode == "view":
                        yield source, target


def _predecessors(graph: Graph) -> list[tuple[int, ...]]:
    """Per operator the steps that come first: the caller, the producers of its inputs, and its elders in state.

    Operators that touch the same state keep their order, as do all that may reach it by a handle or another subgraph.
    """
    last_toucher: dict[int | str, int] = {}
    found = []
    for number, op in enumerate(graph.ops):
        before = {0} | {graph.producer[t] + 1 for t in op.inputs if t in graph.producer}
        state: list[int | str] = [t for t in op.inputs if t != ABSENT and graph.tensors[t].variable]
        if op.kind in STATEFUL:
            state.append("handles")
        before |= {last_toucher[key] for key in state if key in last_toucher}
        last_toucher |= dict.fromkeys(state, number + 1)
        found.append(tuple(sorted(before)))
    return found


class _Overlays:
    """What operators may lay on their inputs, leaving out what saves nothing and inputs that outlive every step."""

    def __init__(
        self,
        graph: Graph,
        strategy: str,
        sharing: Sharing,
        buffers: tuple[Buffer, ...],
        rigid: tuple[tuple[tuple[int, int], ...], ...],
        alignment: int,
    ) -> None:
        self.graph, self.strategy, self.sharing = graph, strategy, sharing
        self.buffers, self.alignment = buffers, alignment
        self.group = {number: position for position, group in enumerate(rigid) for number, _ in group}

    def of(self, number: int, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> tuple[Overlay, ...]:
        """Those of operator `number`, which reads and writes these buffers."""
        op = self.graph.ops[number]
        positions: dict[int, list[int]] = {}
        for position, tensor in enumerate(op.inputs):
            positions.setdefault(tensor, []).append(position)
        found: list[Overlay] = []
        for output, tensor in enumerate(op.outputs):
            targets = [target for target in outputs if tensor in self.buffers[target].tensors]
            for source in inputs if targets else ():
                if not self.buffers[source].leaves and not self._tied(source, targets[0]):
                    found += self._pair(op, positions, output, targets, source)
        return tuple(overlay for overlay in found if saving(overlay, self.buffers) > 0)

    def _tied(self, source: int, target: int) -> bool:
        return source == target or (source in self.group and self.group[source] == self.group.get(target))

    def _pair(
        self, op: Op, positions: Mapping[int, list[int]], output: int, targets: list[int], source: int
    ) -> Iterator[Overlay]:
        """One answer for an input that is read at several positions; none unless all agree that sharing is safe."""
        starts = dict(zip(self.buffers[source].tensors, self.buffers[source].starts, strict=True))
        few, many = sorted((starts, positions), key=len)
        read = sorted((position, starts[t]) for t in few if t in many for position in positions[t])
        shares = [(self.sharing(self.graph, op, self.strategy, position, output), start) for position, start in read]
        agreed = [(share, start) for share, start in shares if share is not None and share.mode != "view"]
        if not agreed or len(agreed) < len(shares):
            return
        exact = any(share.mode == "exact" for share, _ in agreed)
        lead = max(align(share.distance, self.alignment) - start for share, start in agreed)
        scratch = align(max(share.scratch for share, _ in agreed), self.alignment)
        split = source in self.group or any(target in self.group for target in targets)
        if (exact and (lead or split)) or (scratch and not exact):
            return
        tensor = op.outputs[output]
        written = sum(self.buffers[target].bytes for target in targets)
        for target in targets:
            inside = self.buffers[target].starts[self.buffers[target].tensors.index(tensor)]
            yield Overlay(source, target, lead + inside, exact, scratch, output, written, max(0, lead))


def saving(overlay: Overlay, buffers: Sequence[Buffer]) -> int:
    """Bytes that `overlay` saves at best: what both blocks cover together, less the scratch it costs."""
    covered = min(buffers[overlay.source].bytes, buffers[overlay.target].bytes - max(0, overlay.distance))
    return covered - overlay.scratch
