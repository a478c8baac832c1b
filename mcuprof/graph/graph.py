"""The network between all rooms: an immutable list of tensors and of operators in execution order.

Operators name tensors by their index in `Graph.tensors`; −1 stands for an optional input that is absent. Operator
kinds are TFLite's builtin names (`CONV_2D`), also for models that came from ONNX, so that one definition in `ops/`
serves both; a kind that `ops/` does not know is carried along as opaque.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np

from mcuprof.graph.dtype import DType

Shape = tuple[int, ...]
Attribute = bool | int | float | str | bytes | tuple[int, ...] | tuple[float, ...]
ABSENT = -1


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine quantization: real = scale · (q − zero_point), per tensor or along `axis`.

    `scale` holds float32 values (as Python floats), `zero_point` as many integers or none where the file has none.
    Lengths above 1 mean one entry per index of `axis`; `block` > 0 means one entry per `block` indices of `axis`.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0
    block: int = 0

    @property
    def per_channel(self) -> bool:
        """True when there is more than one scale."""
        return len(self.scale) > 1


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A value of the graph. `data` is the packed little-endian content of a constant, None for everything computed.

    `variable` marks state kept between inferences. `shape` has no negative entries: readers resolve unknown
    dimensions and say so in `Origin.notes`.
    """

    name: str
    shape: Shape
    dtype: DType
    quantization: Quantization | None = None
    data: memoryview | None = None
    variable: bool = False

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Packed size in bytes: what a runtime must keep for it."""
        return self.dtype.nbytes(self.elements)

    @property
    def is_constant(self) -> bool:
        """True when the content comes with the model (weights, biases, shapes)."""
        return self.data is not None

    def array(self) -> np.ndarray:
        """The constant's content as an array of `shape`; int4 and int2 unpacked to int8, bfloat16 widened to float32.

        `pack` is the way back. Raises ValueError when there is no content, it is shorter than the shape, or its type is
        not of numbers.
        """
        if self.data is None:
            raise ValueError(f"tensor {self.name!r} has no constant content")
        if self.dtype in (DType.INT4, DType.UINT4, DType.INT2):
            return _unpack(np.frombuffer(self.data, np.uint8), self.dtype, self.elements).reshape(self.shape)
        if self.dtype is DType.BFLOAT16:
            high = np.frombuffer(self.data, "<u2", count=self.elements)
            return (high.astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        try:
            dtype = np.dtype(self.dtype.value).newbyteorder("<")
        except TypeError:
            raise ValueError(f"tensor {self.name!r} holds {self.dtype.value}, not numbers") from None
        return np.frombuffer(self.data, dtype, count=self.elements).reshape(self.shape)

    def integers(self) -> tuple[int, ...]:
        """The constant's content, flattened, as integers; raises ValueError as `array` does.

        Of the types that axes and shapes have without NumPy, which takes longer to import than a check takes.
        """
        letter = {DType.INT32: "i", DType.INT64: "q"}.get(self.dtype)
        if letter is None or self.data is None or len(self.data) < self.nbytes:
            return tuple(int(value) for value in self.array().reshape(-1))
        return struct.unpack_from(f"<{self.elements}{letter}", self.data)


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One operator. `attributes` holds its options under the names of `ops/`; `source` its name in the file's format.

    `inputs` and `outputs` are indices into `Graph.tensors`, `ABSENT` for omitted optional inputs.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    name: str = ""
    version: int = 1
    source: str = ""
    intermediates: tuple[int, ...] = ()

    def integer(self, name: str, default: int = 0) -> int:
        """The attribute as int; `default` where it is missing."""
        value = self.attributes.get(name, default)
        return int(value) if isinstance(value, bool | int | float) else default

    def text(self, name: str, default: str = "") -> str:
        """The attribute as str; `default` where it is missing."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, str) else default

    def integers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The attribute as tuple of int; `default` where it is missing."""
        value = self.attributes.get(name, default)
        return tuple(int(item) for item in value) if isinstance(value, tuple) else default

    def numbers(self, name: str) -> tuple[float, ...]:
        """The attribute as tuple of float; empty where it is missing."""
        value = self.attributes.get(name, ())
        return tuple(float(item) for item in value) if isinstance(value, tuple) else ()

    def number(self, name: str, default: float = 0.0) -> float:
        """The attribute as float; `default` where it is missing."""
        value = self.attributes.get(name, default)
        return float(value) if isinstance(value, bool | int | float) else default


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a graph came from. `notes` are things the reader decided and the user should know, `oddities` rules of the
    format that the file breaks and runtimes do not check; one sentence each.
    """

    format: str = "memory"
    path: str = ""
    nbytes: int = 0
    sha256: str = ""
    producer: str = ""
    description: str = ""
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    oddities: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Graph:
    """Tensors, operators in execution order, and which tensors enter and leave.

    `subgraphs` holds the further graphs of the file (bodies of IF, WHILE, CALL_ONCE); attribute values named
    `*_subgraph` are indices into the file's list, in which this graph is 0 and `subgraphs[0]` is 1.
    """

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    origin: Origin = field(default_factory=Origin)
    subgraphs: tuple[Graph, ...] = ()

    def tensor(self, op: Op, position: int) -> Tensor | None:
        """Input number `position` of `op`; None when it is absent."""
        if position >= len(op.inputs) or op.inputs[position] == ABSENT:
            return None
        return self.tensors[op.inputs[position]]

    def input(self, op: Op, position: int = 0) -> Tensor:
        """Input number `position` of `op`; raises LookupError when it is absent."""
        tensor = self.tensor(op, position)
        if tensor is None:
            raise LookupError(f"{op.kind} has no input {position}")
        return tensor

    def output(self, op: Op, position: int = 0) -> Tensor:
        """Output number `position` of `op`; raises LookupError when it is absent."""
        if position >= len(op.outputs) or op.outputs[position] == ABSENT:
            raise LookupError(f"{op.kind} has no output {position}")
        return self.tensors[op.outputs[position]]

    @cached_property
    def producer(self) -> Mapping[int, int]:
        """Tensor index → index of the operator that writes it; constants and inputs are not in it."""
        return {tensor: index for index, op in enumerate(self.ops) for tensor in op.outputs if tensor != ABSENT}

    @cached_property
    def consumers(self) -> Mapping[int, tuple[int, ...]]:
        """Tensor index → indices of the operators that read it, ascending."""
        found: dict[int, list[int]] = {}
        for index, op in enumerate(self.ops):
            for tensor in dict.fromkeys(op.inputs):
                if tensor != ABSENT:
                    found.setdefault(tensor, []).append(index)
        return {tensor: tuple(indices) for tensor, indices in found.items()}


def pack(array: np.ndarray, dtype: DType) -> bytes:
    """The content of a constant of type `dtype` with these values: what `Tensor.array` makes them from.

    Float values become bfloat16 by rounding to nearest, ties to even. Raises ValueError for a type not of numbers.
    """
    if dtype in (DType.INT4, DType.UINT4, DType.INT2):
        per_byte = 8 // dtype.bits
        flat = array.reshape(-1).astype(np.uint8) & ((1 << dtype.bits) - 1)
        flat = np.concatenate([flat, np.zeros(-len(flat) % per_byte, np.uint8)]).reshape(-1, per_byte)
        shifted: np.ndarray = np.bitwise_or.reduce(flat << (np.arange(per_byte, dtype=np.uint8) * dtype.bits), axis=1)
        return shifted.astype(np.uint8).tobytes()
    if dtype is DType.BFLOAT16:
        wide = np.ascontiguousarray(array, np.float32)
        bits = wide.view(np.uint32).astype(np.uint64)
        rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
        return np.where(np.isnan(wide), bits >> 16 | 0x40, rounded).astype("<u2").tobytes()
    try:
        return np.ascontiguousarray(array, np.dtype(dtype.value).newbyteorder("<")).tobytes()
    except TypeError:
        raise ValueError(f"{dtype.value} is no type of numbers") from None


def _unpack(packed: np.ndarray, dtype: DType, elements: int) -> np.ndarray:
    """Sub-byte elements, lowest bits first (TFLite and ONNX agree), sign-extended for signed types."""
    bits = dtype.bits
    per_byte = 8 // bits
    shifts = np.arange(per_byte, dtype=np.uint8) * bits
    values = ((packed[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[:elements].astype(np.int8)
    if len(values) < elements:
        raise ValueError(f"{len(values)} elements where the shape needs {elements}")
    return values if dtype is DType.UINT4 else np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
