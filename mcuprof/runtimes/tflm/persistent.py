"""The tail: everything TFLM keeps for the life of the interpreter, in allocation order.

The tail grows down from the end of the arena; each allocation is aligned after it is added, so the order matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mcuprof.errors import ModelError
from mcuprof.graph import Graph, Tensor
from mcuprof.runtimes.tflm import abi
from mcuprof.runtimes.tflm.abi import Abi
from mcuprof.runtimes.tflm.kernels.base import KernelMemory
from mcuprof.runtimes.tflm.lifetimes import ALIGNMENT, ONLINE, arena_bytes, offline_offsets


@dataclass(frozen=True, slots=True)
class Allocation:
    """One persistent allocation: what for, how many bytes, at which alignment."""

    what: str
    nbytes: int
    alignment: int = ALIGNMENT


@dataclass(frozen=True, slots=True)
class Tail:
    """The tail after each stage.

    `planning_bytes` is what is allocated when the memory plan is computed, `prepared` what is after each operator's
    Prepare, subgraph by subgraph.
    """

    allocations: tuple[Allocation, ...]
    nbytes: int
    planning_bytes: int
    prepared: tuple[int, ...]


def tail(graph: Graph, kernels: Sequence[Sequence[KernelMemory]], target: Abi) -> Tail:
    """The tail for these kernels: one sequence per subgraph, one entry per operator."""
    graphs = (graph, *graph.subgraphs)
    before = [
        *(Allocation("allocators", target.pick(size), target.word) for size in abi.ALLOCATORS),
        *_resource_variables(graphs, target),
        Allocation("allocators", target.pick(abi.BUILTIN_DATA_ALLOCATOR), target.word),
        Allocation("subgraph table", target.pick(abi.SUBGRAPH_ALLOCATIONS) * len(graphs), target.word),
        *(Allocation("tensor table", target.pick(abi.EVAL_TENSOR) * len(g.tensors), target.word) for g in graphs),
        *(
            Allocation("operator table", target.pick(abi.NODE_AND_REGISTRATION) * len(g.ops), target.word)
            for g in graphs
        ),
        *_builtin_data(graphs, target),
        *(Allocation("operator data", size) for group in kernels for memory in group for size in memory.init),
    ]
    prepared: list[int] = []
    nbytes = _stack(before)
    for allocations in _prepared(graphs, kernels):
        before += allocations
        nbytes = _stack(allocations, nbytes)
        prepared.append(nbytes)
    handles = sum(len(memory.scratch) for group in kernels for memory in group)
    if handles:
        before.append(Allocation("scratch handles", target.pick(abi.SCRATCH_HANDLE) * handles, target.word))
    before += _variables(graph)  # CommitStaticMemoryPlan allocates them before it plans
    after = list(_boundary(graph, target))
    return Tail((*before, *after), _stack([*before, *after]), _stack(before), tuple(prepared))


def _stack(allocations: Iterable[Allocation], nbytes: int = 0) -> int:
    for allocation in allocations:
        nbytes = -(-(nbytes + allocation.nbytes) // allocation.alignment) * allocation.alignment
    return nbytes


def _resource_variables(graphs: Sequence[Graph], target: Abi) -> Iterator[Allocation]:
    """The table that the application creates before the interpreter, one entry per resource variable."""
    names = {(op.text("container"), op.text("shared_name")) for g in graphs for op in g.ops if op.kind == "VAR_HANDLE"}
    if names:
        yield Allocation("resource variables", target.pick(abi.RESOURCE_VARIABLES))
        yield Allocation("resource variables", target.pick(abi.RESOURCE_VARIABLE) * len(names))


def _builtin_data(graphs: Sequence[Graph], target: Abi) -> Iterator[Allocation]:
    for graph in graphs:
        for op in graph.ops:
            layouts = abi.BUILTIN_DATA.get(op.kind)
            if layouts is not None:
                yield Allocation("operator options", *layouts[target.index])


def _prepared(graphs: Sequence[Graph], kernels: Sequence[Sequence[KernelMemory]]) -> Iterator[list[Allocation]]:
    """What each Prepare allocates, in operator order; the first ASSIGN_VARIABLE to a variable allocates its content."""
    assigned: set[tuple[str, str]] = set()
    for graph, group in zip(graphs, kernels, strict=True):
        for op, memory in zip(graph.ops, group, strict=True):
            found = [Allocation("operator data", size) for size in memory.prepare]
            if op.kind == "ASSIGN_VARIABLE":
                made = graph.producer.get(op.inputs[0])
                if made is None:
                    raise ModelError("an ASSIGN_VARIABLE writes a variable that no operator of its graph names")
                handle = graph.ops[made]
                name = (handle.text("container"), handle.text("shared_name"))
                if name not in assigned:
                    assigned.add(name)
                    found.append(Allocation("resource variable content", graph.input(op, 1).nbytes))
            yield found


def _variables(graph: Graph) -> Iterator[Allocation]:
    """Variable tensors, unless the offline plan places them in the head."""
    offsets = offline_offsets(graph)
    position = 0
    for g in (graph, *graph.subgraphs):
        for tensor in g.tensors:
            if tensor.variable and (not offsets or offsets[position] == ONLINE):
                yield Allocation("variable tensors", arena_bytes(tensor.dtype, tensor.elements))
            position += 1


def _boundary(graph: Graph, target: Abi) -> Iterator[Allocation]:
    """The TfLiteTensor structures of the model's inputs and outputs, with their quantization."""
    for tensors in (graph.inputs, graph.outputs):
        yield Allocation("input and output tensors", target.word * len(tensors))
        for index in tensors:
            yield from _persistent_tensor(graph.tensors[index], target)


def _persistent_tensor(tensor: Tensor, target: Abi) -> Iterator[Allocation]:
    yield Allocation("input and output tensors", target.pick(abi.TENSOR), target.word)
    if tensor.quantization is not None and tensor.quantization.zero_point:
        yield Allocation("input and output tensors", target.pick(abi.AFFINE_QUANTIZATION), target.word)
        yield Allocation("input and output tensors", 4 + 4 * len(tensor.quantization.scale), 4)
