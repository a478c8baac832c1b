"""Keil scatter files (.sct): their execution regions are the memories, as µVision writes them.

`RW_IRAM1 0x20000000 0x00020000 { .ANY (+RW +ZI) }`. Reference: Arm Compiler armlink, "Scatter file syntax".
"""

from __future__ import annotations

import re
from pathlib import Path

from mcuprof.hardware.files import FileError, Problem
from mcuprof.hardware.firmware.expression import evaluate
from mcuprof.hardware.firmware.regions import MAX_BYTES, Declared

_REGION = re.compile(
    r"(?P<name>[A-Za-z_][\w.]*)\s+(?P<base>0[xX][0-9a-fA-F]+)\s+(?P<words>(?:[A-Z]+\w*\s+)*)(?P<size>0[xX][0-9a-fA-F]+)\s*\{"
)


def is_scatter(text: str) -> bool:
    """Whether the text looks like a scatter file."""
    return _REGION.search(_uncommented(text)) is not None


def regions(text: str, path: Path) -> list[Declared]:
    """Execution regions by kind of content: with +RW or +ZI it is RAM, else flash. Raises FileError with the line.

    A load region's name is not used; regions at the address of an earlier one are parts of it and are left out.
    """
    text = _uncommented(text)
    found: list[Declared] = []
    for match in _REGION.finditer(text):
        inside = text[match.end() : _closing(text, match.end(), path)]
        if _REGION.search(inside):
            continue  # a load region
        writable = re.search(r"\+\s*(RW|ZI)\b|UNINIT", inside + match["words"]) is not None
        address, size = (evaluate(match[key], _no_symbols) for key in ("base", "size"))
        line = text.count("\n", 0, match.start()) + 1
        if address >= MAX_BYTES or not 0 < size <= MAX_BYTES:
            raise FileError(
                Problem(path, "", f"{match['name']}: {size} bytes at {address:#x} are not in 32 bits", line)
            )
        if all(each.address != address for each in found):
            found.append(Declared(match["name"], "rwx" if writable else "rx", address, size, line))
    if not found:
        raise FileError(Problem(path, "", "has no execution region with a fixed address and size"))
    return found


def _closing(text: str, position: int, path: Path) -> int:
    depth = 1
    for match in re.finditer(r"[{}]", text[position:]):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return position + match.start()
    raise FileError(Problem(path, "", "a { is never closed with }", text.count("\n", 0, position) + 1))


def _uncommented(text: str) -> str:
    return re.sub(r";[^\n]*|//[^\n]*|^[ \t]*#[^\n]*", lambda match: " " * len(match[0]), text, flags=re.MULTILINE)


def _no_symbols(name: str, argument: str | None) -> int:
    raise ValueError(f"no value for {name!r}")
