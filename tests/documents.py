"""Hand-made report documents for the tests of budgets, report and cli. The figures are made up, but add up."""

from __future__ import annotations

import msgspec

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


def detailed(result: Result) -> Result:
    """`result` as `analyze` would give it: with strategies and plan."""
    memory = msgspec.structs.replace(result.memory, strategies=STRATEGIES, plan=PLAN)
    return msgspec.structs.replace(result, memory=memory)


def report(*results: Result) -> Report:
    """A document of these results."""
    return Report(tool=TOOL, results=results)
