"""ONNX tensor messages → `Tensor`: element types, the places where content may sit, and external data files.

Source: onnx.proto (TensorProto and its DataType; 4-bit types pack two elements to a byte, the first in the low bits).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import DType, Tensor
from mcuprof.limits import ReadLimits, check_limit
from mcuprof.readers.onnx.net import MAX_ELEMENTS

DTYPES: Mapping[int, DType] = {
    1: DType.FLOAT32,
    2: DType.UINT8,
    3: DType.INT8,
    4: DType.UINT16,
    5: DType.INT16,
    6: DType.INT32,
    7: DType.INT64,
    8: DType.STRING,
    9: DType.BOOL,
    10: DType.FLOAT16,
    11: DType.FLOAT64,
    12: DType.UINT32,
    13: DType.UINT64,
    14: DType.COMPLEX64,
    15: DType.COMPLEX128,
    16: DType.BFLOAT16,
    **dict.fromkeys((17, 18, 19, 20, 24), DType.FLOAT8),
    21: DType.UINT4,
    22: DType.INT4,
    26: DType.INT2,
}
ELEMENT_TYPES: Mapping[DType, int] = {dtype: number for number, dtype in reversed(list(DTYPES.items()))}
EXTERNAL = 1  # TensorProto.DataLocation

# Field that holds the elements when `raw_data` does not, and its NumPy type.
_FIELDS: Mapping[DType, tuple[str, str]] = {
    DType.FLOAT32: ("float_data", "<f4"),
    DType.COMPLEX64: ("float_data", "<f4"),
    DType.FLOAT64: ("double_data", "<f8"),
    DType.COMPLEX128: ("double_data", "<f8"),
    DType.INT64: ("int64_data", "<i8"),
    DType.UINT32: ("uint64_data", "<u4"),
    DType.UINT64: ("uint64_data", "<u8"),
}


def text(value: str | bytes) -> str:
    """A string field of the file; protobuf hands out bytes where it is not UTF-8, which are replaced."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def dtype_of(number: int, what: str) -> DType:
    """The element type with this number in onnx.proto. Raises ModelError when there is none."""
    if number not in DTYPES:
        raise ModelError(f"{what} has the unsupported element type {number}")
    return DTYPES[number]


class External:
    """Where external data may lie, and how much of it a model may have: content is read into memory as a file is.

    `folder` is None where nothing is read. The limit `file` holds for all external data together.
    """

    def __init__(self, folder: Path | None, limits: ReadLimits) -> None:
        self.folder, self.limits = folder, limits
        self.read = 0

    def count(self, nbytes: int) -> None:
        """Raises ModelError when these further bytes exceed the limit."""
        self.read += nbytes
        check_limit(self.limits, "file", self.read, f"has {self.read:,} bytes of external data")


def decode(proto: Any, name: str, external: External, note: Callable[[str], None]) -> Tensor:
    """The constant in a TensorProto.

    External data is read only from its folder or below. A missing file leaves a constant without content, and a
    sentence for the user. Raises ModelError when content and shape disagree, or the location leaves the folder.
    """
    what = f"constant {name!r}"
    dtype = dtype_of(proto.data_type, what)
    shape = tuple(proto.dims)
    if any(size < 0 for size in shape):
        raise ModelError(f"{what} has a negative dimension")
    if prod(shape) > MAX_ELEMENTS:
        raise ModelError(f"{what} declares {dtype.nbytes(prod(shape)):,} bytes")
    expected = dtype.nbytes(prod(shape))
    if proto.data_location == EXTERNAL:
        content = _external(proto, name, external, expected)
        if content is None:
            note("weights in external data files are missing: sizes are exact, contents unknown")
            return Tensor(name, shape, dtype, data=memoryview(b""))
    else:
        content = _inline(proto, dtype)
    if len(content) != expected:
        raise ModelError(f"{what} holds {len(content):,} bytes where its shape needs {expected:,}")
    return Tensor(name, shape, dtype, data=memoryview(content))


def _inline(proto: Any, dtype: DType) -> bytes:
    if dtype is DType.STRING:
        return b""
    if proto.HasField("raw_data"):
        raw: bytes = proto.raw_data
        return raw
    field, stored = _FIELDS.get(dtype, ("int32_data", {16: "<u2", 32: "<i4"}.get(dtype.bits, "u1")))
    values = np.array(getattr(proto, field), np.float64 if field == "double_data" else None)
    return values.astype(stored).tobytes() if len(values) else b""


def _external(proto: Any, name: str, external: External, expected: int) -> bytes | None:
    folder = external.folder
    entries = {text(entry.key): text(entry.value) for entry in proto.external_data}
    location = entries.get("location", "")
    windows = PureWindowsPath(location)
    if PurePosixPath(location).is_absolute() or windows.is_absolute() or windows.drive or ".." in windows.parts:
        raise ModelError(f"constant {name!r} lies outside the model's folder ({location!r}): not read")
    try:
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or expected)
    except ValueError:
        raise ModelError(f"constant {name!r} has a malformed external data entry") from None
    if offset < 0 or length != expected:
        raise ModelError(f"constant {name!r} holds {length:,} external bytes where its shape needs {expected:,}")
    if folder is None or not location:
        return None
    try:
        file = (folder / location).resolve()
        if not file.is_relative_to(folder.resolve()):
            raise ModelError(f"constant {name!r} lies outside the model's folder ({location!r}): not read")
        if not file.is_file():
            return None
        external.count(expected)
        with file.open("rb") as stream:
            stream.seek(offset)
            content: bytes = stream.read(expected)
            return content
    except (OSError, ValueError) as error:
        raise ModelError(f"constant {name!r}: cannot read {location!r} ({error.__class__.__name__})") from None
