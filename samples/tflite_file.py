"""A TFLite flatbuffer under construction: tensors and operators in, bytes out. Knows the schema, not the networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import tflite

ALIGNMENT = 16  # schema.fbs, Buffer.data: force_align 16; runtimes use the weights where they lie
ABSENT = -1

_TYPES = {"int8": tflite.TensorType.INT8, "int16": tflite.TensorType.INT16, "int32": tflite.TensorType.INT32}


class TfliteFile:
    """Collects one subgraph. Buffer 0 is the empty one, as the schema demands."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1 << 16)
        self._buffers = [self._table("Buffer")]
        self._tensors: list[int] = []
        self._operators: list[int] = []
        self._codes: dict[tuple[int, int], int] = {}

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        scale: Sequence[float] | npt.NDArray[np.float32] = (),
        zero_point: int = 0,
        axis: int = 0,
        data: npt.NDArray[Any] | None = None,
        variable: bool = False,
    ) -> int:
        """Add a tensor (a constant when it has `data`) and return its index; all its zero points are `zero_point`."""
        buffer = 0
        if data is not None:
            buffer = len(self._buffers)
            self._buffers.append(self._table("Buffer", Data=self._bytes(data.astype(f"<i{data.itemsize}").tobytes())))
        fields = {"Name": self._builder.CreateString(name), "Shape": self._vector(shape, np.int32)}
        if len(scale):
            fields["Quantization"] = self._table(
                "QuantizationParameters",
                Scale=self._vector(scale, np.float32),
                ZeroPoint=self._vector([zero_point] * len(scale), np.int64),
                QuantizedDimension=axis,
            )
        self._tensors.append(self._table("Tensor", Type=_TYPES[dtype], Buffer=buffer, IsVariable=variable, **fields))
        return len(self._tensors) - 1

    def operator(
        self,
        kind: str,
        version: int,
        inputs: Iterable[int],
        outputs: Iterable[int],
        options: str,
        intermediates: Sequence[int] = (),
        **fields: Any,
    ) -> None:
        """Append an operator; `fields` go into its `options` table, lists as vectors of int32."""
        code = self._codes.setdefault((getattr(tflite.BuiltinOperator, kind), version), len(self._codes))
        vectors = {name: self._vector(x, np.int32) for name, x in fields.items() if isinstance(x, list)}
        parts = {
            "OpcodeIndex": code,
            "Inputs": self._vector(list(inputs), np.int32),
            "Outputs": self._vector(list(outputs), np.int32),
            "BuiltinOptionsType": getattr(tflite.BuiltinOptions, options),
            "BuiltinOptions": self._table(options, **{**fields, **vectors}),
        }
        if intermediates:
            parts["Intermediates"] = self._vector(intermediates, np.int32)
        self._operators.append(self._table("Operator", **parts))

    def finish(self, name: str, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        subgraph = self._table(
            "SubGraph",
            Name=self._builder.CreateString(name),
            Tensors=self._offsets(self._tensors),
            Operators=self._offsets(self._operators),
            Inputs=self._vector(inputs, np.int32),
            Outputs=self._vector(outputs, np.int32),
        )
        # Both fields of the code: readers from before 2020 know only the deprecated one, a byte that ends at 127.
        codes = [
            self._table("OperatorCode", BuiltinCode=code, DeprecatedBuiltinCode=min(code, 127), Version=version)
            for code, version in self._codes
        ]
        model = self._table(
            "Model",
            Version=3,
            Description=self._builder.CreateString(f"mcuprof sample {name}"),
            OperatorCodes=self._offsets(codes),
            Subgraphs=self._offsets([subgraph]),
            Buffers=self._offsets(self._buffers),
        )
        self._builder.Finish(model, b"TFL3")
        return bytes(self._builder.Output())

    def _table(self, name: str, **fields: Any) -> int:
        getattr(tflite, f"{name}Start")(self._builder)
        for field, value in fields.items():
            getattr(tflite, f"{name}Add{field}")(self._builder, value)
        return int(getattr(tflite, f"{name}End")(self._builder))

    def _vector(self, values: Sequence[float] | npt.NDArray[Any], dtype: npt.DTypeLike) -> int:
        return int(self._builder.CreateNumpyVector(np.asarray(values, dtype)))

    def _offsets(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def _bytes(self, data: bytes) -> int:
        # CreateByteVector aligns to one byte only, so its three steps are taken here with the alignment that is due.
        self._builder.StartVector(1, len(data), ALIGNMENT)
        head = self._builder.head = self._builder.Head() - len(data)
        self._builder.Bytes[head : head + len(data)] = data
        return int(self._builder.EndVector())
