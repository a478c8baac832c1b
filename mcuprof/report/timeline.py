"""Live bytes over the operators, as a small plot for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from mcuprof.document import Placement
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import INDENT
from mcuprof.units import format_size

HEIGHT = 6
_EIGHTHS = " ▁▂▃▄▅▆▇█"
# A stored report may claim any number of operators.
MAX_OPERATORS = 100_000


def live_bytes(plan: Sequence[Placement], operators: int) -> list[int]:
    """Bytes live during each operator: the sum over buffers whose lifetime (inclusive) covers it."""
    change = [0] * (operators + 1)
    for placement in plan:
        first, last = max(placement.first, 0), min(placement.last, operators - 1)
        if first <= last:
            change[first] += placement.bytes
            change[last + 1] -= placement.bytes
    return list(accumulate(change[:-1]))


def timeline(page: Page, plan: Sequence[Placement], operators: int) -> list[Line]:
    """The plot: one or more columns per operator, or the highest of several per column; nothing where there is nothing.

    The scale is on the left, the operator numbers are below, and an arrow marks the first operator at the peak.
    """
    if not 0 < operators <= MAX_OPERATORS:
        return []
    live = live_bytes(plan, operators)
    peak = max(live)
    if peak <= 0:
        return []
    labels = [format_size(peak), format_size(peak // 2)]
    margin = max(map(len, labels))
    room = page.width - len(INDENT) - margin - 2
    repeat = min(max(room // operators, 1), 4)
    per_column = -(-operators // room)
    heights = [max(live[start : start + per_column]) for start in range(0, operators, per_column)]
    lines = []
    for row in range(HEIGHT):
        label = labels[0] if row == 0 else labels[1] if row == HEIGHT // 2 else ""
        cells = "".join(_cell(height, peak, HEIGHT - 1 - row) * repeat for height in heights)
        lines.append(line(INDENT, Piece(f"{label:>{margin}}  ", "dim"), cells))
    at = live.index(peak)
    arrow = at // per_column * repeat
    left = " " * (len(INDENT) + margin + 2)
    axis = "".join("▲" if index == arrow else "─" for index in range(len(heights) * repeat))
    lines.append(line(left, Piece(axis, "dim")))
    words = f"operators 0 to {operators - 1}, peak at {at}"
    words = page.fit(words if len(words) <= room else f"peak at {at}", room)
    words = " " * min(arrow, room - len(words)) + words
    lines.append(line(left, Piece(words, "dim")))
    return lines


def _cell(height: int, peak: int, level: int) -> str:
    """The character of one column at one level (0 at the bottom): a full, partial or empty block."""
    eighths = -(-max(height, 0) * HEIGHT * 8 // peak) - level * 8
    return _EIGHTHS[min(max(eighths, 0), 8)]
