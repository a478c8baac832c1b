"""Floor 3: what an inference costs: instructions, cycles and milliseconds, the flash bill, the stack."""

from mcuprof.cost.instructions import NoData, instructions
from mcuprof.cost.latency import latency

__all__ = ["NoData", "instructions", "latency"]
