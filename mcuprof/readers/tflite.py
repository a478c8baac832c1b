"""TFLite flatbuffers → `Graph`.

The flatbuffer accessors of the `tflite` package trust the file; this reader does not. Every length is compared with the
bytes that are there before anything is allocated for it, every index with the table it points into, and whatever the
accessors still trip over becomes a ModelError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import ABSENT, Attribute, DType, Graph, Op, Origin, Quantization, Shape, Tensor
from mcuprof.readers.tflite_options import OPTIONS, attribute

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

# What the generated accessors raise on files that lie about their offsets.
_TRIPPED = (
    struct.error,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
)


def read_tflite(data: bytes, input_shapes: Mapping[str, Shape]) -> Graph:
    """The first subgraph of the flatbuffer, with the others in `subgraphs`. Raises ModelError (without the path)."""
    if data[4:8] != b"TFL3":
        raise ModelError("is not a TFLite model (no TFL3 identifier at byte 4)")
    import tflite

    try:
        return _Reader(tflite, data, input_shapes).graph()
    except _TRIPPED as error:
        raise ModelError(f"is damaged or truncated ({type(error).__name__}: {_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:120]


class _Reader:
    """One pass over one file. Holds what all parts need: schema classes, bytes, tables of the model."""

    def __init__(self, schema: Any, data: bytes, input_shapes: Mapping[str, Shape]) -> None:
        self.schema = schema
        self.data = data
        self.view = memoryview(data)
        self.input_shapes = input_shapes
        self.notes: list[str] = []
        self.budget = MAX_REUSE * len(data)  # bytes of strings and vectors still to be read
        self.model = schema.Model.GetRootAs(data, 0)
        self.kind_names = {
            value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")
        }

    def graph(self) -> Graph:
        model = self.model
        count = self.length(model.SubgraphsLength(), 4, "subgraphs")
        if count == 0:
            raise ModelError("holds no subgraph")
        codes = self.length(model.OperatorCodesLength(), 4, "operator codes")
        self.codes = [self.operator_code(i) for i in range(codes)]
        self.buffers = [self.buffer(i) for i in range(self.length(model.BuffersLength(), 4, "buffers"))]
        graphs = [self.subgraph(model.Subgraphs(i), i) for i in range(count)]
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

    def operator_code(self, index: int) -> tuple[str, int]:
        code = self.model.OperatorCodes(index)
        # Old converters fill only the 8-bit field, some new ones only the other; the larger is right (schema.fbs on
        # builtin_code). The package's BuiltinCode() answers with the 8-bit field below 127, so the field is read here.
        from flatbuffers.number_types import Int32Flags

        table = code._tab
        offset = table.Offset(10)
        new = table.Get(Int32Flags, offset + table.Pos) if offset else 0
        number = max(code.DeprecatedBuiltinCode(), int(new))
        kind = self.kind_names.get(number, f"OP{number}")
        if kind == "CUSTOM":
            kind = f"CUSTOM:{self.text(code, 1)}"
        return kind, code.Version()

    def buffer(self, index: int) -> memoryview | None:
        buffer = self.model.Buffers(index)
        if buffer.Offset() > 1:  # content behind the flatbuffer, for files above 2 GiB
            start, size = buffer.Offset(), buffer.Size()
        else:
            size = buffer.DataLength()
            if size == 0:
                return None
            table = buffer._tab
            start = table.Vector(table.Offset(4))
        if start + size > len(self.data):
            raise ModelError(f"buffer {index} ends at byte {start + size:,} of a {len(self.data):,}-byte file")
        return self.view[start : start + size] if size else None

    def metadata(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for i in range(self.length(self.model.MetadataLength(), 4, "metadata")):
            entry = self.model.Metadata(i)
            content = self.buffers[self.index(entry.Buffer(), len(self.buffers), f"metadata {i}", "buffer")]
            self.length(0 if content is None else len(content), 1, "bytes of metadata")
            found[self.text(entry, 0)] = bytes(content) if content is not None else b""
        return found

    # Subgraphs ------------------------------------------------------------------------------------------------------

    def subgraph(self, table: Any, number: int) -> Graph:
        where = "" if number == 0 else f" of subgraph {number}"
        count = self.length(table.TensorsLength(), 4, "tensors")
        inputs = self.indices(table, "Inputs", count, f"input list{where}")
        outputs = self.indices(table, "Outputs", count, f"output list{where}")
        named = frozenset(inputs) if number == 0 else frozenset()
        tensors = tuple(self.tensor(table.Tensors(i), i, i in named) for i in range(count))
        ops = tuple(
            self.op(table.Operators(i), i, tensors) for i in range(self.length(table.OperatorsLength(), 4, "operators"))
        )
        return Graph(self.text(table, 4), tensors, ops, inputs, outputs)

    def tensor(self, table: Any, index: int, is_input: bool) -> Tensor:
        name = self.text(table, 3) or f"tensor_{index}"
        if not 0 <= table.Type() < len(TENSOR_TYPES):
            raise ModelError(f"tensor {index} ({name!r}) has the unknown type {table.Type()}")
        dtype = TENSOR_TYPES[table.Type()]
        # Buffer 0 means "no content" by convention, also in files whose buffer table is empty.
        number = self.index(table.Buffer(), max(1, len(self.buffers)), f"tensor {index} ({name!r})", "buffer")
        content = self.buffers[number] if self.buffers else None
        shape = self.shape(table, name, is_input)
        tensor = Tensor(name, shape, dtype, self.quantization(table, name), content, bool(table.IsVariable()))
        if content is not None and len(content) < tensor.nbytes and table.Sparsity() is None:
            raise ModelError(
                f"tensor {index} ({name!r}) holds {len(content):,} bytes where its shape needs {tensor.nbytes:,}"
            )
        return tensor

    def shape(self, table: Any, name: str, is_input: bool) -> Shape:
        rank = self.length(table.ShapeLength(), 4, "dimensions")
        if rank > MAX_RANK:
            raise ModelError(f"tensor {name!r} has {rank} dimensions; TFLite kernels take at most {MAX_RANK}")
        shape = tuple(table.Shape(i) for i in range(rank))
        signature = tuple(table.ShapeSignature(i) for i in range(self.length(table.ShapeSignatureLength(), 4, "dims")))
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

    def quantization(self, table: Any, name: str) -> Quantization | None:
        parameters = table.Quantization()
        if parameters is None:
            return None
        count = self.length(parameters.ScaleLength(), 4, "scales")
        if count == 0:
            return None
        zeros = self.length(parameters.ZeroPointLength(), 8, "zero points")
        scale = parameters.ScaleAsNumpy()
        zero_point = parameters.ZeroPointAsNumpy() if zeros else np.zeros(0, np.int64)
        return Quantization(
            tuple(float(value) for value in scale),
            tuple(int(value) for value in zero_point),
            parameters.QuantizedDimension(),
        )

    def op(self, table: Any, index: int, tensors: tuple[Tensor, ...]) -> Op:
        kind, version = self.codes[self.index(table.OpcodeIndex(), len(self.codes), f"operator {index}", "code")]
        where = f"operator {index} ({kind})"
        inputs = self.indices(table, "Inputs", len(tensors), where, optional=True)
        outputs = self.indices(table, "Outputs", len(tensors), where, optional=True)
        try:
            between = self.indices(table, "Intermediates", len(tensors), where, optional=True)
        except AttributeError:
            between = ()
        for position in outputs:
            if position != ABSENT and tensors[position].is_constant:
                raise ModelError(f"{where} writes the constant {tensors[position].name!r}")
        return Op(kind, inputs, outputs, self.options(table, kind, where), "", version, kind, between)

    def options(self, table: Any, kind: str, where: str) -> dict[str, Attribute]:
        if kind.startswith("CUSTOM:") and self.length(table.CustomOptionsLength(), 1, "bytes of options"):
            return {"custom_options": table.CustomOptionsAsNumpy().tobytes()}
        row = OPTIONS.get(kind)
        union = table.BuiltinOptions()
        if row is None or union is None:
            return {}
        class_name, accessors = row
        if table.BuiltinOptionsType() != getattr(self.schema.BuiltinOptions, class_name):
            return {}
        options = getattr(self.schema, class_name)()
        options.Init(union.Bytes, union.Pos)
        try:
            return {name: attribute(name, getattr(options, accessor)()) for name, accessor in accessors.items()}
        except ValueError as error:
            raise ModelError(f"{where} has broken options ({_first_line(error)})") from error

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

    def indices(self, table: Any, field: str, size: int, where: str, *, optional: bool = False) -> tuple[int, ...]:
        """A vector of tensor indices, checked; `optional` lets −1 (absent) through."""
        self.length(getattr(table, f"{field}Length")(), 4, "operands")
        values = getattr(table, f"{field}AsNumpy")()
        found: Iterable[int] = values.tolist() if hasattr(values, "tolist") and np.ndim(values) else ()
        return tuple(
            value if optional and value == ABSENT else self.index(value, size, where, "tensor") for value in found
        )

    def text(self, table: Any, number: int) -> str:
        """The string in field `number` of a table; bytes that are not UTF-8 are replaced."""
        inner = table._tab
        offset = inner.Offset(4 + 2 * number)
        if not offset:
            return ""
        start = inner.Vector(offset)
        count = self.length(inner.VectorLen(offset), 1, "characters")
        return bytes(self.view[start : start + count]).decode("utf-8", "replace")


def _dims(shape: Shape) -> str:
    return "x".join("?" if size < 0 else str(size) for size in shape)
