"""What a file holds or computes more than once, or for nobody: seen from the graph alone, no kernel is run.

Only what is certain: operators with state, of chance, unknown to `ops/`, or that run subgraphs are left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from mcuprof.graph import ABSENT, Graph, Op, Tensor
from mcuprof.ops import is_known

_IMPURE = (
    *("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "CALL", "IF", "WHILE", "SVDF"),
    *("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL", "UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "GRU", "RNN"),
)
# They depend on the shape of what they read, never on its content.
_OF_SHAPE = ("SHAPE", "RANK", "ZEROS_LIKE")


@dataclass(frozen=True, slots=True)
class Redundancy:
    """Operators of the main graph, by index: those that repeat an earlier one, and those on constants only.

    `unused` are tensors of all graphs that nothing reads, writes or returns, `unused_bytes` their constant content;
    `copies` are constants equal to an earlier one in another buffer, `copied_bytes` what the later ones take.
    """

    repeated: tuple[int, ...] = ()
    constant: tuple[int, ...] = ()
    unused: int = 0
    unused_bytes: int = 0
    copies: int = 0
    copied_bytes: int = 0


def redundancy(graph: Graph) -> Redundancy:
    """Takes one pass over operators and tensors, and over the constants of equal length."""
    unused = [tensor for g in (graph, *graph.subgraphs) for tensor in _unused(g)]
    copies = list(_copies(graph))
    return Redundancy(
        tuple(_repeated(graph)),
        tuple(_constant(graph)),
        len(unused),
        sum(len(tensor.data) for tensor in unused if tensor.data is not None),
        len(copies),
        sum(copies),
    )


def _pure(graph: Graph, op: Op) -> bool:
    if op.kind in _IMPURE or not is_known(op) or ":" in op.kind:
        return False
    return not any(graph.tensors[i].variable for i in (*op.inputs, *op.outputs) if i != ABSENT)


def _repeated(graph: Graph) -> Iterator[int]:
    """Value numbering: a tensor is known by the first one that holds the same value."""
    same: dict[int, int] = {}
    first: dict[object, Op] = {}
    for number, op in enumerate(graph.ops):
        if not _pure(graph, op) or not op.outputs:
            continue
        inputs = tuple(same.get(index, index) for index in op.inputs)
        made = tuple(_form(graph.tensors[i]) if i != ABSENT else None for i in op.outputs)
        key = (op.kind, inputs, tuple(sorted(op.attributes.items())), made)
        earlier = first.setdefault(key, op)
        if earlier is not op:
            same.update(zip(op.outputs, earlier.outputs, strict=True))
            yield number


def _form(tensor: Tensor) -> object:
    return tensor.shape, tensor.dtype, tensor.quantization


def _constant(graph: Graph) -> Iterator[int]:
    fixed = {index for index, tensor in enumerate(graph.tensors) if tensor.is_constant and not tensor.variable}
    for number, op in enumerate(graph.ops):
        inputs = [index for index in op.inputs if index != ABSENT]
        if not inputs or not _pure(graph, op):
            continue
        if op.kind in _OF_SHAPE or all(index in fixed for index in inputs):
            fixed.update(op.outputs)
            yield number


def _unused(graph: Graph) -> Iterator[Tensor]:
    used = {index for op in graph.ops for index in (*op.inputs, *op.outputs, *op.intermediates)}
    used.update(graph.inputs, graph.outputs)
    for index, tensor in enumerate(graph.tensors):
        if index not in used:
            yield tensor


def _copies(graph: Graph) -> Iterator[int]:
    """Bytes of every constant that a buffer before it holds already."""
    buffers: dict[int, memoryview] = {}
    for g in (graph, *graph.subgraphs):
        for tensor in g.tensors:
            if tensor.data is not None:  # tensors that share a buffer share the view of it
                buffers.setdefault(id(tensor.data), tensor.data)
    lengths: dict[int, list[memoryview]] = {}
    for data in buffers.values():
        lengths.setdefault(len(data), []).append(data)
    for length, candidates in lengths.items():
        if len(candidates) > 1 and length:
            contents = {hashlib.sha256(data).digest() for data in candidates}
            yield from [length] * (len(candidates) - len(contents))
