"""Results in a notebook: the HTML page in a frame of its own, and the operators as a table to compute with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import msgspec

from mcuprof.document import Report, Result, Tool
from mcuprof.report import render
from mcuprof.report.timeline import MAX_OPERATORS, live_bytes

_HEIGHT = 720


def framed(results: Sequence[Result], tool: Tool | None = None) -> str:
    """The page of these results as an `iframe`: its style and script stay inside, and it reaches nothing outside."""
    page = render(Report(tool or _this_tool(), tuple(results)), "html")
    # Not `markup.tag`: the page is no name from a stranger but markup already, and its hashes allow no change in it.
    options = f'sandbox="allow-scripts" width="100%" height="{_HEIGHT}" frameborder="0"'
    return f'<iframe srcdoc="{escape(page)}" {options}></iframe>'


def layers(results: Sequence[Result]) -> Any:
    """One row an operator: model, device, index, operator, kernel, macs, instructions, cycles, live_bytes, basis.

    `live_bytes` is what the plan keeps live during the operator, None without a plan; costs are None where there is
    no data. A `pandas.DataFrame` where pandas is installed, else a list of dicts.
    """
    rows = [row for result in results for row in _rows(result)]
    try:
        import pandas
    except ImportError:
        return rows
    return pandas.DataFrame(rows, columns=_COLUMNS)


def _this_tool() -> Tool:
    from mcuprof import __version__
    from mcuprof.hardware import device_db_version

    return Tool("mcuprof", __version__, device_db_version())


_COLUMNS = ["model", "device", "index", "operator", "kernel", "macs", "instructions", "cycles", "live_bytes", "basis"]


def _rows(result: Result) -> Iterator[dict[str, Any]]:
    """Operators are known where their cost is; a plan alone still says how many there are and what they keep live."""
    plan, count = result.memory.plan, result.model.operators
    planned = not isinstance(plan, msgspec.UnsetType) and 0 < count <= MAX_OPERATORS
    live = live_bytes(plan, count) if planned and not isinstance(plan, msgspec.UnsetType) else []
    costs = {cost.index: cost for cost in result.latency.operators} if result.latency else {}
    for index in sorted({*costs, *range(len(live))}):
        cost = costs.get(index)
        yield {
            "model": result.model.path,
            "device": result.target.device,
            "index": index,
            "operator": cost.operator if cost else None,
            "kernel": cost.kernel if cost else None,
            "macs": cost.macs if cost else None,
            "instructions": cost.instructions if cost else None,
            "cycles": cost.cycles if cost else None,
            "live_bytes": live[index] if 0 <= index < len(live) else None,
            "basis": cost.basis if cost else None,
        }
