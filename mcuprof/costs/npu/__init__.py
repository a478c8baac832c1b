"""What a network takes on an NPU: Ethos-U block by block, arrays that multiply in memory tile by tile."""

from mcuprof.costs.npu.estimate import NpuEstimate, estimate
from mcuprof.costs.npu.in_memory import ArrayEstimate, on_arrays
from mcuprof.costs.npu.machine import Machine, machine
from mcuprof.costs.npu.published import Published, published

__all__ = [
    "ArrayEstimate",
    "Machine",
    "NpuEstimate",
    "Published",
    "estimate",
    "machine",
    "on_arrays",
    "published",
]
