"""GNU ld linker scripts: the regions of their MEMORY command.

Reference: the GNU ld manual, "MEMORY Command" and "Expressions in Linker Scripts".
"""

from __future__ import annotations

import re
from pathlib import Path

from mcuprof.hardware.files import FileError, Problem
from mcuprof.hardware.firmware.expression import evaluate
from mcuprof.hardware.firmware.regions import MAX_BYTES, Declared

_HEAD = re.compile(
    r"(?P<name>[A-Za-z_.$][\w.$-]*)\s*(?:\((?P<attributes>[^()]*)\))?\s*:\s*(?:ORIGIN|org|o)\s*=", re.IGNORECASE
)
_PLACE = re.compile(r"(?P<origin>.+?),\s*(?:LENGTH|len|l)\s*=(?P<length>[^;]+);?\s*", re.IGNORECASE | re.DOTALL)
_ASSIGNMENT = re.compile(r"(?:PROVIDE(?:_HIDDEN)?\s*\(\s*)?\b([A-Za-z_.$][\w.$]*)\s*=\s*([^;=]+?)\)?\s*;")
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(\S.*)$", re.MULTILINE)
_CONDITION = re.compile(r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef|include)\b", re.MULTILINE)
_DEPTH = 20


def is_script(text: str) -> bool:
    """Whether the text has a MEMORY command."""
    return re.search(r"\bMEMORY\b\s*\{", _uncommented(text)) is not None


def regions(text: str, path: Path) -> list[Declared]:
    """All regions of the MEMORY commands in the script `text`, as declared. Raises FileError with line and reason."""
    text = _uncommented(text)
    found: list[Declared] = []
    for command in re.finditer(r"\bMEMORY\b\s*\{", text):
        end = text.find("}", command.end())
        if end < 0:
            raise _error(path, text, command.start(), "MEMORY is never closed with }")
        condition = _CONDITION.search(text, command.end(), end)
        if condition:
            raise _error(path, text, condition.start(), "needs the C preprocessor: pass the script that it makes")
        _block(text, command.end(), end, path, found)
    if not found:
        raise FileError(Problem(path, "", "has no region in a MEMORY command"))
    return found


def _block(text: str, begin: int, end: int, path: Path, found: list[Declared]) -> None:
    symbols = {match[1]: match[2] for match in _DEFINE.finditer(text)}
    symbols |= {match[1]: match[2] for match in _ASSIGNMENT.finditer(text) if not begin <= match.start() < end}
    heads = list(_HEAD.finditer(text, begin, end))
    if before := text[begin : heads[0].start() if heads else end].strip():
        raise _error(path, text, text.index(before, begin), _not_a_region(before))
    for index, head in enumerate(heads):
        border = heads[index + 1].start() if index + 1 < len(heads) else end
        place = _PLACE.fullmatch(text, head.end(), border)
        if place is None:
            raise _error(path, text, head.start(), _not_a_region(text[head.start() : border]))
        values = []
        for key in ("origin", "length"):
            try:
                values.append(_value(" ".join(place[key].split()), symbols, found, 0))
            except ValueError as error:
                raise _error(path, text, head.start(), f"{head['name']}: {key}: {error}") from None
        origin, length = values
        if not (0 <= origin < MAX_BYTES and 0 <= length <= MAX_BYTES):
            raise _error(path, text, head.start(), f"{head['name']}: {length} bytes at {origin:#x} are not in 32 bits")
        if any(region.name == head["name"] for region in found):
            raise _error(path, text, head.start(), f"a second region is named {head['name']!r}")
        found.append(Declared(head["name"], head["attributes"], origin, length, _line(text, head.start())))


def _not_a_region(text: str) -> str:
    first = " ".join(text.split("\n", 1)[0].split())[:60]
    if first.startswith("INCLUDE"):
        return "INCLUDE is not followed: pass one file with all regions"
    return f"not a region: {first!r} (write NAME (rwx) : ORIGIN = 0x20000000, LENGTH = 64K)"


def _value(text: str, symbols: dict[str, str], known: list[Declared], depth: int) -> int:
    def lookup(name: str, argument: str | None) -> int:
        if argument is not None:
            region = next((each for each in known if each.name == argument), None)
            if name.upper() not in {"ORIGIN", "ORG", "LENGTH", "LEN"} or region is None:
                raise ValueError(f"no value for {name}({argument})")
            return region.address if name.upper().startswith("O") else region.bytes
        if name not in symbols or depth > _DEPTH:
            raise ValueError(f"no value for the symbol {name!r}")
        return _value(symbols[name], symbols, known, depth + 1)

    return evaluate(text, lookup)


def _uncommented(text: str) -> str:
    """Without comments, at the same line and column everywhere else."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=re.DOTALL)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _error(path: Path, text: str, position: int, reason: str) -> FileError:
    return FileError(Problem(path, "", reason, _line(text, position)))
