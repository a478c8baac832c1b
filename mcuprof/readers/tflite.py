"""TFLite flatbuffers → `Graph`.

A file is not trusted. Every length is compared with the bytes that are there before anything is allocated for it, every
index with the table it points into, and whatever access still trips becomes a ModelError. Numbers of slots are those of
`schema.fbs`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from mcuprof.errors import ModelError
from mcuprof.graph import ABSENT, Attribute, DType, Graph, Op, Origin, Quantization, Shape, Tensor
from mcuprof.readers.flatbuffer import Flatbuffer, Table
from mcuprof.readers.tflite_options import OPTIONS, attribute
from mcuprof.readers.tflite_schema import OPERATORS, TABLES

# Tables may share what they refer to, and a small file can so declare a large one. Converters share very little.
MAX_REUSE = 16
MAX_RANK = 8  # the most any TFLite kernel takes (RuntimeShape and the broadcasting kernels stop at 6 or 8)

# TensorType of the schema, in its order.
TENSOR_TYPES = (
    DType.FLOAT32,
    DType.FLOAT16,
    DType.INT32,
    DType.UINT8,
    DType.INT64,
    DType.STRING,
    DType.BOOL,
    DType.INT16,
    DType.COMPLEX64,
    DType.INT8,
    DType.FLOAT64,
    DType.COMPLEX128,
    DType.UINT64,
    DType.RESOURCE,
    DType.VARIANT,
    DType.UINT32,
    DType.UINT16,
    DType.INT4,
    DType.BFLOAT16,
    DType.INT2,
    DType.UINT4,
)

# What access to a file that lies about its offsets raises.
_TRIPPED = (struct.error, IndexError, ValueError, OverflowError, MemoryError)


def read_tflite(data: bytes, input_shapes: Mapping[str, Shape]) -> Graph:
    """The first subgraph of the flatbuffer, with the others in `subgraphs`. Raises ModelError (without the path)."""
    if data[4:8] != b"TFL3":
        raise ModelError("is not a TFLite model (no TFL3 identifier at byte 4)")
    try:
        return _Reader(data, input_shapes).graph()
    except _TRIPPED as error:
        raise ModelError(f"is damaged or truncated ({type(error).__name__}: {_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:120]


class _Reader:
    """One pass over one file. Holds what all parts need: bytes, tables of the model."""

    def __init__(self, data: bytes, input_shapes: Mapping[str, Shape]) -> None:
        self.data = data
        self.view = memoryview(data)
        self.input_shapes = input_shapes
        self.notes: list[str] = []
        self.budget = MAX_REUSE * len(data)  # bytes of strings and vectors still to be read
        self.model = Flatbuffer(data).root()

    def graph(self) -> Graph:
        model = self.model
        subgraphs = list(self.tables(model, 2, "subgraphs"))
        if not subgraphs:
            raise ModelError("holds no subgraph")
        self.codes = [self.operator_code(code) for code in self.tables(model, 1, "operator codes")]
        self.buffers = [self.buffer(buffer, i) for i, buffer in enumerate(self.tables(model, 4, "buffers"))]
        graphs = [self.subgraph(subgraph, i) for i, subgraph in enumerate(subgraphs)]
        self.check_subgraph_references(graphs)
        main = graphs[0]
        unknown = [name for name in self.input_shapes if name not in {main.tensors[i].name for i in main.inputs}]
        if unknown:
            names = ", ".join(repr(main.tensors[i].name) for i in main.inputs)
            raise ModelError(f"has no input {unknown[0]!r} (inputs: {names})")
        description = self.text(model, 3)
        origin = Origin(
            format="tflite",
            producer=description,
            description=description,
            metadata=self.metadata(),
            notes=tuple(self.notes),
        )
        return Graph(main.name, main.tensors, main.ops, main.inputs, main.outputs, origin, tuple(graphs[1:]))

    # Tables of the model ---------------------------------------------------------------------------------------------

    def operator_code(self, code: Table) -> tuple[str, int]:
        # Old converters fill only the 8-bit field, some new ones only the other; the larger is right (schema.fbs on
        # builtin_code).
        number = max(code.number(0, "b"), code.number(3, "i"))
        kind = OPERATORS[number] if 0 <= number < len(OPERATORS) else f"OP{number}"
        if kind == "CUSTOM":
            kind = f"CUSTOM:{self.text(code, 1)}"
        return kind, code.number(2, "i", 1)

    def buffer(self, buffer: Table, index: int) -> memoryview | None:
        if buffer.number(1, "Q") > 1:  # content behind the flatbuffer, for files above 2 GiB
            start, size = buffer.number(1, "Q"), buffer.number(2, "Q")
        else:
            start, size = buffer.vector(0) or (0, 0)
        if start + size > len(self.data):
            raise ModelError(f"buffer {index} ends at byte {start + size:,} of a {len(self.data):,}-byte file")
        return self.view[start : start + size] if size else None

    def metadata(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for i, entry in enumerate(self.tables(self.model, 6, "metadata")):
            content = self.buffers[self.index(entry.number(1, "I"), len(self.buffers), f"metadata {i}", "buffer")]
            self.length(0 if content is None else len(content), 1, "bytes of metadata")
            found[self.text(entry, 0)] = bytes(content) if content is not None else b""
        return found

    # Subgraphs ------------------------------------------------------------------------------------------------------

    def subgraph(self, table: Table, number: int) -> Graph:
        where = "" if number == 0 else f" of subgraph {number}"
        entries = list(self.tables(table, 0, "tensors"))
        inputs = self.indices(table, 1, len(entries), f"input list{where}")
        outputs = self.indices(table, 2, len(entries), f"output list{where}")
        named = frozenset(inputs) if number == 0 else frozenset()
        tensors = tuple(self.tensor(entry, i, i in named) for i, entry in enumerate(entries))
        ops = tuple(self.op(entry, i, tensors) for i, entry in enumerate(self.tables(table, 3, "operators")))
        return Graph(self.text(table, 4), tensors, ops, inputs, outputs)

    def tensor(self, table: Table, index: int, is_input: bool) -> Tensor:
        name = self.text(table, 3) or f"tensor_{index}"
        code = table.number(1, "b")
        if not 0 <= code < len(TENSOR_TYPES):
            raise ModelError(f"tensor {index} ({name!r}) has the unknown type {code}")
        dtype = TENSOR_TYPES[code]
        # Buffer 0 means "no content" by convention, also in files whose buffer table is empty.
        number = self.index(table.number(2, "I"), max(1, len(self.buffers)), f"tensor {index} ({name!r})", "buffer")
        content = self.buffers[number] if self.buffers else None
        shape = self.shape(table, name, is_input)
        tensor = Tensor(name, shape, dtype, self.quantization(table), content, table.number(5, "?", False))
        if content is not None and len(content) < tensor.nbytes and table.table(6) is None:
            raise ModelError(
                f"tensor {index} ({name!r}) holds {len(content):,} bytes where its shape needs {tensor.nbytes:,}"
            )
        return tensor

    def shape(self, table: Table, name: str, is_input: bool) -> Shape:
        shape = self.integers(table, 0, "i", "dimensions")
        rank = len(shape)
        if rank > MAX_RANK:
            raise ModelError(f"tensor {name!r} has {rank} dimensions; TFLite kernels take at most {MAX_RANK}")
        signature = self.integers(table, 7, "i", "dims")
        if is_input and name in self.input_shapes:
            wanted = self.input_shapes[name]
            if len(wanted) != rank:
                raise ModelError(f"input {name!r} has {rank} dimensions, --input-shape gives {len(wanted)}")
            open_dims = signature if len(signature) == rank else shape
            fixed = [
                axis for axis, (have, want) in enumerate(zip(open_dims, wanted, strict=True)) if have not in (-1, want)
            ]
            if fixed:
                raise ModelError(f"input {name!r} has a fixed dimension {fixed[0]} of {open_dims[fixed[0]]}")
            return wanted
        if is_input and -1 in (signature or shape):
            self.note_open_dimensions(name, signature or shape, shape)
        if any(size < -1 or (size == -1 and axis > 0) for axis, size in enumerate(shape)):
            raise ModelError(
                f"tensor {name!r} has the open shape {_dims(shape)}: give it, as in --input-shape {name}:1x96x96x3"
            )
        return tuple(1 if size == -1 else size for size in shape)

    def note_open_dimensions(self, name: str, signature: Shape, shape: Shape) -> None:
        if len(signature) == len(shape) and signature[0] == -1 and -1 not in signature[1:]:
            self.notes.append(f"input {name!r} has an open batch size, read as {abs(shape[0])}")
        else:
            read_as = _dims(tuple(1 if size == -1 else size for size in shape))
            self.notes.append(f"input {name!r} has open dimensions {_dims(signature)}, read as {read_as}")

    def quantization(self, table: Table) -> Quantization | None:
        parameters = table.table(4)
        scales = None if parameters is None else self.vector(parameters, 2, 4, "scales")
        if parameters is None or not scales:
            return None
        scale = struct.unpack_from(f"<{scales[1]}f", self.data, scales[0])
        return Quantization(scale, self.integers(parameters, 3, "q", "zero points"), parameters.number(6, "i"))

    def op(self, table: Table, index: int, tensors: tuple[Tensor, ...]) -> Op:
        kind, version = self.codes[self.index(table.number(0, "I"), len(self.codes), f"operator {index}", "code")]
        where = f"operator {index} ({kind})"
        inputs = self.indices(table, 1, len(tensors), where, optional=True)
        outputs = self.indices(table, 2, len(tensors), where, optional=True)
        between = self.indices(table, 8, len(tensors), where, optional=True)
        for position in outputs:
            if position != ABSENT and tensors[position].is_constant:
                raise ModelError(f"{where} writes the constant {tensors[position].name!r}")
        return Op(kind, inputs, outputs, self.options(table, kind, where), "", version, kind, between)

    def options(self, table: Table, kind: str, where: str) -> dict[str, Attribute]:
        if kind.startswith("CUSTOM:") and (custom := self.vector(table, 5, 1, "bytes of options")):
            return {"custom_options": self.data[custom[0] : sum(custom)]}
        row = OPTIONS.get(kind)
        options = table.table(4)
        if row is None or options is None:
            return {}
        number, fields = TABLES[row[0]]
        if table.number(3, "B") != number:
            return {}
        values = {name: self.option(options, *fields[accessor]) for name, accessor in row[1].items()}
        try:
            return {name: attribute(name, value) for name, value in values.items() if value is not None}
        except ValueError as error:
            raise ModelError(f"{where} has broken options ({_first_line(error)})") from error

    def option(self, table: Table, slot: int, form: str, absent: Attribute | None) -> Attribute | None:
        """One field of an options table, as `tflite_schema` describes it."""
        if form == "s":
            return self.text(table, slot)
        if form == "[i]":
            return self.integers(table, slot, "i", "options") if table.vector(slot) else None
        value: Attribute = table.number(slot, form, absent)
        return value

    def check_subgraph_references(self, graphs: list[Graph]) -> None:
        for graph in graphs:
            for index, op in enumerate(graph.ops):
                for name, value in op.attributes.items():
                    if name.endswith("_subgraph") and isinstance(value, int):
                        self.index(value, len(graphs), f"operator {index} ({op.kind})", "subgraph")

    # Guards ---------------------------------------------------------------------------------------------------------

    def length(self, count: int, element_bytes: int, what: str) -> int:
        """`count` when a vector that long can be in the file at all, and the file is not read over and over."""
        if not 0 <= count <= len(self.data) // element_bytes:
            raise ModelError(f"is damaged: {count:,} {what} in a {len(self.data):,}-byte file")
        self.budget -= count * element_bytes
        if self.budget < 0:
            raise ModelError(f"is damaged: its tables refer to the same {what} over and over")
        return count

    def index(self, value: int, size: int, where: str, what: str) -> int:
        """`value` when it points into a table of `size` entries."""
        if not 0 <= value < size:
            raise ModelError(f"{where} refers to {what} {value} of {size}")
        return value

    def vector(self, table: Table, slot: int, element_bytes: int, what: str) -> tuple[int, int] | None:
        """(position, elements) of the vector in `slot`, which lies inside the file; None when it is absent or empty."""
        start, count = table.vector(slot) or (0, 0)
        self.length(count, element_bytes, what)
        if start + count * element_bytes > len(self.data):
            raise IndexError(f"{what} end at byte {start + count * element_bytes:,}")
        return (start, count) if count else None

    def tables(self, table: Table, slot: int, what: str) -> Iterator[Table]:
        """The elements of a vector of tables."""
        start, count = self.vector(table, slot, 4, what) or (0, 0)
        return (table.element(start, i) for i in range(count))

    def integers(self, table: Table, slot: int, form: str, what: str) -> tuple[int, ...]:
        """The elements of a vector of numbers, by struct's letter for their type."""
        start, count = self.vector(table, slot, struct.calcsize(f"<{form}"), what) or (0, 0)
        return struct.unpack_from(f"<{count}{form}", self.data, start)

    def indices(self, table: Table, slot: int, size: int, where: str, *, optional: bool = False) -> tuple[int, ...]:
        """A vector of tensor indices, checked; `optional` lets −1 (absent) through."""
        return tuple(
            value if optional and value == ABSENT else self.index(value, size, where, "tensor")
            for value in self.integers(table, slot, "i", "operands")
        )

    def text(self, table: Table, slot: int) -> str:
        """The string in a slot; bytes that are not UTF-8 are replaced."""
        found = self.vector(table, slot, 1, "characters")
        return self.data[found[0] : sum(found)].decode("utf-8", "replace") if found else ""


def _dims(shape: Shape) -> str:
    return "x".join("?" if size < 0 else str(size) for size in shape)
