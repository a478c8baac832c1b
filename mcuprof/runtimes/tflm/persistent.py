"""The tail: everything TFLM keeps for the life of the interpreter, in allocation order.

Sizes are (32-bit, 64-bit) pairs of the TFLM structures, read from arm-none-eabi (short enums) and x86-64 builds. The
tail grows down from the end of the arena; each allocation is aligned after it is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mcuprof.graph import Graph, Tensor
from mcuprof.runtimes.tflm.kernels.base import KernelMemory
from mcuprof.runtimes.tflm.lifetimes import ALIGNMENT, ONLINE, arena_bytes, offline_offsets

# SingleArenaBufferAllocator, GreedyMemoryPlanner, MicroAllocator; and their recording versions, which the Python
# interpreter uses.
_PLAIN = ((36, 72), (44, 72), (36, 72))
_RECORDING = ((52, 104), (44, 72), (124, 248))
_BUILTIN_DATA_ALLOCATOR = (8, 16)
_RESOURCE_VARIABLES = (12, 24)  # MicroResourceVariables
_RESOURCE_VARIABLE = (20, 40)  # MicroResourceVariables::MicroResourceVariable
_SUBGRAPH_ALLOCATIONS = (8, 16)
_EVAL_TENSOR = (12, 24)
_NODE_AND_REGISTRATION = (32, 64)
_SCRATCH_HANDLE = (4, 8)
_TENSOR = (32, 64)
_AFFINE_QUANTIZATION = (12, 24)

_ONE_ENUM = ((1, 1), (4, 4))
_TWO_ENUMS = ((2, 1), (8, 4))
_WORDS = {count: ((4 * count, 4), (4 * count, 4)) for count in (1, 2, 4, 6, 7, 9, 10)}

# TfLite*Params of the operators whose parser allocates one: ((size, alignment) on 32 bits, the same on 64 bits).
BUILTIN_DATA = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _WORDS[7]),
    "FULLY_CONNECTED": ((5, 1), (16, 4)),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _WORDS[10]),
    "SOFTMAX": _WORDS[1],
    **dict.fromkeys(("RESHAPE", "SQUEEZE"), _WORDS[9]),
    **dict.fromkeys(("ADD", "SUB", "CAST"), _TWO_ENUMS),
    **dict.fromkeys(("MUL", "DIV", "L2_NORMALIZATION", "ARG_MAX", "ARG_MIN", "SHAPE"), _ONE_ENUM),
    **dict.fromkeys(("CONCATENATION", "PACK", "UNPACK", "GATHER", "IF", "WHILE"), _WORDS[2]),
    **dict.fromkeys(
        ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ALL", "REDUCE_ANY"), ((1, 1), (1, 1))
    ),
    "SVDF": ((8, 4), (12, 4)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _WORDS[4],
    **dict.fromkeys(("LEAKY_RELU", "SPLIT", "SPLIT_V", "CALL_ONCE", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), _WORDS[1]),
    "TRANSPOSE_CONV": ((16, 4), (20, 4)),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "CUMSUM"), ((2, 1), (2, 1))),
    "STRIDED_SLICE": _WORDS[6],
    "BATCH_MATMUL": ((3, 1), (3, 1)),
    "VAR_HANDLE": ((8, 4), (16, 8)),
    "MIRROR_PAD": _ONE_ENUM,
}


@dataclass(frozen=True, slots=True)
class Allocation:
    """One persistent allocation: what for, how many bytes, at which alignment."""

    what: str
    nbytes: int
    alignment: int = ALIGNMENT


@dataclass(frozen=True, slots=True)
class Tail:
    """The tail after each stage. `planning_bytes` is what is allocated when the memory plan is computed."""

    allocations: tuple[Allocation, ...]
    nbytes: int
    planning_bytes: int


def tail(graph: Graph, kernels: Sequence[Sequence[KernelMemory]], *, word: int, recording: bool = False) -> Tail:
    """The tail for these kernels (one sequence per subgraph, one entry per operator). `word` is 4 or 8 bytes."""
    wide = 0 if word == 4 else 1
    graphs = (graph, *graph.subgraphs)
    before = [
        *(Allocation("allocators", size[wide], word) for size in (_RECORDING if recording else _PLAIN)),
        *_resource_variables(graphs, wide),
        Allocation("allocators", _BUILTIN_DATA_ALLOCATOR[wide], word),
        Allocation("subgraph table", _SUBGRAPH_ALLOCATIONS[wide] * len(graphs), word),
        *(Allocation("tensor table", _EVAL_TENSOR[wide] * len(g.tensors), word) for g in graphs),
        *(Allocation("operator table", _NODE_AND_REGISTRATION[wide] * len(g.ops), word) for g in graphs),
        *_builtin_data(graphs, wide),
        *(Allocation("operator data", size) for group in kernels for memory in group for size in memory.init),
        *_prepared(graphs, kernels),
    ]
    handles = sum(len(memory.scratch) for group in kernels for memory in group)
    if handles:
        before.append(Allocation("scratch handles", _SCRATCH_HANDLE[wide] * handles, word))
    after = [*_variables(graph), *_boundary(graph, word, wide)]
    return Tail((*before, *after), _stack([*before, *after]), _stack(before))


def _stack(allocations: Iterable[Allocation]) -> int:
    nbytes = 0
    for allocation in allocations:
        nbytes = -(-(nbytes + allocation.nbytes) // allocation.alignment) * allocation.alignment
    return nbytes


def _resource_variables(graphs: Sequence[Graph], wide: int) -> Iterator[Allocation]:
    """The table that the application creates before the interpreter, one entry per resource variable."""
    names = {
        (op.text("container"), op.text("shared_name")) for g in graphs for op in g.ops if op.kind == "VAR_HANDLE"
    }
    if names:
        yield Allocation("resource variables", _RESOURCE_VARIABLES[wide])
        yield Allocation("resource variables", _RESOURCE_VARIABLE[wide] * len(names))


def _builtin_data(graphs: Sequence[Graph], wide: int) -> Iterator[Allocation]:
    for graph in graphs:
        for op in graph.ops:
            if op.kind in BUILTIN_DATA:
                size, alignment = BUILTIN_DATA[op.kind][wide]
                yield Allocation("operator options", size, alignment)


def _prepared(graphs: Sequence[Graph], kernels: Sequence[Sequence[KernelMemory]]) -> Iterator[Allocation]:
    """What Prepare allocates, in operator order; the first ASSIGN_VARIABLE to a variable allocates its content."""
    assigned: set[tuple[str, str]] = set()
    for graph, group in zip(graphs, kernels, strict=True):
        for op, memory in zip(graph.ops, group, strict=True):
            yield from (Allocation("operator data", size) for size in memory.prepare)
            if op.kind == "ASSIGN_VARIABLE":
                handle = graph.ops[graph.producer[op.inputs[0]]]
                name = (handle.text("container"), handle.text("shared_name"))
                if name not in assigned:
                    assigned.add(name)
                    yield Allocation("resource variable content", graph.input(op, 1).nbytes)


def _variables(graph: Graph) -> Iterator[Allocation]:
    """Variable tensors, unless the offline plan places them in the head."""
    offsets = offline_offsets(graph)
    position = 0
    for g in (graph, *graph.subgraphs):
        for tensor in g.tensors:
            if tensor.variable and (not offsets or offsets[position] == ONLINE):
                yield Allocation("variable tensors", arena_bytes(tensor.dtype, tensor.elements))
            position += 1


def _boundary(graph: Graph, word: int, wide: int) -> Iterator[Allocation]:
    """The TfLiteTensor structures of the model's inputs and outputs, with their quantization."""
    for tensors in (graph.inputs, graph.outputs):
        yield Allocation("input and output tensors", word * len(tensors))
        for index in tensors:
            yield from _persistent_tensor(graph.tensors[index], word, wide)


def _persistent_tensor(tensor: Tensor, word: int, wide: int) -> Iterator[Allocation]:
    yield Allocation("input and output tensors", _TENSOR[wide], word)
    if tensor.quantization is not None and tensor.quantization.zero_point:
        yield Allocation("input and output tensors", _AFFINE_QUANTIZATION[wide], word)
        yield Allocation("input and output tensors", 4 + 4 * len(tensor.quantization.scale), 4)
