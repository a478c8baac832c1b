"""`Graph` → an ordinary .tflite, for graphs that a rewrite has made; a plan alone is put into the file by `tflite.py`.

What the reader keeps is written: names, shapes, types, quantization, operators with version and options, metadata. What
it does not keep is refused where a runtime would miss it (options that were not read, sparse weights, further
subgraphs) and left out where none does (signatures, open dimensions, recorded minima and maxima). Constants of equal
content share one buffer; every buffer lies at a multiple of 16 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import Attribute, Graph, Op, Quantization, Tensor
from mcuprof.readers.tflite import TENSOR_TYPES
from mcuprof.readers.tflite_options import ACTIVATION, OPTIONS, PADDING

BUFFER_ALIGNMENT = 16  # schema.fbs, Buffer.data: force_align 16; runtimes use weights where they lie
SCHEMA_VERSION = 3

# Kinds whose options table in the schema is empty or missing: nothing is lost when there is none in the file.
_WITHOUT_OPTIONS = frozenset(
    (
        *(
            "ABS",
            "ADD_N",
            "ATAN2",
            "BATCH_TO_SPACE_ND",
            "BITCAST",
            "BITWISE_XOR",
            "BROADCAST_ARGS",
            "BROADCAST_TO",
            "CEIL",
        ),
        *(
            "COS",
            "DEQUANTIZE",
            "DYNAMIC_UPDATE_SLICE",
            "ELU",
            "EMBEDDING_LOOKUP",
            "EQUAL",
            "EXP",
            "EXPAND_DIMS",
            "FILL",
        ),
        *(
            "FLOOR",
            "FLOOR_DIV",
            "FLOOR_MOD",
            "GATHER_ND",
            "GREATER",
            "GREATER_EQUAL",
            "HARD_SWISH",
            "LESS",
            "LESS_EQUAL",
        ),
        *("LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC", "LOG_SOFTMAX", "MATRIX_DIAG", "MAXIMUM"),
        *("MINIMUM", "NEG", "NOT_EQUAL", "PAD", "PADV2", "POW", "PRELU", "QUANTIZE", "RANGE", "RANK", "READ_VARIABLE"),
        *("RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "REVERSE_V2", "RIGHT_SHIFT", "ROUND", "RSQRT", "SCATTER_ND"),
        *("SELECT", "SELECT_V2", "SIGN", "SIN", "SLICE", "SPACE_TO_BATCH_ND", "SQRT", "SQUARE", "SQUARED_DIFFERENCE"),
        *("TANH", "TILE", "TOPK_V2", "TRANSPOSE", "WHERE", "ZEROS_LIKE"),
    )
)


def to_tflite(graph: Graph) -> bytes:
    """The flatbuffer; equal graphs give equal bytes. Reading it back gives the graph again.

    Raises ModelError, naming the reason, for a graph that did not come from TFLite, has several subgraphs, sparse or
    short constants, or operators with options that were not read.
    """
    reason = refusal(graph)
    if reason is not None:
        raise ModelError(f"cannot be written as TFLite: {reason}")
    import tflite

    return _Writer(tflite, graph).write()


def refusal(graph: Graph) -> str | None:
    """Why the graph cannot be written without loss; None when it can."""
    if graph.origin.format not in ("tflite", "memory"):
        return f"it was read from {graph.origin.format}"
    if graph.subgraphs:
        return f"it has {1 + len(graph.subgraphs)} subgraphs"
    for tensor in graph.tensors:
        if tensor.data is not None and len(tensor.data) < tensor.nbytes:
            return f"tensor {tensor.name!r} is sparse"
    for index, op in enumerate(graph.ops):
        custom = op.kind.startswith("CUSTOM:")
        if not custom and op.kind not in OPTIONS and op.kind not in _WITHOUT_OPTIONS:
            return f"the options of operator {index} ({op.kind}) are not known"
        if op.text("layout", "NHWC") != "NHWC" or op.text("padding") == "EXPLICIT":
            return f"operator {index} ({op.kind}) is laid out as TFLite has it not"
    return None


class _Writer:
    """One flatbuffer under construction. Offsets are of finished tables, as the builder gives them."""

    def __init__(self, schema: ModuleType, graph: Graph) -> None:
        import flatbuffers

        self.schema, self.graph = schema, graph
        self.builder = flatbuffers.Builder(1 << 16)
        self.buffers = [self.table("Buffer")]  # buffer 0 is the empty one
        self.shared: dict[bytes, int] = {}
        self.codes: dict[tuple[str, int], int] = {}

    def write(self) -> bytes:
        graph = self.graph
        tensors = [self.tensor(tensor) for tensor in graph.tensors]
        operators = [self.operator(op) for op in graph.ops]
        subgraph = self.table(
            "SubGraph",
            Tensors=self.offsets(tensors),
            Inputs=self.integers(graph.inputs),
            Outputs=self.integers(graph.outputs),
            Operators=self.offsets(operators),
            Name=self.text(graph.name),
        )
        metadata = [
            self.table("Metadata", Name=self.text(name), Buffer=self.buffer(content))
            for name, content in graph.origin.metadata.items()
        ]
        lists: dict[str, Any] = {"Metadata": self.offsets(metadata)} if metadata else {}
        model = self.table(
            "Model",
            Version=SCHEMA_VERSION,
            OperatorCodes=self.offsets([self.code(kind, version) for kind, version in self.codes]),
            Subgraphs=self.offsets([subgraph]),
            Description=self.text(graph.origin.description),
            Buffers=self.offsets(self.buffers),
            **lists,
        )
        self.builder.Finish(model, b"TFL3")
        return bytes(self.builder.Output())

    def tensor(self, tensor: Tensor) -> int:
        fields: dict[str, Any] = {"Shape": self.integers(tensor.shape), "Name": self.text(tensor.name)}
        if tensor.quantization is not None:
            fields["Quantization"] = self.quantization(tensor.quantization)
        if tensor.data is not None:
            content = bytes(tensor.data)
            if content not in self.shared:
                self.shared[content] = self.buffer(content)
            fields["Buffer"] = self.shared[content]
        return self.table("Tensor", Type=TENSOR_TYPES.index(tensor.dtype), IsVariable=tensor.variable, **fields)

    def quantization(self, parameters: Quantization) -> int:
        fields: dict[str, Any] = {"Scale": self.vector(np.array(parameters.scale, np.float32))}
        if parameters.zero_point:
            fields["ZeroPoint"] = self.vector(np.array(parameters.zero_point, np.int64))
        return self.table("QuantizationParameters", QuantizedDimension=parameters.axis, **fields)

    def operator(self, op: Op) -> int:
        fields: dict[str, Any] = {"Inputs": self.integers(op.inputs), "Outputs": self.integers(op.outputs)}
        options = op.attributes.get("custom_options")
        if isinstance(options, bytes):
            fields["CustomOptions"] = self.blob(options, BUFFER_ALIGNMENT)
        elif op.attributes:
            name, accessors = OPTIONS[op.kind]
            values = {accessors[key]: self.value(key, value) for key, value in op.attributes.items()}
            fields["BuiltinOptionsType"] = getattr(self.schema.BuiltinOptions, name)
            fields["BuiltinOptions"] = self.table(name, **values)
        if op.intermediates:
            fields["Intermediates"] = self.integers(op.intermediates)
        code = self.codes.setdefault((op.kind, op.version), len(self.codes))
        return self.table("Operator", OpcodeIndex=code, **fields)

    def value(self, name: str, value: Attribute) -> Any:
        """One option as the schema has it: the inverse of `tflite_options.attribute`."""
        if name == "padding":
            return PADDING.index(str(value))
        if name == "activation":
            return ACTIVATION.index(str(value))
        if isinstance(value, str):
            return self.text(value)
        return self.integers(int(item) for item in value) if isinstance(value, tuple) else value

    def code(self, kind: str, version: int) -> int:
        """Readers from before 2020 know only the deprecated field, a byte that ends at 127."""
        name, _, custom = kind.partition(":")
        number = getattr(self.schema.BuiltinOperator, name)
        fields = {"CustomCode": self.text(custom)} if name == "CUSTOM" else {}
        return self.table(
            "OperatorCode", BuiltinCode=number, DeprecatedBuiltinCode=min(number, 127), Version=version, **fields
        )

    # The builder's steps --------------------------------------------------------------------------------------------

    def table(self, name: str, /, **fields: Any) -> int:
        """A table of the schema; absent fields take the schema's defaults."""
        getattr(self.schema, f"{name}Start")(self.builder)
        for field, value in fields.items():
            getattr(self.schema, f"{name}Add{field}")(self.builder, value)
        return int(getattr(self.schema, f"{name}End")(self.builder))

    def buffer(self, content: bytes) -> int:
        """A new buffer; returns its number."""
        self.buffers.append(self.table("Buffer", **({"Data": self.blob(content, BUFFER_ALIGNMENT)} if content else {})))
        return len(self.buffers) - 1

    def blob(self, content: bytes, alignment: int) -> int:
        # CreateByteVector aligns to one byte only, so its steps are taken here with the alignment that is due.
        self.builder.StartVector(1, len(content), alignment)
        self.builder.head = self.builder.Head() - len(content)
        self.builder.Bytes[self.builder.Head() : self.builder.Head() + len(content)] = content
        return int(self.builder.EndVector())

    def text(self, text: str) -> int:
        return int(self.builder.CreateString(text))

    def integers(self, values: Iterable[int]) -> int:
        return self.vector(np.array(list(values), np.int32))

    def vector(self, values: Any) -> int:
        return int(self.builder.CreateNumpyVector(values))

    def offsets(self, offsets: list[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())
