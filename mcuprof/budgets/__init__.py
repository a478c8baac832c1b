"""Budgets: limits, findings and their codes, the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcuprof.budgets.codes import CODES, Explanation
from mcuprof.budgets.fit import fit
from mcuprof.budgets.judge import AD_HOC_REGION, Limits, judge

if TYPE_CHECKING:
    from mcuprof.analysis import Options
    from mcuprof.document import Result
    from mcuprof.graph import Graph
    from mcuprof.hardware import Device


def check(
    graph: Graph, device: Device | None = None, options: Options | None = None, limits: Limits | None = None
) -> Result:
    """`analyze`, judged against the device's memory and `limits`. Raises UsageError and ModelError as it does."""
    from mcuprof.analysis import analyze  # numpy, which judging a stored result does not need

    return judge(analyze(graph, device, options), limits or Limits())


__all__ = ["AD_HOC_REGION", "CODES", "Explanation", "Limits", "check", "fit", "judge"]
