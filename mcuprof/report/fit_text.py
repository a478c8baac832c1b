"""`mcuprof fit` as text: what fits, smallest first; the nearest misses and what they lack; what is not known."""

from __future__ import annotations

from collections.abc import Sequence

from mcuprof.document import Finding
from mcuprof.fit_document import DeviceFit, FitReport, ModelFit
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import INDENT, prose
from mcuprof.report.table import Column, table
from mcuprof.units import format_ms, format_size

NO_DATA = "no data"


def lines(report: FitReport, page: Page, count: int | None) -> list[Line]:
    """One section per model, `count` devices of each list."""
    found: list[Line] = []
    for model in report.models:
        found += [line(), *_model(model, page, count)] if found else _model(model, page, count)
    return found


def _model(model: ModelFit, page: Page, count: int | None) -> list[Line]:
    fitting = [each for each in model.devices if each.status == "fits"]
    word = Piece("FITS", "good") if fitting else Piece("FITS NOWHERE", "bad")
    tally = f"on {len(fitting)} of {len(model.devices)} devices"
    path = page.fit(page.clean(model.model.path), max(12, page.width - len(word.text) - len(tally) - 4))
    found = [line(word, f" {tally}  " if fitting else "  ", Piece(path, "strong"))]
    found += [row for finding in common(model) for row in prose(page, finding.code, finding.message, label_style="bad")]
    found += _listed(page, "Smallest first", fitting, _FITTING, count)
    near = misses(model)
    slow = any(each.over_ms for each in near)  # no column for a budget that nobody set
    found += _listed(page, "Nearest misses", near, _MISSING if slow else _MISSING[:-1], count)
    found += _reasons(page, "Not shown to fit", [each for each in others(model) if each.status == "unproven"])
    return found + _reasons(page, "Out for another reason", [each for each in others(model) if each.status == "over"])


def common(model: ModelFit) -> tuple[Finding, ...]:
    """The errors that every device has: they are the model's own."""
    first, *others = [each.findings for each in model.devices]
    return tuple(finding for finding in first if all(finding in findings for findings in others))


def misses(model: ModelFit) -> list[DeviceFit]:
    """Devices that are too small or too slow, the one that is over by the smallest share first."""
    return sorted((each for each in model.devices if each.excess), key=lambda each: (each.excess, each.size))


def others(model: ModelFit) -> list[DeviceFit]:
    """Devices that fail though nothing is known to be too small or slow, with reasons that are not the model's own."""
    own = common(model)
    return [
        each
        for each in model.devices
        if each.status != "fits" and not each.excess and any(finding not in own for finding in each.findings)
    ]


def time_words(each: DeviceFit) -> str:
    """`12.3 ms (10.1 to 15.0)`, or no data."""
    if each.ms is None:
        return NO_DATA
    if each.low_ms is None or each.high_ms is None:
        return format_ms(each.ms)
    return f"{format_ms(each.ms)} ({format_ms(each.low_ms).removesuffix(' ms')} to {format_ms(each.high_ms)})"


def size_words(count: int | None) -> str:
    """A size, or no data."""
    return NO_DATA if count is None else format_size(count)


_FITTING = (
    Column("device", flexible=14),
    Column("core", drop=3),
    Column("RAM", right=True),
    Column("RAM free", right=True),
    Column("flash", right=True, drop=2),
    Column("flash free", right=True, drop=2),
    Column("latency", right=True, drop=1),
)
_MISSING = (
    Column("device", flexible=14),
    Column("core", drop=3),
    Column("RAM", right=True, drop=2),
    Column("lacks RAM", right=True),
    Column("flash", right=True, drop=2),
    Column("lacks flash", right=True),
    Column("too slow by", right=True),
)


def _listed(
    page: Page, title: str, devices: Sequence[DeviceFit], heads: Sequence[Column], count: int | None
) -> list[Line]:
    if not devices:
        return []
    shown = devices if count is None else devices[:count]
    cells = _fitting if heads is _FITTING else _missing
    rows = [cells(page, each)[: len(heads)] for each in shown]
    found = [line(), line(Piece(f"{title} ({len(devices)})", "strong")), *table(page, heads, rows)]
    left = len(devices) - len(shown)
    return [*found, line(INDENT, Piece(f"… {left} more: --all", "dim"))] if left else found


def _fitting(page: Page, each: DeviceFit) -> tuple[str, ...]:
    return (
        page.clean(each.device),
        page.clean(each.core),
        size_words(each.ram_bytes),
        size_words(each.free_ram_bytes),
        size_words(each.flash_bytes),
        size_words(each.free_flash_bytes),
        time_words(each),
    )


def _missing(page: Page, each: DeviceFit) -> tuple[str, ...]:
    return (
        page.clean(each.device),
        page.clean(each.core),
        size_words(each.ram_bytes),
        f"{each.lacks_ram_bytes:,} B" if each.lacks_ram_bytes else "-",
        size_words(each.flash_bytes),
        f"{each.lacks_flash_bytes:,} B" if each.lacks_flash_bytes else "-",
        format_ms(each.over_ms) if each.over_ms else "-",
    )


def _reasons(page: Page, title: str, devices: Sequence[DeviceFit]) -> list[Line]:
    """Each reason once, then the devices it keeps back."""
    if not devices:
        return []
    reasons = reasons_of(devices)
    found = [line(), line(Piece(f"{title} ({len(devices)})", "strong"))]
    for (code, message), names in reasons.items():
        found += prose(page, code, message)
        found += prose(page, "", ", ".join(names), "dim", limit=None)
    return found


def reasons_of(devices: Sequence[DeviceFit]) -> dict[tuple[str, str], list[str]]:
    """(Code, message without the device's name) → the devices whose first error it is."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in devices:
        finding = each.findings[0]
        message = finding.message.replace(f" of {each.device}:", ":")
        reasons.setdefault((finding.code, message), []).append(each.device)
    return reasons
