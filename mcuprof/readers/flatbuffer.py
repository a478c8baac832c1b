"""Tables of a flatbuffer: https://flatbuffers.dev/internals/, as much of it as a reader of models needs.

A file is not trusted: every access is inside it, or an IndexError or struct.error. The `flatbuffers` package reads
through NumPy; this does not, so that a check starts without it, and takes each vtable apart once instead of per field.
"""

from __future__ import annotations

import struct
from typing import Any

_SIGNED = struct.Struct("<i")
_UNSIGNED = struct.Struct("<I")
_SHORTS = struct.Struct("<HH")
_MAX_SLOTS = 64  # more than any table of the schemas read here; a file may claim 32,766 for each of its tables
_NUMBERS = {form: struct.Struct(f"<{form}") for form in "bB?iIQf"}


class Flatbuffer:
    """The bytes of a file. Vtables are shared by tables alike, so each is kept."""

    __slots__ = ("_vtables", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._vtables: dict[int, tuple[int, ...]] = {}

    def root(self) -> Table:
        """The table that the file begins with."""
        return Table(self, self.target(0))

    def target(self, position: int) -> int:
        """Where the offset at `position` leads."""
        return position + int(self.number(_UNSIGNED, position))

    def number(self, form: struct.Struct, position: int) -> Any:
        """The number at `position`. `struct` counts negative positions from the end: they are outside, too."""
        if position < 0:
            raise IndexError(f"position {position}")
        return form.unpack_from(self.data, position)[0]

    def vtable(self, table: int) -> tuple[int, ...]:
        """For each slot of the table at `table` the distance of its field, 0 where it has none."""
        position = table - self.number(_SIGNED, table)
        found = self._vtables.get(position)
        if found is None:
            if position < 0:
                raise IndexError(f"position {position}")
            nbytes, _ = _SHORTS.unpack_from(self.data, position)
            slots = min(max(0, nbytes // 2 - 2), _MAX_SLOTS)
            found = self._vtables[position] = struct.unpack_from(f"<{slots}H", self.data, position + 4)
        return found


class Table:
    """One table. Slots count from 0, in the order of the schema."""

    __slots__ = ("_fields", "_file", "_position")

    def __init__(self, file: Flatbuffer, position: int) -> None:
        self._file = file
        self._position = position
        self._fields = file.vtable(position)

    def number(self, slot: int, form: str, absent: Any = 0) -> Any:
        """The number in `slot`; `form` is struct's letter for its type."""
        position = self._field(slot)
        return self._file.number(_NUMBERS[form], position) if position else absent

    def table(self, slot: int) -> Table | None:
        """The table that `slot` refers to."""
        position = self._field(slot)
        return Table(self._file, self._file.target(position)) if position else None

    def vector(self, slot: int) -> tuple[int, int] | None:
        """(position of the first element, number of elements) of the vector or string in `slot`. Not yet checked."""
        position = self._field(slot)
        if not position:
            return None
        start = self._file.target(position)
        return start + 4, int(self._file.number(_UNSIGNED, start))

    def element(self, start: int, index: int) -> Table:
        """Table number `index` of a vector of tables that begins at `start`."""
        return Table(self._file, self._file.target(start + 4 * index))

    def _field(self, slot: int) -> int:
        distance = self._fields[slot] if slot < len(self._fields) else 0
        return self._position + distance if distance else 0
