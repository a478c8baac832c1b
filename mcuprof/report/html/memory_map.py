"""The memory map: what lies where (offset, upwards) during which operator (to the right).

Positions are percentages, so that one drawing fills a phone, a desk and a standalone file with its text undistorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from mcuprof.document import Memory, Placement, Result
from mcuprof.report.html.markup import Markup, join, percentage, tag
from mcuprof.report.timeline import MAX_OPERATORS, live_bytes
from mcuprof.units import format_bytes, format_size

# What a browser draws without effort; a stored report may claim any number. The largest buffers are kept.
MAX_BUFFERS = 3000
_TICKS = 4


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """A plan that can be drawn: `height` bytes by `operators` steps, the highest live bytes at operator `peak`."""

    memory: Memory
    buffers: tuple[Placement, ...]
    hidden: int
    operators: int
    height: int
    peak: int


def memory_map(result: Result) -> MemoryMap | None:
    """The map of a result, or None where there is no plan or nothing in it."""
    plan, operators = result.memory.plan, result.model.operators
    if isinstance(plan, msgspec.UnsetType) or not 0 < operators <= MAX_OPERATORS:
        return None
    drawable = [p for p in plan if p.bytes > 0 and p.offset >= 0 and 0 <= p.first <= p.last < operators]
    if not drawable:
        return None
    largest = sorted(drawable, key=lambda p: -p.bytes)[:MAX_BUFFERS]
    kept = tuple(sorted(largest, key=lambda p: (p.first, p.offset, p.tensor)))
    live = live_bytes(drawable, operators)
    height = max(result.memory.head_bytes, *(p.offset + p.bytes for p in drawable))
    return MemoryMap(result.memory, kept, len(plan) - len(kept), operators, height, live.index(max(live)))


def plot(drawn: MemoryMap) -> Markup:
    """The contents of the plot's `svg` element: the peak's column, one rectangle a buffer, the lines across."""
    column = tag(
        "rect",
        class_="peak-column",
        x=percentage(drawn.peak, drawn.operators),
        y="0",
        width=percentage(1, drawn.operators),
        height="100%",
    )
    bound = drawn.memory.lower_bound_bytes
    lines = _line(drawn, "bound", bound) if 0 < bound < drawn.height else Markup()
    return join(column, *(_rectangle(drawn, buffer) for buffer in drawn.buffers), lines)


def gutter(drawn: MemoryMap) -> Markup:
    """Labels of the offsets, right-aligned at the right edge of their `svg` element."""
    return join(
        *(
            tag("text", format_size(value), x="100%", y=_height(drawn, value), dx="-8", dy=dy, text_anchor="end")
            for value, dy in _ticks(drawn.height)
        )
    )


def operator_ticks(drawn: MemoryMap) -> Markup:
    """Labels of the operators: a few round numbers, and the peak wherever it is."""
    step = _round_step(drawn.operators)
    clearance = drawn.operators / 7
    shown = [index for index in range(0, drawn.operators, step) if abs(index - drawn.peak) > clearance]
    peak = _operator_label(drawn, drawn.peak, f"peak: {drawn.peak}", "peak-label")
    return join(*(_operator_label(drawn, index, str(index), None) for index in shown), peak)


def words(buffer: Placement) -> str:
    """What a reader wants to know of a buffer, one fact a line, the name first."""
    when = f"operator {buffer.first}" if buffer.first == buffer.last else f"operators {buffer.first} to {buffer.last}"
    place = f"offset {buffer.offset:,} to {buffer.offset + buffer.bytes:,}"
    return f"{format_bytes(buffer.bytes)}, {place}, live during {when}"


def _rectangle(drawn: MemoryMap, buffer: Placement) -> Markup:
    kind = "buffer"
    if buffer.first <= drawn.peak <= buffer.last:
        kind += " at-peak"
    if buffer.tensor.startswith("scratch of operator "):
        kind += " scratch"
    return tag(
        "rect",
        tag("title", f"{buffer.tensor}: {words(buffer)}"),
        class_=kind,
        x=percentage(buffer.first, drawn.operators),
        y=_height(drawn, buffer.offset + buffer.bytes),
        width=percentage(buffer.last - buffer.first + 1, drawn.operators),
        height=percentage(buffer.bytes, drawn.height),
    )


def _line(drawn: MemoryMap, name: str, value: int) -> Markup:
    y = _height(drawn, value)
    return tag("line", class_=name, x1="0", x2="100%", y1=y, y2=y)


def _height(drawn: MemoryMap, value: int) -> str:
    return percentage(drawn.height - value, drawn.height)


def _operator_label(drawn: MemoryMap, index: int, label: str, class_: str | None) -> Markup:
    """Centred below its column, but never beyond the plot's edges."""
    middle = (index + 0.5) / drawn.operators
    anchor = "start" if middle < 0.06 else "end" if middle > 0.94 else "middle"
    at = {"start": index / drawn.operators, "middle": middle, "end": (index + 1) / drawn.operators}[anchor]
    return tag("text", label, class_=class_, x=percentage(at, 1), y="14", text_anchor=anchor)


def _ticks(height: int) -> Sequence[tuple[int, str]]:
    """Values with the shift that keeps the outermost labels inside: the ends, and quarters between."""
    middle = [(height * index // _TICKS, ".35em") for index in range(1, _TICKS)]
    return [(0, "0"), *middle, (height, ".8em")]


def _round_step(operators: int) -> int:
    """1, 2, 5, 10, 20 …: the least that gives at most eight labels."""
    step, factors = 1, (2, 2.5, 2)
    index = 0
    while operators > step * 8:
        step = int(step * factors[index % 3])
        index += 1
    return step
