"""How far the Ethos-U estimate is from Arm's compiler: `device_db/npu/validation.toml`, made by `benchmarks.npu`."""

from __future__ import annotations

from mcuprof.cost.data import toml


def claim() -> str:
    """One clause with the shares of rows within the bounds, as reports print it."""
    data = toml("npu/validation.toml") or {}
    rows, near, small = data["rows"], data["cycles_within_15_percent"], data["sram_within_10_percent"]
    return f"cycles within 15 % of {data['compiler']} on {near} of {rows} rows, SRAM within 10 % on {small}"
