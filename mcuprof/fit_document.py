"""The document of `mcuprof fit`, schema version 1: one `ModelFit` per model, one `DeviceFit` per device in it.

Bytes are integers. A number without a basis is null and its reason is said beside it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mcuprof.document import Finding, ModelFacts, Tool

FIT_SCHEMA_VERSION = 1


class DeviceFit(msgspec.Struct, frozen=True):
    """One device's verdict in short. `status`: "unproven" fails only because a number is missing.

    `ram_bytes` and `flash_bytes` are what the device has on its chip. `free_*` is what stays free: of RAM in `region`,
    the block that holds the arena. `lacks_*` is how much more would be needed, 0 where there is enough.
    `findings` are the errors; the band goes from `low_ms` to `high_ms`, of which `over_ms` are beyond the budget.
    """

    device: str
    name: str
    vendor: str
    core: str
    kernels: str
    clock_hz: int | None
    ram_bytes: int | None
    flash_bytes: int | None
    status: Literal["fits", "over", "unproven"]
    region: str | None
    free_ram_bytes: int | None
    free_flash_bytes: int | None
    lacks_ram_bytes: int
    lacks_flash_bytes: int
    ms: float | None
    low_ms: float | None
    high_ms: float | None
    latency_basis: str
    findings: tuple[Finding, ...]
    over_ms: float = 0.0

    @property
    def excess(self) -> float:
        """By what share the worst of RAM, flash and time is over: 0.1 is 10 % too much, 0 where nothing is."""
        memories = ((self.lacks_ram_bytes, self.ram_bytes), (self.lacks_flash_bytes, self.flash_bytes))
        shares = [lack / size if size else float("inf") for lack, size in memories if lack]
        if self.over_ms and self.high_ms is not None:
            budget = self.high_ms - self.over_ms
            shares.append(self.over_ms / budget if budget > 0 else float("inf"))
        return max(shares, default=0.0)

    @property
    def size(self) -> tuple[float, float, str]:
        """What devices are sorted by: RAM, flash, name; what is not known counts as most."""
        ram, flash = self.ram_bytes, self.flash_bytes
        return (float("inf") if ram is None else ram, float("inf") if flash is None else flash, self.device)


class ModelFit(msgspec.Struct, frozen=True):
    """All devices for one model, smallest first."""

    model: ModelFacts
    devices: tuple[DeviceFit, ...]


class FitReport(msgspec.Struct, frozen=True):
    """The whole document."""

    tool: Tool
    models: tuple[ModelFit, ...]
    fit_schema_version: int = FIT_SCHEMA_VERSION
