"""Budgets: limits, findings and their codes, the verdict."""

from mcuprof.budgets.codes import CODES, Explanation
from mcuprof.budgets.judge import AD_HOC_REGION, Limits, judge

__all__ = ["AD_HOC_REGION", "CODES", "Explanation", "Limits", "judge"]
