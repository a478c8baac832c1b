"""Markdown tables with the machine and the date on top, as benchmarks write them."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A titled Markdown table; integers get thousands separators, floats three significant digits."""
    lines = [f"## {title}", "", "|" + "|".join(head) + "|", "|" + "|".join("-" for _ in head) + "|"]
    lines += ["|" + "|".join(_cell(value) for value in row) + "|" for row in rows]
    return "\n".join(lines) + "\n"


def write(name: str, title: str, parts: Sequence[str]) -> Path:
    """Writes `results/<name>.md`; returns its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.md"
    path.write_text("\n".join([f"# {title}", "", machine(), "", *parts]), encoding="utf-8")
    return path


def machine() -> str:
    """One line: date, processor, cores, Python."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    today = datetime.now(timezone.utc).date().isoformat()
    return f"{today}, {model}, {os.cpu_count()} cores, Python {platform.python_version()}."


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return "" if value != value else f"{value:.3g}"  # NaN: not measured
    return str(value)
