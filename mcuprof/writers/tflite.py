"""Puts a memory plan into a .tflite file and takes it out again, touching nothing else.

A flatbuffer only points forward, so an addition must lie before what it refers to. A planned file is therefore the old
file, whole, behind a new front: a Model table with the old one's fields, longer lists of buffers and metadata, and the
plan. Nothing behind the front changes but the order of the entries in the list of operators; the front is a multiple of
64 bytes long, so whatever was aligned stays aligned; the tables that the old front held are skipped.

Two metadata entries are written: `OfflineMemoryAllocation`, which TFLM reads (tflite-micro docs/memory_management.md:
int32 [version, subgraphs, count, offsets …], −1 where the runtime shall choose), and `mcuprof.plan`, which says how to
get the old file back.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcuprof.errors import ModelError
from mcuprof.writers.flatbuffer import Front, Table, Vector, follow, retarget

OFFLINE_PLAN = "OfflineMemoryAllocation"
OWN_RECORD = "mcuprof.plan"
ONLINE = -1
FRONT_ALIGNMENT = 64
BUFFER_ALIGNMENT = 16  # force_align of Buffer.data in the schema

# Fields of the schema's tables by number (schema.fbs, version 3).
_MODEL_SUBGRAPHS, _MODEL_BUFFERS, _MODEL_METADATA, _MODEL_FIELDS = 2, 4, 6, 8
_SUBGRAPH_OUTPUTS, _SUBGRAPH_OPERATORS = 2, 3
_BUFFER_DATA, _BUFFER_OFFSET = 0, 1
_OPERATOR_LARGE_OPTIONS = 9
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_RECORD = struct.Struct("<II32sI")  # version, bytes of the front, SHA-256 of the old file, operators


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What goes into a file: `order[k]` is the operator that runs k-th, `offsets` the bytes by tensor, or ONLINE."""

    order: tuple[int, ...]
    offsets: tuple[int, ...]


def with_plan(data: bytes, plan: FilePlan) -> bytes:
    """The model `data` with this plan, in place of any plan it carries; equal input gives equal bytes.

    Raises ModelError for a file that cannot be edited without loss: damaged, several subgraphs, content outside of the
    flatbuffer, or fields in its root table that the schema known here does not have.
    """
    try:
        return _with_plan(strip(data), plan)
    except (struct.error, IndexError, ValueError) as error:
        raise ModelError(f"cannot take a plan: it is damaged ({error})") from None


def strip(data: bytes) -> bytes:
    """The model without a plan.

    For a plan written here, the very bytes of the file before; for another tool's, the same file with the entry taken
    from its list of metadata (operators stay as they are). A file without a plan comes back as it is.
    """
    try:
        return _without_entries(_original(data) or data)
    except (struct.error, IndexError, ValueError) as error:
        raise ModelError(f"is damaged ({error})") from None


def carries_plan(metadata: Mapping[str, bytes]) -> bool:
    """True when a model with this metadata brings an offline plan."""
    return OFFLINE_PLAN in metadata


def is_own(metadata: Mapping[str, bytes]) -> bool:
    """True when the plan was written here, so that `strip` gives back the file from before."""
    return OWN_RECORD in metadata


def stored_order(metadata: Mapping[str, bytes], operators: int) -> tuple[int, ...]:
    """By position in a planned file, which operator of the file before stands there; file order without a record."""
    content = metadata.get(OWN_RECORD, b"")
    if len(content) < _RECORD.size:
        return tuple(range(operators))
    count = _RECORD.unpack_from(content)[3]
    if count == 0:
        return tuple(range(operators))
    if count != operators or len(content) < _RECORD.size + 4 * count:
        raise ModelError("is damaged (the order of its operators)")
    return struct.unpack_from(f"<{count}I", content, _RECORD.size)


def first_operators(data: bytes, count: int, output: int) -> bytes:
    """The model cut off after its first `count` operators, with tensor `output` as all of its outputs.

    Offsets and everything else stay, so that an interpreter shows what that tensor holds at this moment.
    """
    edited = bytearray(data)
    graph = _subgraphs(data)[0]
    operators, outputs = graph.vector(_SUBGRAPH_OPERATORS), graph.vector(_SUBGRAPH_OUTPUTS)
    if operators is None or outputs is None or not len(outputs) or not 0 < count <= len(operators):
        raise ModelError("has no operators or no outputs to choose from")
    struct.pack_into("<I", edited, operators.at, count)
    for index in range(len(outputs)):
        struct.pack_into("<i", edited, outputs.slot(index), output)
    return bytes(edited)


def _with_plan(data: bytes, plan: FilePlan) -> bytes:
    _check_editable(data)
    body = bytearray(data)
    changed = plan.order != tuple(range(len(plan.order)))
    if changed:
        _reorder(body, plan.order)
    content = {
        OFFLINE_PLAN: struct.pack(f"<3i{len(plan.offsets)}i", 1, 1, len(plan.offsets), *plan.offsets),
        OWN_RECORD: b"",
    }
    record = plan.order if changed else ()
    # The front's length stands in the record, whose length does not depend on it.
    length = len(_front(data, content | {OWN_RECORD: _record(0, data, record)}))
    return _front(data, content | {OWN_RECORD: _record(length, data, record)}) + bytes(body)


def _record(front: int, data: bytes, order: Sequence[int]) -> bytes:
    return _RECORD.pack(1, front, hashlib.sha256(data).digest(), len(order)) + struct.pack(f"<{len(order)}I", *order)


def _original(data: bytes) -> bytes | None:
    """The file from before a plan of ours, or what comes nearest to it when something has edited the file since.

    None where there is no plan of ours.
    """
    content = _metadata_content(data, OWN_RECORD)
    if content is None or len(content) < _RECORD.size:
        return None
    version, front, digest, count = _RECORD.unpack_from(content)
    order = struct.unpack_from(f"<{count}I", content, _RECORD.size)
    if version != 1 or sorted(order) != list(range(count)):
        return None
    inverse = [order.index(number) for number in range(count)]
    edited = bytearray(data)
    if count:
        _reorder(edited, inverse)
    body = bytes(edited[front:])
    return body if hashlib.sha256(body).digest() == digest else bytes(edited)


def _without_entries(data: bytes) -> bytes:
    """Without any plan in the list of metadata; of the file only that list changes."""
    entries = _model(data).vector(_MODEL_METADATA)
    if entries is None:
        return data
    tables = entries.tables()
    kept = [table.at for table in tables if _name(table) not in (OFFLINE_PLAN, OWN_RECORD)]
    if len(kept) == len(tables):
        return data
    edited = bytearray(data)
    retarget(edited, entries, kept)
    return bytes(edited)


def _front(data: bytes, content: Mapping[str, bytes]) -> bytes:
    """A root, a Model table and lists that add these metadata entries to the model behind."""
    model = _model(data)
    behind: dict[object, int] = {}
    fields: list[object | int | None] = []
    for number in range(_MODEL_FIELDS):
        at = model.field(number)
        if not at:
            fields.append(None)
        elif number == 0:
            fields.append(model.scalar(0, "I"))
        else:
            behind["model", number] = follow(data, at)
            fields.append(("model", number))
    fields[_MODEL_BUFFERS], fields[_MODEL_METADATA] = "buffers", "metadata"
    lists: dict[str, list[object]] = {}
    for name, number in (("buffers", _MODEL_BUFFERS), ("metadata", _MODEL_METADATA)):
        lists[name] = []
        for index, table in enumerate(_tables(model, number)):
            behind[name, index] = table.at
            lists[name].append((name, index))
    if not lists["buffers"]:  # buffer 0 means "no content" by convention; a model without any has none to keep
        raise ModelError("has no buffers")
    first = len(lists["buffers"])
    front = Front()
    front.refer("model")
    front.bytes += b"TFL3"
    front.table("model", fields)
    front.vector("metadata", lists["metadata"] + [("entry", name) for name in content])
    front.vector("buffers", lists["buffers"] + [("buffer", name) for name in content])
    for index, (name, octets) in enumerate(content.items()):
        front.table(("entry", name), [("name", name), first + index])
        front.blob(("name", name), name.encode(), terminated=True)
        front.table(("buffer", name), [("data", name)])
        front.blob(("data", name), octets, BUFFER_ALIGNMENT)
    return front.close(FRONT_ALIGNMENT, behind)


def _check_editable(data: bytes) -> None:
    model = _model(data)
    if any(model.field(number) for number in range(_MODEL_FIELDS, model.fields)):
        raise ModelError("cannot take a plan: its root table has fields that this version does not know")
    graphs = _subgraphs(data)
    if len(graphs) != 1:
        raise ModelError(f"has {len(graphs)} subgraphs: runtimes disagree on how an offline plan counts their tensors")
    outside = any(buffer.scalar(_BUFFER_OFFSET, "Q") > 1 for buffer in _tables(model, _MODEL_BUFFERS))
    operators = _tables(graphs[0], _SUBGRAPH_OPERATORS)
    if outside or any(operator.scalar(_OPERATOR_LARGE_OPTIONS, "Q") > 1 for operator in operators):
        raise ModelError("keeps content outside of the flatbuffer, at fixed places that would move")


def _reorder(body: bytearray, order: Sequence[int]) -> None:
    operators = _subgraphs(body)[0].vector(_SUBGRAPH_OPERATORS)
    if operators is None or len(operators) != len(order):
        raise ValueError("the order is not that of its operators")
    tables = operators.tables()
    retarget(body, operators, [tables[number].at for number in order])


def _metadata_content(data: bytes, name: str) -> bytes | None:
    model = _model(data)
    buffers = _tables(model, _MODEL_BUFFERS)
    for entry in _tables(model, _MODEL_METADATA):
        if _name(entry) == name:
            content: Vector | None = buffers[entry.scalar(_METADATA_BUFFER, "I")].vector(_BUFFER_DATA)
            return bytes(data[content.at + 4 : content.at + 4 + len(content)]) if content else b""
    return None


def _model(data: bytes | bytearray) -> Table:
    return Table(data, follow(data, 0))


def _subgraphs(data: bytes | bytearray) -> list[Table]:
    return _tables(_model(data), _MODEL_SUBGRAPHS)


def _tables(table: Table, number: int) -> list[Table]:
    found = table.vector(number)
    return found.tables() if found else []


def _name(entry: Table) -> str:
    return entry.string(_METADATA_NAME).decode("utf-8", "replace")
