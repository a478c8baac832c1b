"""Hand-made report documents for the tests of budgets, report and cli. The figures are made up, but add up."""

from __future__ import annotations

import msgspec

from mcuprof.cost_document import Arithmetic, Ceiling, OperatorWork, Precision
from mcuprof.document import (
    Flash,
    FlashItem,
    Latency,
    Memory,
    ModelFacts,
    OperatorCost,
    Peak,
    PeakTensor,
    Placement,
    RegionUse,
    Report,
    Result,
    Strategy,
    Target,
    Tool,
    Verdict,
)

TOOL = Tool(name="mcuprof", version="0.1.0", device_db="test")

MODEL = ModelFacts(
    path="models/vww.tflite",
    sha256="597a384c" + "0" * 56,
    format="tflite",
    quantization="int8",
    bytes=333_288,
    operators=4,
    macs=7_490_178,
    parameters=221_794,
)

TARGET = Target(
    device="microbit-v2",
    core="cortex-m4f",
    clock_hz=64_000_000,
    runtime="tflm",
    kernels="cmsis-nn",
    accelerator=None,
)

# Live bytes per operator: 27,648 + 18,432 | 18,432 + 36,864 | 36,864 + 9,216 | 9,216 + 2
PLAN = (
    Placement("input", 27_648, 0, 0, 0),
    Placement("conv1", 18_432, 27_648, 0, 1),
    Placement("conv2", 36_864, 36_864, 1, 2),
    Placement("pool", 9_216, 0, 2, 3),
    Placement("output", 2, 9_216, 3, 3),
)

STRATEGIES = (
    Strategy("as-is", "none", 55_296, 55_296, "optimal: bound", ("tflm",)),
    Strategy("as-is", "overlap", 36_896, 36_864, "gap 0.1 %", ("tflm-reference",)),
)

MEMORY = Memory(
    order="as-is",
    in_place="none",
    arena_bytes=103_680,
    head_bytes=73_728,
    tail_bytes=29_952,
    min_arena_bytes=103_696,
    stack_bytes=1_520,
    lower_bound_bytes=55_296,
    certificate="gap 33 %",
    peak=Peak(1, "CONV_2D", 55_296, (PeakTensor("conv2", 36_864), PeakTensor("conv1", 18_432))),
    regions=(RegionUse("SRAM", 105_216, 0, 131_072),),
)

FLASH = Flash(
    total_bytes=447_867,
    capacity_bytes=524_288,
    items=(
        FlashItem("model", 333_288, "exact"),
        FlashItem("runtime", 61_440, "measured: linked firmware"),
        FlashItem("kernels", 53_139, "measured: linked firmware"),
    ),
)

LATENCY = Latency(
    instructions=14_000_000,
    cycles=20_000_000,
    ms=312.5,
    low_ms=281.2,
    high_ms=359.4,
    basis="modelled: 15 % cross-validated",
    operators=(
        OperatorCost(0, "CONV_2D", "convolve_s8", 1_000_000, 2_000_000, 2_500_000, "modelled"),
        OperatorCost(1, "CONV_2D", "convolve_1x1_s8", 6_000_000, 11_000_000, 16_000_000, "modelled"),
        OperatorCost(2, "AVERAGE_POOL_2D", "avgpool_s8", 36_864, 600_000, 1_000_000, "modelled"),
        OperatorCost(3, "FULLY_CONNECTED", "fully_connected_s8", 453_314, 400_000, 500_000, "modelled"),
    ),
)

RESULT = Result(
    model=MODEL, target=TARGET, memory=MEMORY, flash=FLASH, latency=LATENCY, verdict=Verdict(fits=True, findings=())
)

NO_DEVICE = msgspec.structs.replace(
    RESULT,
    target=msgspec.structs.replace(TARGET, device=None, core=None, clock_hz=None, kernels="reference"),
    memory=msgspec.structs.replace(MEMORY, regions=()),
    flash=msgspec.structs.replace(FLASH, capacity_bytes=None),
    latency=None,
    latency_reason="no device was named",
)


# On 2 MACs a cycle: 1 M MACs in 2.5 M cycles are 0.4, 6 M in 16 M 0.375, 453,314 in 500,000 0.907
ARITHMETIC = Arithmetic(
    bops=462_506_048,
    bytes_moved=431_955,
    precisions=(
        Precision("int8", "int8", 7_000_000, 448_000_000),
        Precision("int8", "int4", 453_314, 14_506_048),
    ),
    ceilings=(Ceiling("Arm Cortex-M4", "int8", "int8", 2.0, "derived: two MACs an instruction"),),
    bytes_per_cycle=None,
    bandwidth_basis="no bandwidth data: no source",
    basis="exact",
    operators=(
        OperatorWork(0, "CONV_2D", 1_000_000, 64_000_000, 8, 8, 50_000, 20.0, 0.4, 0.2, None),
        OperatorWork(1, "CONV_2D", 6_000_000, 384_000_000, 8, 8, 100_000, 60.0, 0.375, 0.1875, None),
        OperatorWork(2, "AVERAGE_POOL_2D", 0, 0, None, None, 46_080, None, None, None, None),
        OperatorWork(3, "FULLY_CONNECTED", 453_314, 14_506_048, 8, 4, 235_875, 1.92, 0.907, None, None),
    ),
)


def detailed(result: Result) -> Result:
    """`result` as `analyze` would give it: with strategies, plan and arithmetic."""
    memory = msgspec.structs.replace(result.memory, strategies=STRATEGIES, plan=PLAN)
    return msgspec.structs.replace(result, memory=memory, arithmetic=ARITHMETIC)


def report(*results: Result) -> Report:
    """A document of these results."""
    return Report(tool=TOOL, results=results)
