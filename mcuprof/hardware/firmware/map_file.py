"""GNU ld map files: the regions, and what the linked firmware takes of each.

`-Wl,-Map=firmware.map` writes them. A firmware that already contains a tensor arena shows it as an input section or a
symbol section of its own; it is not the firmware's share, because the arena of the model in question takes its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from mcuprof.hardware.files import FileError, Problem
from mcuprof.hardware.firmware.regions import Declared

_CONFIGURATION = "Memory Configuration"
_BODY = "Linker script and memory map"
_REGION = re.compile(r"(\S+)\s+0x([0-9a-fA-F]+)\s+0x([0-9a-fA-F]+)(?:\s+(\S+))?\s*$")
_SECTION = re.compile(r"( ?)([\w.$*/][^\s]*)?\s+0x([0-9a-fA-F]+)\s+0x([0-9a-fA-F]+)(?:\s|$)")
_NAME_ONLY = re.compile(r"( ?)([._A-Za-z][^\s(]*)\s*$")
# Sections that are in the file but never in the target's memory.
_NOT_LOADED = re.compile(
    r"\.(debug|comment|stab|symtab|strtab|shstrtab|gnu\.|note\.gnu|[A-Za-z.]*attributes|xt\.|line)"
)
_ARENA = re.compile(r"(tensor|tflm|tflite|model|nn|inference)_?arena|\barena_?(buffer|memory)|\.g_arena", re.IGNORECASE)

_PADDING = "alignment"
_MAX_ALIGNMENT = 256


class Use(msgspec.Struct, frozen=True):
    """What lies in one region: bytes by output section, and the arenas among them (counted in `sections`, too)."""

    sections: Mapping[str, int]
    arenas: Mapping[str, int]

    @property
    def bytes(self) -> int:
        """What the firmware takes without an arena of its own."""
        return sum(self.sections.values()) - sum(self.arenas.values())


class _Section(msgspec.Struct, frozen=True):
    output: bool
    name: str
    address: int
    bytes: int


def is_map(text: str) -> bool:
    """Whether the text is a map file of GNU ld."""
    return f"\n{_CONFIGURATION}\n" in f"\n{text}" and _BODY in text


def regions(text: str, path: Path) -> list[Declared]:
    """The regions of the map's memory configuration. Raises FileError when there is none."""
    lines = text.splitlines()
    try:
        start = lines.index(_CONFIGURATION)
        end = next(number for number in range(start, len(lines)) if lines[number].startswith(_BODY))
    except (ValueError, StopIteration):
        raise FileError(Problem(path, "", f"is not a map file of GNU ld: no {_CONFIGURATION!r}")) from None
    found = []
    for number in range(start + 1, end):
        match = _REGION.match(lines[number])
        if match and match[1] != "*default*":
            attributes = match[4] if match[4] is None else match[4].lower()
            found.append(Declared(match[1], attributes, int(match[2], 16), int(match[3], 16), number + 1))
    if not found:
        raise FileError(Problem(path, "", "its memory configuration names no region: the script has no MEMORY"))
    return found


def uses(text: str, declared: list[Declared]) -> dict[str, Use]:
    """Region name → what the map says lies in it. A section belongs to the largest region around its address."""
    by_region: dict[str, tuple[dict[str, int], dict[str, int]]] = {each.name: ({}, {}) for each in declared}
    places: dict[str, list[tuple[int, int]]] = {each.name: [] for each in declared}
    for section in _sections(text):
        around = [each for each in declared if each.address <= section.address < each.end]
        if not around or not section.bytes:
            continue
        region = max(around, key=lambda each: each.bytes)
        sections, arenas = by_region[region.name]
        if section.output:
            places[region.name].append((section.address, section.address + section.bytes))
            sections[section.name] = sections.get(section.name, 0) + section.bytes
        elif _ARENA.search(section.name):
            arenas[section.name] = arenas.get(section.name, 0) + section.bytes
    return {
        name: Use({**sections, _PADDING: padding} if (padding := _padding(places[name])) else sections, arenas)
        for name, (sections, arenas) in by_region.items()
    }


def _padding(places: list[tuple[int, int]]) -> int:
    """Bytes between sections that alignment explains."""
    total, end = 0, None
    for start, behind in sorted(places):
        if end is not None and 0 < start - end < _MAX_ALIGNMENT:
            total += start - end
        end = max(behind, end or 0)
    return total


def _sections(text: str) -> Iterator[_Section]:
    """Output sections (at the start of a line) and input sections (one space in); long names fill a line."""
    body = text[text.index(_BODY) :].split("\nCross Reference Table", 1)[0]
    name, output = "", False
    for line in body.splitlines()[1:]:
        match = _SECTION.match(line)
        if match and match[2]:
            name, output = match[2], not match[1]
        elif match is None or not line.startswith(" " * 8) or not name:
            alone = _NAME_ONLY.match(line)
            name, output = (alone[2], not alone[1]) if alone else ("", False)
            continue
        if not _NOT_LOADED.match(name) and not name.startswith(("*", "/")):
            yield _Section(output, name, int(match[3], 16), int(match[4], 16))
        name = ""
