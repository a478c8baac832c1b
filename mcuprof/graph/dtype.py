"""Element types of tensors and how many bytes they take when packed."""

from __future__ import annotations

from enum import Enum
from functools import cached_property


class DType(Enum):
    """An element type. `value` is its name in reports; `bits` its packed width (0 where a type has no fixed width)."""

    INT2 = "int2"
    INT4 = "int4"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT4 = "uint4"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    FLOAT8 = "float8"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BOOL = "bool"
    COMPLEX64 = "complex64"
    COMPLEX128 = "complex128"
    STRING = "string"
    RESOURCE = "resource"
    VARIANT = "variant"

    @cached_property  # the hash of a member costs more than its width
    def bits(self) -> int:
        """Width of one element in bits: 4 for int4, 0 for string, resource and variant."""
        return _BITS[self]

    @property
    def is_integer(self) -> bool:
        """True for signed and unsigned integers of any width (not bool)."""
        return self.value.startswith(("int", "uint"))

    @property
    def is_float(self) -> bool:
        """True for the float types."""
        return self.value.startswith(("float", "bfloat"))

    def nbytes(self, elements: int) -> int:
        """Bytes that `elements` packed elements take, rounded up to whole bytes (two int4 to a byte)."""
        return (elements * self.bits + 7) // 8


_BITS = {
    DType.INT2: 2,
    DType.INT4: 4,
    DType.INT8: 8,
    DType.INT16: 16,
    DType.INT32: 32,
    DType.INT64: 64,
    DType.UINT4: 4,
    DType.UINT8: 8,
    DType.UINT16: 16,
    DType.UINT32: 32,
    DType.UINT64: 64,
    DType.FLOAT8: 8,
    DType.FLOAT16: 16,
    DType.BFLOAT16: 16,
    DType.FLOAT32: 32,
    DType.FLOAT64: 64,
    DType.BOOL: 8,
    DType.COMPLEX64: 64,
    DType.COMPLEX128: 128,
    DType.STRING: 0,
    DType.RESOURCE: 0,
    DType.VARIANT: 0,
}
