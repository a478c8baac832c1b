"""Where the structure of a .tflite lies: every offset, length, index, shape, scale and option, by name and byte.

Field numbers are those of schema.fbs. Content of buffers is left out, but for its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from mcuprof.writers.flatbuffer import Table, Vector, follow

MOST = 50_000


@dataclass(frozen=True, slots=True)
class Site:
    """A number of the file: what it is, where it lies, its struct format."""

    kind: str
    at: int
    form: str


def sites(data: bytes) -> tuple[Site, ...]:
    """All sites of a sound file; the first `MOST` of one whose lengths lie."""
    root = Table(data, follow(data, 0))
    return (Site("offset", 0, "I"), *islice(_model(root), MOST))


def _model(model: Table) -> Iterator[Site]:
    yield from _table(model)
    yield from _scalar(model, 0, "version", "I")
    for code in _tables(model.vector(1)):
        yield from _table(code)
        yield from _scalar(code, 0, "code", "b")
        yield from _scalar(code, 2, "version", "i")
        yield from _scalar(code, 3, "code32", "i")
    yield from _offsets(model, 1)
    yield from _offsets(model, 2)
    for graph in _tables(model.vector(2)):
        yield from _subgraph(graph)
    yield from _offsets(model, 4)
    for buffer in _tables(model.vector(4)):
        yield from _table(buffer)
        yield from _length(buffer, 0)
        yield from _scalar(buffer, 1, "size", "Q")
        yield from _scalar(buffer, 2, "size", "Q")


def _subgraph(graph: Table) -> Iterator[Site]:
    yield from _table(graph)
    for number in (0, 3):
        yield from _offsets(graph, number)
    for number in (1, 2):
        yield from _numbers(graph, number, "index", "i", 4)
    yield from _length(graph, 4)
    for tensor in _tables(graph.vector(0)):
        yield from _tensor(tensor)
    for op in _tables(graph.vector(3)):
        yield from _operator(op)


def _tensor(tensor: Table) -> Iterator[Site]:
    yield from _table(tensor)
    yield from _numbers(tensor, 0, "dimension", "i", 4)
    yield from _scalar(tensor, 1, "type", "b")
    yield from _scalar(tensor, 2, "index", "I")
    yield from _length(tensor, 3)
    yield from _scalar(tensor, 5, "flag", "B")
    yield from _numbers(tensor, 7, "dimension", "i", 4)
    at = tensor.field(4)
    if at:
        yield Site("offset", at, "I")
        parameters = Table(tensor.data, follow(tensor.data, at))
        yield from _table(parameters)
        yield from _numbers(parameters, 2, "scale", "f", 4)
        yield from _numbers(parameters, 3, "zero", "q", 8)
        yield from _scalar(parameters, 6, "axis", "i")


def _operator(op: Table) -> Iterator[Site]:
    yield from _table(op)
    yield from _scalar(op, 0, "index", "I")
    for number in (1, 2, 8):
        yield from _numbers(op, number, "index", "i", 4)
    yield from _scalar(op, 3, "union", "B")
    at = op.field(4)
    if at:
        yield Site("offset", at, "I")
        options = Table(op.data, follow(op.data, at))
        yield from _table(options)
        for number in range(options.fields):
            # Which width an option has only its schema knows; writing four bytes may spoil its neighbours.
            yield from _scalar(options, number, "option", "b")
            yield from _scalar(options, number, "option", "i")
    yield from _length(op, 5)


def _table(table: Table) -> Iterator[Site]:
    yield Site("offset", table.at, "i")
    for place in range(table.vtable, table.vtable + 4 + 2 * table.fields, 2):
        yield Site("vtable", place, "H")


def _tables(vector: Vector | None) -> list[Table]:
    if vector is None:
        return []
    return [Table(vector.data, follow(vector.data, vector.slot(index))) for index in range(len(vector))]


def _scalar(table: Table, number: int, kind: str, form: str) -> Iterator[Site]:
    at = table.field(number)
    if at:
        yield Site(kind, at, form)


def _length(table: Table, number: int) -> Iterator[Site]:
    at = table.field(number)
    if at:
        yield Site("offset", at, "I")
        yield Site("length", follow(table.data, at), "I")


def _offsets(table: Table, number: int) -> Iterator[Site]:
    yield from _numbers(table, number, "offset", "I", 4)


def _numbers(table: Table, number: int, kind: str, form: str, size: int) -> Iterator[Site]:
    yield from _length(table, number)
    vector = table.vector(number)
    for index in range(len(vector) if vector else 0):
        assert vector is not None
        yield Site(kind, vector.at + 4 + size * index, form)
