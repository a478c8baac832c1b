"""What a network takes on an NPU: Ethos-U block by block, arrays that multiply in memory tile by tile."""

from mcuprof.cost.npu.estimate import NpuEstimate, estimate
from mcuprof.cost.npu.machine import Machine, machine

__all__ = ["Machine", "NpuEstimate", "estimate", "machine"]
