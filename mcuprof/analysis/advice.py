"""What a better memory plan would save, as findings M10x: each step from the least invasive plan to the smallest."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mcuprof.document import Finding, Memory, Strategy
from mcuprof.units import format_bytes


def advice(memory: Memory, runtime: str) -> Iterator[Finding]:
    """Notes on plans that `runtime` can run and that need a smaller head than it has now; nothing without a table.

    Bytes saved are counted from the head as it is, not from the step before.
    """
    if memory.tail_bytes > memory.head_bytes:
        text = f"the tail of {format_bytes(memory.tail_bytes)} is larger than the head: no plan shrinks it"
        yield Finding("M102", "note", text, "merge or remove operators")
    rows = () if isinstance(memory.strategies, msgspec.UnsetType) else memory.strategies
    able = [row for row in rows if runtime in row.runs_on]
    steps = (
        ("M103", "a better plan of the same order", [r for r in able if (r.order, r.in_place) == ("as-is", "none")]),
        ("M104", "another operator order", [r for r in able if r.in_place == "none"]),
        ("M107", "sharing bytes in place", able),
    )
    reached = memory.head_bytes
    for code, what, plans in steps:
        # The least invasive of the smallest, as rows go from less to more.
        least = min(plans, key=lambda row: row.head_bytes, default=None)
        if least is not None and least.head_bytes < reached:
            reached = least.head_bytes
            yield _finding(code, what, memory.head_bytes, least)


def _finding(code: str, what: str, head: int, row: Strategy) -> Finding:
    text = f"{what} needs {row.head_bytes:,} B where the head takes {head:,} B ({row.certificate})"
    fix = f"mcuprof plan --order {row.order} --in-place {row.in_place}: {format_bytes(head - row.head_bytes)} less"
    return Finding(code, "note", text, fix, head - row.head_bytes)
