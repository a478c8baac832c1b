"""Floor 3: what an inference costs: instructions, cycles and milliseconds, the flash bill, the stack."""

from mcuprof.costs.estimate import Work, latency, work
from mcuprof.costs.flash import NOT_COUNTED, FlashBill, flash_bill
from mcuprof.costs.laws import NoData, instructions
from mcuprof.costs.stack import stack_bytes

__all__ = [
    "NOT_COUNTED",
    "FlashBill",
    "NoData",
    "Work",
    "flash_bill",
    "instructions",
    "latency",
    "stack_bytes",
    "work",
]
