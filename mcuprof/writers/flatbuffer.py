"""Just enough of the flatbuffer format to edit a file without re-serialising it (flatbuffers' internals document).

A table begins with the signed distance to its vtable; the vtable lists, per field, where in the table its value lies
(0: absent). Strings, vectors and tables are reached by unsigned distances, so everything a table or vector refers to
lies behind it in the file. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass


def u16(data: bytes | bytearray, at: int) -> int:
    """The unsigned 16-bit number at byte `at`. Raises struct.error beyond the end, as all readers here."""
    return int(struct.unpack_from("<H", data, at)[0])


def u32(data: bytes | bytearray, at: int) -> int:
    """The unsigned 32-bit number at byte `at`."""
    return int(struct.unpack_from("<I", data, at)[0])


def follow(data: bytes | bytearray, at: int) -> int:
    """Where the distance stored at byte `at` leads to."""
    return at + u32(data, at)


@dataclass(frozen=True, slots=True)
class Table:
    """The table at byte `at`."""

    data: bytes | bytearray
    at: int

    @property
    def vtable(self) -> int:
        """Where its vtable begins."""
        return self.at - int(struct.unpack_from("<i", self.data, self.at)[0])

    @property
    def fields(self) -> int:
        """How many fields its vtable lists."""
        return (u16(self.data, self.vtable) - 4) // 2

    def field(self, number: int) -> int:
        """Byte at which the value of field `number` lies; 0 when it is absent."""
        inside = u16(self.data, self.vtable + 4 + 2 * number) if number < self.fields else 0
        return self.at + inside if inside else 0

    def scalar(self, number: int, form: str) -> int:
        """The number in field `number`, of the struct format `form`; 0 when it is absent."""
        at = self.field(number)
        return int(struct.unpack_from(f"<{form}", self.data, at)[0]) if at else 0

    def vector(self, number: int) -> Vector | None:
        """The vector in field `number`."""
        at = self.field(number)
        return Vector(self.data, follow(self.data, at)) if at else None

    def string(self, number: int) -> bytes:
        """The string in field `number`; empty when it is absent."""
        found = self.vector(number)
        return bytes(self.data[found.at + 4 : found.at + 4 + len(found)]) if found else b""


@dataclass(frozen=True, slots=True)
class Vector:
    """The vector at byte `at`: its length, then its elements."""

    data: bytes | bytearray
    at: int

    def __len__(self) -> int:
        return u32(self.data, self.at)

    def slot(self, index: int) -> int:
        """Byte at which 4-byte element `index` lies."""
        return self.at + 4 + 4 * index

    def tables(self) -> list[Table]:
        """The tables that a vector of distances leads to."""
        return [Table(self.data, follow(self.data, self.slot(index))) for index in range(len(self))]


def retarget(data: bytearray, vector: Vector, targets: list[int]) -> None:
    """Let the first elements of a vector of distances lead to these bytes, and make that its length (never longer)."""
    if len(targets) > len(vector) or any(target <= vector.slot(index) for index, target in enumerate(targets)):
        raise ValueError("a vector of distances cannot lead there")
    struct.pack_into("<I", data, vector.at, len(targets))
    for index, target in enumerate(targets):
        struct.pack_into("<I", data, vector.slot(index), target - vector.slot(index))


class Front:
    """Bytes to put before an existing flatbuffer, from the root on; references lead to places not yet known.

    `place` begins an object at an alignment, `refer` writes a distance that `resolve` fills in later.
    """

    def __init__(self) -> None:
        self.bytes = bytearray()
        self._open: list[tuple[int, object]] = []
        self._placed: dict[object, int] = {}

    def place(self, name: object, alignment: int = 4, before: int = 0) -> None:
        """The object `name` begins here, so that the byte `before` bytes further is a multiple of `alignment`."""
        self.bytes += bytes(-(len(self.bytes) + before) % alignment)
        self._placed[name] = len(self.bytes)

    def put(self, form: str, *values: int) -> None:
        """Numbers in the struct format `form`."""
        self.bytes += struct.pack(f"<{form}", *values)

    def refer(self, name: object) -> None:
        """A distance to the object `name`."""
        self._open.append((len(self.bytes), name))
        self.put("I", 0)

    def table(self, name: object, fields: list[object | int | None]) -> None:
        """A table of 4-byte fields with a vtable of its own: numbers as int, names of objects to refer to, or None."""
        size = 4 + 2 * len(fields)
        self.place((name, "vtable"), 4, size)
        inside, entries = 4, []
        for value in fields:
            entries.append(inside if value is not None else 0)
            inside += 4 if value is not None else 0
        self.put(f"HH{len(fields)}H", size, inside, *entries)
        self.place(name)
        self.put("i", size)
        for value in fields:
            if isinstance(value, int):
                self.put("I", value)
            elif value is not None:
                self.refer(value)

    def vector(self, name: object, targets: list[object]) -> None:
        """A vector of distances."""
        self.place(name)
        self.put("I", len(targets))
        for target in targets:
            self.refer(target)

    def blob(self, name: object, content: bytes, alignment: int = 4, terminated: bool = False) -> None:
        """A vector of bytes whose first byte is aligned; a string when `terminated` with a zero byte."""
        self.place(name, max(4, alignment), 4)
        self.put("I", len(content))
        self.bytes += content + bytes(terminated)

    def close(self, alignment: int, behind: dict[object, int]) -> bytes:
        """All bytes, padded to `alignment`, distances filled in; `behind` says where in what follows the others are."""
        self.bytes += bytes(-len(self.bytes) % alignment)
        for at, name in self._open:
            target = self._placed[name] if name in self._placed else len(self.bytes) + behind[name]
            struct.pack_into("<I", self.bytes, at, target - at)
        return bytes(self.bytes)
