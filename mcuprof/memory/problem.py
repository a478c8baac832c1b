"""The abstract problem behind every memory plan: buffers, the steps that write and read them, and who may share bytes.

Everything that a runtime or a file knows has been asked before; from here on there are only numbers. Step 0 stands for
the caller, who writes the graph inputs; step k + 1 is operator k. Tensors that are views of each other (`alias`) are
one buffer. Constants and state kept between inferences take no part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mcuprof.errors import ModelError, UsageError
from mcuprof.graph import ABSENT, Graph, Op
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
    """A block of `bytes` (aligned up) for `tensors`, which are views of one another.

    `producer` is the step that writes it, `consumers` the steps that read it, ascending; `leaves` when it must survive
    the last step.
    """

    name: str
    bytes: int
    tensors: tuple[int, ...]
    producer: int
    consumers: tuple[int, ...]
    leaves: bool


@dataclass(frozen=True, slots=True)
class Overlay:
    """Buffer `target`, written by a step, may lie on buffer `source` where that step is the last to read it.

    The target then starts with the source (`exact`) or at least `distance` bytes below it; else the two are disjoint.
    `scratch` bytes are needed beside them when they do share. All numbers are aligned up.
    """

    source: int
    target: int
    distance: int
    exact: bool
    scratch: int = 0


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
    """Buffers and steps; equal problems have equal plans. Offsets are multiples of `alignment`."""

    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    alignment: int

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
) -> Problem:
    """The planning problem of `graph` under in-place `strategy`.

    `scratch` holds, per operator, the bytes of each block that only this operator uses. With `io="outside"` graph
    inputs and outputs live in the caller's memory. Raises UsageError for options that make no sense and ModelError for
    graphs that cannot run in file order, write a tensor twice or hold one above 2 GiB.
    """
    _check_options(graph, strategy, alignment, scratch, io)
    planned = _planned(graph, io)
    _check_graph(graph, planned)
    find = _views(graph, planned, strategy, sharing)
    groups: dict[int, list[int]] = {}
    for tensor in planned:
        groups.setdefault(find(tensor), []).append(tensor)
    index = {tensor: number for number, group in enumerate(groups.values()) for tensor in group}
    buffers = tuple(_buffer(graph, tuple(group), alignment) for group in groups.values())
    scratch = scratch or [()] * len(graph.ops)
    loaded = tuple(number for number, buffer in enumerate(buffers) if buffer.producer == 0)
    steps = [Step((), loaded, (), (), ())]
    for number, (op, after) in enumerate(zip(graph.ops, _predecessors(graph), strict=True)):
        inputs = tuple(dict.fromkeys(index[t] for t in op.inputs if t in index))
        outputs = tuple(dict.fromkeys(index[t] for t in op.outputs if t in index and index[t] not in inputs))
        overlays = _overlays(graph, op, strategy, sharing, index, buffers, alignment)
        blocks = tuple(align(size, alignment) for size in scratch[number] if size)
        steps.append(Step(inputs, outputs, blocks, overlays, after))
    return Problem(buffers, tuple(steps), alignment)


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


def _planned(graph: Graph, io: Io) -> dict[int, None]:
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


def _views(graph: Graph, planned: dict[int, None], strategy: str, sharing: Sharing) -> Callable[[int], int]:
    """A function from each planned tensor to the one that stands for all its views."""
    parent = {tensor: tensor for tensor in planned}

    def find(tensor: int) -> int:
        while parent[tensor] != tensor:
            tensor = parent[tensor]
        return tensor

    for op in graph.ops:
        for position, source in enumerate(op.inputs):
            for output, target in enumerate(op.outputs):
                if source in parent and target in parent and find(source) != find(target):
                    share = sharing(graph, op, strategy, position, output)
                    if share is not None and share.mode == "view":
                        parent[find(target)] = find(source)
    return find


def _buffer(graph: Graph, tensors: tuple[int, ...], alignment: int) -> Buffer:
    readers = sorted({op + 1 for tensor in tensors for op in graph.consumers.get(tensor, ())})
    return Buffer(
        name=graph.tensors[tensors[0]].name,
        bytes=max(align(graph.tensors[tensor].nbytes, alignment) for tensor in tensors),
        tensors=tensors,
        producer=min(graph.producer.get(tensor, -1) + 1 for tensor in tensors),
        consumers=tuple(readers),
        leaves=any(tensor in graph.outputs for tensor in tensors),
    )


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


def _overlays(
    graph: Graph,
    op: Op,
    strategy: str,
    sharing: Sharing,
    index: dict[int, int],
    buffers: tuple[Buffer, ...],
    alignment: int,
) -> tuple[Overlay, ...]:
    """What `op` may lay on its inputs, leaving out what saves nothing and inputs that outlive every step."""
    found = []
    positions: dict[int, list[int]] = {}
    for position, tensor in enumerate(op.inputs):
        if tensor in index and not buffers[index[tensor]].leaves:
            positions.setdefault(index[tensor], []).append(position)
    for output, tensor in enumerate(op.outputs):
        for source, readers in positions.items():
            if tensor not in index or index[tensor] == source:
                continue
            shares = [sharing(graph, op, strategy, position, output) for position in readers]
            overlay = _strictest(shares, source, index[tensor], alignment)
            if overlay is not None and saving(overlay, buffers) > 0:
                found.append(overlay)
    return tuple(found)


def _strictest(shares: list[Share | None], source: int, target: int, alignment: int) -> Overlay | None:
    """One answer for an input that is read at several positions; None unless all agree that sharing is safe."""
    agreed = [share for share in shares if share is not None and share.mode != "view"]
    exact = any(share.mode == "exact" for share in agreed)
    if len(agreed) < len(shares):
        return None
    distance, scratch = max(share.distance for share in agreed), max(share.scratch for share in agreed)
    if (exact and distance) or (scratch and not exact):
        return None
    return Overlay(source, target, align(distance, alignment), exact, align(scratch, alignment))


def saving(overlay: Overlay, buffers: Sequence[Buffer]) -> int:
    """Bytes that `overlay` saves at best: what both blocks cover together, less the scratch it costs."""
    covered = min(buffers[overlay.source].bytes, buffers[overlay.target].bytes - overlay.distance)
    return covered - overlay.scratch
