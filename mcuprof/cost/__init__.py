"""Floor 3: what an inference costs: instructions, cycles and milliseconds, the flash bill, the stack."""

from mcuprof.cost.estimate import Work, latency, work
from mcuprof.cost.flash import NOT_COUNTED, FlashBill, flash_bill
from mcuprof.cost.laws import NoData, instructions
from mcuprof.cost.stack import stack_bytes

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
