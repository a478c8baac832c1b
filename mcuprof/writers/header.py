"""A plan for C programs that do not use TFLM: a header with tables by operator and by tensor, and its reader.

The reader takes exactly what the writer writes, so that a header touched by hand is not mistaken for a plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from mcuprof.errors import UsageError
from mcuprof.graph import Graph
from mcuprof.memory import MemoryPlan

BEGINNING = b"// Memory plan of "
_ANY = "any kernels"
_OUTSIDE = -1
_PER_LINE = 12
_FIELDS = re.compile(
    r"// Memory plan of (?P<name>.*) \(SHA-256 (?P<sha256>\w+)\), written by mcuprof\.\n"
    r"// Valid for (?P<kernels>.+)\. Order: (?P<schedule>\S+); sharing: (?P<strategy>\S+)\.\n"
)
_NUMBER = re.compile(r"#define \w+_ARENA_(BYTES|ALIGNMENT) (\d{1,10})$", re.MULTILINE | re.ASCII)
_TABLE = re.compile(
    r"^static const int32_t (\w+)_(order|offsets|scratch)\[[\d\]\[]+\] = \{\n([-0-9 ,\n{}]*?)\};$",
    re.MULTILINE | re.ASCII,
)
_INTEGER = re.compile(r"-?\d{1,10}(?!\d)")


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says. `offsets` by tensor index, None outside the arena; `scratch`: (operator, offset, bytes)."""

    name: str
    sha256: str
    kernels: str
    schedule: str
    strategy: str
    prefix: str
    arena_bytes: int
    alignment: int
    order: tuple[int, ...]
    offsets: tuple[int | None, ...]
    scratch: tuple[tuple[int, int, int], ...]

    def text(self) -> str:
        """The file."""
        upper = self.prefix.upper()
        guard = f"{upper}_PLAN_H_"
        offsets = [_OUTSIDE if at is None else at for at in self.offsets]
        lines = [
            f"// Memory plan of {self.name} (SHA-256 {self.sha256}), written by mcuprof.",
            f"// Valid for {self.kernels or _ANY}. Order: {self.schedule}; sharing: {self.strategy}.",
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            "#include <stdint.h>",
            "",
            f"#define {upper}_ARENA_BYTES {self.arena_bytes}",
            f"#define {upper}_ARENA_ALIGNMENT {self.alignment}",
            "",
            "// Index of the operator that runs k-th.",
            *_table(f"{self.prefix}_order[{max(1, len(self.order))}]", _lines(self.order)),
            "",
            "// First byte of each tensor in the arena, by tensor index (-1: not in the arena).",
            *_table(f"{self.prefix}_offsets[{max(1, len(offsets))}]", _lines(offsets)),
            "",
        ]
        if self.scratch:
            lines += [
                "// Scratch that kernels need while they run: operator, first byte, bytes.",
                *_table(
                    f"{self.prefix}_scratch[{len(self.scratch)}][3]", [f"{{{_listed(row)}}}" for row in self.scratch]
                ),
                "",
            ]
        return "\n".join([*lines, f"#endif  // {guard}", ""])


def c_header(graph: Graph, plan: MemoryPlan, name: str, kernels: str) -> str:
    """`<name>_plan.h`: the arena's size, the order of operators, where each tensor lies, and the scratch of kernels."""
    prefix = re.sub(r"\W", "_", name.rsplit(".", 1)[0], flags=re.ASCII) or "model"
    return Header(
        name=_comment(name),
        sha256=graph.origin.sha256 or "unknown",
        kernels=_comment(kernels),
        schedule=plan.schedule,
        strategy=plan.strategy,
        prefix=f"m{prefix}" if prefix[0].isdigit() else prefix,
        arena_bytes=plan.arena_bytes,
        alignment=plan.alignment,
        order=tuple(plan.order),
        offsets=tuple(plan.offsets),
        scratch=tuple((number, *block) for number, blocks in enumerate(plan.scratch) for block in blocks),
    ).text()


def read_c_header(data: bytes) -> Header:
    """The plan in a header that `c_header` has written. Raises UsageError for any other, naming the first strange line.

    Line ends may be those of Windows, where a version control system makes them so.
    """
    try:
        text = data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise UsageError("is not a header that mcuprof wrote: it is no text") from None
    head = _FIELDS.match(text)
    numbers = dict(_NUMBER.findall(text))
    tables = {kind: tuple(map(int, _INTEGER.findall(body))) for _, kind, body in _TABLE.findall(text)}
    prefixes = [prefix for prefix, *_ in _TABLE.findall(text)]
    if head is None:
        raise UsageError("is not a header that mcuprof wrote: its first lines name no model and kernels")
    absent = {"BYTES", "ALIGNMENT"} - set(numbers) or {"order", "offsets"} - set(tables)
    if absent:
        raise UsageError(f"is not a header that mcuprof wrote: it lacks {', '.join(sorted(absent)).lower()}")
    flat = tables.get("scratch", ())
    kernels = head["kernels"]
    header = Header(
        name=head["name"],
        sha256=head["sha256"],
        kernels="" if kernels == _ANY else kernels,
        schedule=head["schedule"],
        strategy=head["strategy"],
        prefix=prefixes[0],
        arena_bytes=int(numbers["BYTES"]),
        alignment=int(numbers["ALIGNMENT"]),
        order=tables["order"],
        offsets=tuple(None if at == _OUTSIDE else at for at in tables["offsets"]),
        scratch=tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=False)),
    )
    ours = header.text()
    if text != ours:
        pairs = enumerate(zip_longest(text.split("\n"), ours.split("\n")), 1)
        line = next(number for number, (theirs, own) in pairs if theirs != own)
        raise UsageError(f"is not a header as mcuprof wrote it: line {line} has been changed")
    return header


def _table(name: str, rows: Iterable[str]) -> list[str]:
    return [f"static const int32_t {name} = {{", *(f"    {row}," for row in rows), "};"]


def _lines(values: Sequence[int]) -> list[str]:
    """C has no empty arrays."""
    return [_listed(values[start : start + _PER_LINE]) for start in range(0, len(values), _PER_LINE)] or ["0"]


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _comment(text: str) -> str:
    """Text that cannot leave a line comment."""
    return re.sub(r"[^\w .,:()+-]", "_", text, flags=re.ASCII)
