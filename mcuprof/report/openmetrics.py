"""OpenMetrics text: the figures as gauges, for GitLab's metrics report and for whoever plots them over time."""

from __future__ import annotations

from collections.abc import Iterator

from mcuprof.document import Report, Result
from mcuprof.report.labels import target_name
from mcuprof.report.page import Page

_FAMILIES = {
    "mcuprof_fits": ("", "1 when no finding is an error, else 0."),
    "mcuprof_arena_bytes": ("bytes", "Arena that the runtime reports as used."),
    "mcuprof_stack_bytes": ("bytes", "Stack of the interpreter."),
    "mcuprof_region_used_bytes": ("bytes", "What the model uses of a memory region."),
    "mcuprof_region_reserved_bytes": ("bytes", "What the firmware keeps of a memory region."),
    "mcuprof_region_capacity_bytes": ("bytes", "Size of a memory region."),
    "mcuprof_flash_bytes": ("bytes", "Stored model, runtime and kernels."),
    "mcuprof_flash_capacity_bytes": ("bytes", "Size of the flash."),
    "mcuprof_macs": ("", "Multiply-accumulates of one inference."),
    "mcuprof_latency_seconds": ("seconds", "Time of one inference: nominal, and the ends of its band."),
}


def render(report: Report, page: Page, detail: bool) -> str:
    """The families in a fixed order, `# EOF` at the end. A figure without data has no sample."""
    samples: dict[str, dict[str, str]] = {name: {} for name in _FAMILIES}
    for result in report.results:
        common = {
            "model": result.model.path,
            "target": target_name(result),
            "runtime": result.target.runtime,
            "kernels": result.target.kernels,
        }
        for family, extra, value in _samples(result):
            labels = ",".join(f'{name}="{_label(page, text)}"' for name, text in {**common, **extra}.items())
            samples[family].setdefault(labels, value)  # the format forbids the same labels twice
    lines = []
    for family, (unit, help) in _FAMILIES.items():
        lines.append(f"# TYPE {family} gauge")
        if unit:
            lines.append(f"# UNIT {family} {unit}")
        lines.append(f"# HELP {family} {help}")
        lines += [f"{family}{{{labels}}} {value}" for labels, value in samples[family].items()]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _samples(result: Result) -> Iterator[tuple[str, dict[str, str], str]]:
    memory, flash, latency = result.memory, result.flash, result.latency
    yield "mcuprof_fits", {}, str(int(result.verdict.fits))
    yield "mcuprof_arena_bytes", {}, str(memory.arena_bytes)
    if memory.stack_bytes is not None:
        yield "mcuprof_stack_bytes", {}, str(memory.stack_bytes)
    for region in memory.regions:
        name = {"region": region.name}
        yield "mcuprof_region_used_bytes", name, str(region.used_bytes)
        yield "mcuprof_region_reserved_bytes", name, str(region.reserved_bytes)
        yield "mcuprof_region_capacity_bytes", name, str(region.capacity_bytes)
    yield "mcuprof_flash_bytes", {}, str(flash.total_bytes)
    if flash.capacity_bytes is not None:
        yield "mcuprof_flash_capacity_bytes", {}, str(flash.capacity_bytes)
    yield "mcuprof_macs", {}, str(result.model.macs)
    if latency is not None:
        for bound, value in (("nominal", latency.ms), ("low", latency.low_ms), ("high", latency.high_ms)):
            if value is not None:
                yield "mcuprof_latency_seconds", {"bound": bound}, f"{value / 1000:.9g}"


def _label(page: Page, text: str) -> str:
    return page.clean(text).replace("\\", "\\\\").replace('"', '\\"')
