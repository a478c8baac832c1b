"""Measured runs as users have them: a CSV table, or what TFLM's MicroProfiler prints.

CSV, with a header: `model` (a path, from the table's folder; may be left out when one model is named for all), one of
`ms`, `us`, `cycles`, and `operator` (its index in the model) where a row is one operator. Other columns are ignored.

MicroProfiler (tflite-micro, micro_profiler.cc): `Log` prints `CONV_2D took 1234 ticks (1 ms).`, `LogCsv` prints
`"Event","Tag","Ticks"` and then `0,CONV_2D,1234`. Whatever a terminal or logger puts before is skipped.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcuprof.errors import UsageError

Unit = Literal["ms", "us", "cycles", "ticks"]
_UNITS: tuple[Unit, ...] = ("ms", "us", "cycles")
_TOOK = re.compile(r"(?P<tag>[\w:.]+)\"? took (?P<ticks>-?\S+) ticks(?: \((?P<ms>\d+) ms\))?")
_EVENTS = re.compile(r"\"?Event\"?\s*,\s*\"?Tag\"?\s*,\s*\"?Ticks\"?")
_EVENT = re.compile(r"(?:^|[\s>:])(?P<event>\d+)\s*,\s*\"?(?P<tag>[\w:.]+)\"?\s*,\s*(?P<ticks>-?[^\s,]+)\s*$")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan|[+-]?inf", re.ASCII)
_LONGEST = 1e15  # in any unit
_PER_TAG = re.compile(r"\"?Unique Tag\"?\s*,")


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement: a whole model, or one operator by index or, in a profile, by its tag in order of execution.

    `value` is finite and positive, in `unit`; `ms` is what a profile prints beside its ticks, rounded down.
    """

    path: Path
    line: int
    value: float
    unit: Unit
    model: str | None = None
    operator: int | None = None
    tag: str | None = None
    ms: int | None = None

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.path}:{self.line}"


def read_runs(path: Path) -> tuple[Measured, ...]:
    """All measurements of a file. Raises UsageError with file, line and reason; then nothing of it is used."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UsageError(f"{path}: cannot be read: {reason}") from None
    lines = text.splitlines()
    if any(_PER_TAG.search(line) for line in lines) and not any(_EVENTS.search(line) for line in lines):
        raise UsageError(f"{path}: totals per tag do not tell the operators apart: print with Log() or LogCsv()")
    if any(" took " in line and " ticks" in line for line in lines):
        found = tuple(_logged(path, lines, _TOOK))
    elif any(_EVENTS.search(line) for line in lines):
        found = tuple(_logged(path, lines, _EVENT))
    else:
        found = tuple(_table(path, lines))
    if not found:
        raise UsageError(f"{path}: no measurement in it")
    return found


def _logged(path: Path, lines: list[str], pattern: re.Pattern[str]) -> Iterator[Measured]:
    for number, line in enumerate(lines, 1):
        match = pattern.search(line)
        if match is None:
            continue
        # A tick counter that is too coarse shows 0: the operator took less than one tick.
        value = _number(path, number, "ticks", match["ticks"], least=0.0)
        ms = match.groupdict().get("ms")
        yield Measured(path, number, value, "ticks", tag=match["tag"], ms=None if ms is None else int(ms))


def _table(path: Path, lines: list[str]) -> Iterator[Measured]:
    reader = csv.reader(lines)
    try:
        head = [name.strip().lower() for name in next(reader, [])]
        units = [unit for unit in _UNITS if unit in head]
        if len(units) != 1:
            found = f"it has {' and '.join(units)}" if units else f"it has {', '.join(head)[:80] or 'nothing'}"
            raise UsageError(f"{path}:1: the header needs one of the columns ms, us, cycles; {found}")
        if len(set(head)) < len(head):
            raise UsageError(f"{path}:1: two columns have the same name")
        for cells in reader:
            if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
                continue
            line = reader.line_num
            if len(cells) != len(head):
                raise UsageError(f"{path}:{line}: {len(cells)} cells, the header has {len(head)}")
            row = dict(zip(head, (cell.strip() for cell in cells), strict=True))
            value = _number(path, line, units[0], row[units[0]])
            index = row.get("operator") or None
            if index is not None and not (index.isascii() and index.isdigit() and len(index) < 7):
                raise UsageError(f"{path}:{line}: operator: not an index: {index[:40]!r}")
            operator = None if index is None else int(index)
            yield Measured(path, line, value, units[0], row.get("model") or None, operator)
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: {error}") from None


def _number(path: Path, line: int, column: str, text: str, least: float | None = None) -> float:
    if not _NUMBER.fullmatch(text):  # float() also reads 1_000, digits of other scripts and spaces
        raise UsageError(f"{path}:{line}: {column}: not a number: {text[:40]!r}")
    value = float(text)
    if not value <= _LONGEST or (value <= 0 if least is None else value < least):
        raise UsageError(f"{path}:{line}: {column}: {text[:40]} is not a time")
    return value
