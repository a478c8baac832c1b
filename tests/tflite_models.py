"""TFLite files of a few operators, written with the schema's own builder, so that tflite-micro can judge a kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import tflite
from flatbuffers import flexbuffers

CUSTOM = "CUSTOM:"

# Element types as the schema numbers them.
TYPE_NUMBERS = {
    "float32": 0,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "uint64": 12,
    "uint32": 15,
    "int4": 17,
}


@dataclass(frozen=True)
class T:
    """A tensor of a test model."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: tuple[float, ...] = ()
    zero: tuple[int, ...] = ()
    data: Any = None
    axis: int = 0
    variable: bool = False


@dataclass(frozen=True)
class O:  # noqa: E742
    """An operator: builtin name, tensor indices, the options table's class and its fields by schema name.

    A custom operator's name begins with `CUSTOM:`; its `fields` are its FlexBuffers map.
    """

    kind: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: str = ""
    fields: Mapping[str, Any] | None = None
    version: int = 1


Part = tuple[Sequence[T], Sequence[O], Sequence[int], Sequence[int]]


def build(
    tensors: Sequence[T], ops: Sequence[O], inputs: Sequence[int], outputs: Sequence[int], *subgraphs: Part
) -> bytes:
    """The flatbuffer: one buffer per tensor, one operator code per operator; `subgraphs` follow the main one."""
    b = flatbuffers.Builder(1024)
    buffers = [_buffer(b, b"")]
    parts: list[Part] = [(tensors, ops, inputs, outputs), *subgraphs]
    codes: list[O] = []
    graphs = []
    for part in parts:
        graphs.append(_subgraph(b, buffers, part, len(codes)))
        codes += part[1]
    placed, coded = _offsets(b, graphs), _offsets(b, [_code(b, op.kind, op.version) for op in codes])
    description = b.CreateString("test")
    held = _offsets(b, buffers)
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddOperatorCodes(b, coded)
    tflite.ModelAddSubgraphs(b, placed)
    tflite.ModelAddDescription(b, description)
    tflite.ModelAddBuffers(b, held)
    b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
    return bytes(b.Output())


def _subgraph(b: Any, buffers: list[int], part: Part, first_code: int) -> int:
    tensors, ops, inputs, outputs = part
    placed = [_tensor(b, buffers, tensor, index) for index, tensor in enumerate(tensors)]
    operators = [_operator(b, op, number) for number, op in enumerate(ops, first_code)]
    name = b.CreateString("main" if not first_code else f"from operator {first_code}")
    parts = [_offsets(b, placed), _ints(b, inputs), _ints(b, outputs), _offsets(b, operators)]
    tflite.SubGraphStart(b)
    for add, offset in zip(
        (tflite.SubGraphAddTensors, tflite.SubGraphAddInputs, tflite.SubGraphAddOutputs, tflite.SubGraphAddOperators),
        parts,
        strict=True,
    ):
        add(b, offset)
    tflite.SubGraphAddName(b, name)
    return int(tflite.SubGraphEnd(b))


def _buffer(b: Any, data: bytes) -> int:
    content = b.CreateByteVector(data) if data else None
    tflite.BufferStart(b)
    if content is not None:
        tflite.BufferAddData(b, content)
    return int(tflite.BufferEnd(b))


def _tensor(b: Any, buffers: list[int], tensor: T, index: int) -> int:
    at = 0
    if tensor.data is not None:
        at = len(buffers)
        buffers.append(_buffer(b, _packed(tensor)))
    quantization = None
    if tensor.scale:
        scale = b.CreateNumpyVector(np.array(tensor.scale, np.float32))
        zero = b.CreateNumpyVector(np.array(tensor.zero or (0,) * len(tensor.scale), np.int64))
        tflite.QuantizationParametersStart(b)
        tflite.QuantizationParametersAddScale(b, scale)
        tflite.QuantizationParametersAddZeroPoint(b, zero)
        tflite.QuantizationParametersAddQuantizedDimension(b, tensor.axis)
        quantization = tflite.QuantizationParametersEnd(b)
    shape, name = _ints(b, tensor.shape), b.CreateString(f"t{index}")
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, TYPE_NUMBERS[tensor.dtype])
    tflite.TensorAddBuffer(b, at)
    tflite.TensorAddName(b, name)
    tflite.TensorAddIsVariable(b, tensor.variable)
    if quantization is not None:
        tflite.TensorAddQuantization(b, quantization)
    return int(tflite.TensorEnd(b))


def _packed(tensor: T) -> bytes:
    """The bytes of the buffer; two 4-bit integers share one, the first in the lower half."""
    if tensor.dtype != "int4":
        return np.ascontiguousarray(tensor.data, tensor.dtype).tobytes()
    nibbles = np.asarray(tensor.data, np.uint8).reshape(-1) & 15
    nibbles = np.append(nibbles, np.zeros(nibbles.size % 2, np.uint8)).reshape(-1, 2)
    return np.asarray(nibbles[:, 0] | nibbles[:, 1] << 4, np.uint8).tobytes()


def _operator(b: Any, op: O, number: int) -> int:
    options = custom = None
    if op.kind.startswith(CUSTOM):
        custom = b.CreateByteVector(bytes(flexbuffers.Dumps(dict(op.fields or {}))))
    elif op.options:
        getattr(tflite, f"{op.options}Start")(b)
        for field, value in (op.fields or {}).items():
            getattr(tflite, f"{op.options}Add{field}")(b, value)
        options = getattr(tflite, f"{op.options}End")(b)
    ins, outs = _ints(b, op.inputs), _ints(b, op.outputs)
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, number)
    tflite.OperatorAddInputs(b, ins)
    tflite.OperatorAddOutputs(b, outs)
    if options is not None:
        tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, op.options))
        tflite.OperatorAddBuiltinOptions(b, options)
    if custom is not None:
        tflite.OperatorAddCustomOptions(b, custom)
    return int(tflite.OperatorEnd(b))


def _code(b: Any, kind: str, version: int) -> int:
    name = b.CreateString(kind.removeprefix(CUSTOM)) if kind.startswith(CUSTOM) else None
    code = getattr(tflite.BuiltinOperator, "CUSTOM" if name is not None else kind)
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
    tflite.OperatorCodeAddBuiltinCode(b, code)
    tflite.OperatorCodeAddVersion(b, version)
    if name is not None:
        tflite.OperatorCodeAddCustomCode(b, name)
    return int(tflite.OperatorCodeEnd(b))


def _ints(b: Any, values: Sequence[int]) -> int:
    return int(b.CreateNumpyVector(np.array(values, np.int32)))


def _offsets(b: Any, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())
