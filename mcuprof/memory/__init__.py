"""Floor 2: memory plans. Knows nothing of files, devices and runtimes."""

from mcuprof.memory.check import Violation, check
from mcuprof.memory.effort import Limit, limit_of
from mcuprof.memory.engine import Schedule, plan, strategies
from mcuprof.memory.place import Placement, place
from mcuprof.memory.plan import MemoryPlan
from mcuprof.memory.problem import Io, Problem, Sharing, build_problem
from mcuprof.memory.regions import RegionPlan, RegionUse, spread
from mcuprof.memory.views import View

__all__ = [
    "Io",
    "Limit",
    "MemoryPlan",
    "Placement",
    "Problem",
    "RegionPlan",
    "RegionUse",
    "Schedule",
    "Sharing",
    "View",
    "Violation",
    "build_problem",
    "check",
    "limit_of",
    "place",
    "plan",
    "spread",
    "strategies",
]
