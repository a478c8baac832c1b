"""On which devices does a model fit? The verdict of `check` for many devices at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Literal

from mcuprof.budgets.judge import Limits, judge
from mcuprof.document import UNPROVEN, Finding, Result
from mcuprof.errors import UsageError
from mcuprof.fit_document import DeviceFit, ModelFit

if TYPE_CHECKING:
    from mcuprof.analysis import Options, Study
    from mcuprof.graph import Graph
    from mcuprof.hardware import Device


def fit(
    graph: Graph, devices: Iterable[Device], options: Options | None = None, limits: Limits | None = None
) -> ModelFit:
    """The verdict on every device, smallest first by RAM, then flash: the same as `check` gives for each.

    What takes time depends only on core and kernels and is done once for each such pair. A device that the options
    rule out (kernels of another architecture) does not fit, with the reason as its finding. Raises ModelError as
    `analyze` does, and UsageError when the options rule out every device.
    """
    from mcuprof.analysis import Options, setting_of, study  # numpy, which judging a stored result does not need

    options, limits = options or Options(), limits or Limits()
    studies: dict[Hashable, Study | UsageError] = {}
    found: list[DeviceFit] = []
    facts = None
    for device in devices:
        setting = setting_of(device, options)
        if setting.key not in studies:
            try:
                studies[setting.key] = study(graph, setting, options)
            except UsageError as error:
                studies[setting.key] = error
        known = studies[setting.key]
        if isinstance(known, UsageError):
            found.append(_ruled_out(device, setting.kernels, str(known)))
        else:
            facts = known.facts
            found.append(_fit(device, judge(known.on(device), limits), limits.latency_ms))
    if facts is None:
        reason = next((str(error) for error in studies.values()), "no device is left after the filters")
        raise UsageError(reason)
    return ModelFit(facts, tuple(sorted(found, key=lambda each: each.size)))


def _fit(device: Device, result: Result, budget_ms: float | None) -> DeviceFit:
    errors = tuple(finding for finding in result.verdict.findings if finding.severity == "error")
    regions, flash, latency = result.memory.regions, result.flash, result.latency
    over = sum(max(0, region.used_bytes + region.reserved_bytes - region.capacity_bytes) for region in regions)
    home = regions[0] if regions else None
    capacity = flash.capacity_bytes
    reason = result.latency_reason if isinstance(result.latency_reason, str) else ""
    return DeviceFit(
        device=device.id,
        name=device.name,
        vendor=device.vendor,
        core=device.core.id,
        kernels=result.target.kernels,
        clock_hz=device.clock_hz,
        ram_bytes=device.ram_bytes,
        flash_bytes=device.flash_bytes,
        status=_status(result, errors),
        region=home.name if home else None,
        free_ram_bytes=max(0, home.capacity_bytes - home.used_bytes - home.reserved_bytes) if home else None,
        free_flash_bytes=None if capacity is None else max(0, capacity - flash.total_bytes),
        lacks_ram_bytes=over,
        lacks_flash_bytes=0 if capacity is None else max(0, flash.total_bytes - capacity),
        ms=latency.ms if latency else None,
        low_ms=latency.low_ms if latency else None,
        high_ms=latency.high_ms if latency else None,
        latency_basis=latency.basis if latency else f"no data: {reason}",
        findings=errors,
        over_ms=max(0.0, latency.high_ms - budget_ms) if budget_ms and latency and latency.high_ms else 0.0,
    )


def _status(result: Result, errors: tuple[Finding, ...]) -> Literal["fits", "over", "unproven"]:
    if result.verdict.fits:
        return "fits"
    return "unproven" if {finding.code for finding in errors} <= UNPROVEN else "over"


def _ruled_out(device: Device, kernels: str, reason: str) -> DeviceFit:
    return DeviceFit(
        device=device.id,
        name=device.name,
        vendor=device.vendor,
        core=device.core.id,
        kernels=kernels,
        clock_hz=device.clock_hz,
        ram_bytes=device.ram_bytes,
        flash_bytes=device.flash_bytes,
        status="over",
        region=None,
        free_ram_bytes=None,
        free_flash_bytes=None,
        lacks_ram_bytes=0,
        lacks_flash_bytes=0,
        ms=None,
        low_ms=None,
        high_ms=None,
        latency_basis="no data: it does not run there",
        findings=(Finding("O401", "error", reason),),
    )
