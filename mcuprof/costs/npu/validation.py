"""How far the Ethos-U estimate is from Arm's compiler: `device_db/npu/validation.toml`, made by `benchmarks.npu`."""

from __future__ import annotations

from mcuprof.costs.data import toml


def claim(accelerator: str) -> str:
    """What reports print: the shares of rows within the bounds, and what is known against them for this accelerator."""
    data = toml("npu/validation.toml") or {}
    rows, near, small = data["rows"], data["cycles_within_15_percent"], data["sram_within_10_percent"]
    text = f"cycles within 15 % of {data['compiler']} on {near} of {rows} rows, SRAM within 10 % on {small}"
    doubt = data.get("doubts", {}).get(accelerator)
    return text if doubt is None else f"{text}; but {doubt}"
