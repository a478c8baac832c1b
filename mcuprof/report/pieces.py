"""What the short and the long text report share: labelled prose, bars, the words for latency and the verdict."""

from __future__ import annotations

import msgspec

from mcuprof.cost_document import Arithmetic, Ceiling
from mcuprof.document import UNPROVEN, Finding, Latency, Memory, Npu, RegionUse, Result
from mcuprof.report.page import Line, Page, Piece, columns, line
from mcuprof.units import format_bytes, format_count, format_ms, format_size, format_uj

INDENT = "  "
LABEL = 9
MARGIN = len(INDENT) + LABEL
BAR = 16
MAX_PROSE_LINES = 4
# A path is cut to no less than this before the device moves to the next line.
MIN_PATH = 24


def head(label: str, style: str = "dim") -> Piece:
    """The label column of a row."""
    return Piece(INDENT + label + " " * (LABEL - columns(label)), style)


def prose(
    page: Page,
    label: str,
    text: str,
    style: str = "",
    *,
    tail: str = "",
    label_style: str = "dim",
    limit: int | None = MAX_PROSE_LINES,
) -> list[Line]:
    """`text` wrapped beside its label, at most `limit` lines; `tail` follows dimmed, on its own line if need be."""
    label = page.fit(page.clean(label), LABEL - 1)
    width = page.width - MARGIN
    broken = page.wrap(page.clean(text), width, width)
    if limit is not None and len(broken) > limit:
        broken = [*broken[: limit - 1], page.fit(" ".join(broken[limit - 1 :]), width)]
    lines = [line(head("" if index else label, label_style), Piece(part, style)) for index, part in enumerate(broken)]
    if not tail:
        return lines
    tail = page.clean(tail)
    if columns(broken[-1]) + 2 + columns(tail) <= width:
        lines[-1] = (*lines[-1], Piece(f"  {tail}", "dim"))
    else:
        lines += prose(page, "", tail, "dim", limit=2)
    return lines


def percent(part: int, whole: int) -> str:
    """`85 %`, rounded up so that 100 % is never printed for more; `- %` of nothing."""
    if whole <= 0:
        return "- %"
    rounded = -(-part * 100 // whole)
    return f"{rounded} %" if abs(rounded) < 10_000 else ">9999 %"


def bar(reserved: int, used: int, capacity: int, width: int = BAR) -> tuple[Piece, ...]:
    """Reserved, used and free as blocks. Where they need more than there is, the bar is the need and the excess red."""
    needed = max(reserved, 0) + max(used, 0)
    whole = max(needed, capacity, 1)
    total = min(width, -(-needed * width // whole))
    excess = min(total, -(-max(needed - capacity, 0) * width // whole))
    kept = min(total - excess, max(reserved, 0) * width // whole)
    return (
        Piece("▒" * kept, "dim"),
        Piece("█" * (total - excess - kept)),
        Piece("▓" * excess, "bad"),
        Piece("░" * (width - total), "dim"),
    )


def meter(page: Page, label: str, reserved: int, used: int, capacity: int, prefix: str = "") -> list[Line]:
    """A labelled bar with its percentage and bytes; the bytes move to a line of their own where it is narrow."""
    needed = reserved + used
    words = f"{prefix}{format_bytes(needed)} of {format_size(capacity)}"
    label = page.fit(page.clean(label), LABEL - 1)
    share = f"  {percent(needed, capacity):>5}"
    start = line(head(label), *bar(reserved, used, capacity), share)
    if MARGIN + BAR + len(share) + 2 + len(words) <= page.width:
        return [(*start, Piece(f"  {words}"))]
    return [start, line(head(""), page.fit(f"{prefix}{needed:,} of {capacity:,} B", page.width - MARGIN))]


def occupied(regions: tuple[RegionUse, ...]) -> list[RegionUse]:
    """The regions that something lies in."""
    return [region for region in regions if region.used_bytes + region.reserved_bytes > 0]


def ram_parts(memory: Memory) -> str:
    """What the RAM figure is made of."""
    parts = [f"smallest arena {memory.min_arena_bytes:,} B"]
    parts.append("stack: no data" if memory.stack_bytes is None else f"stack {memory.stack_bytes:,} B")
    reserved = sum(region.reserved_bytes for region in memory.regions)
    if reserved:
        parts.append(f"reserved {reserved:,} B")
    return " + ".join(parts)


def latency_words(latency: Latency | None, reason: str | msgspec.UnsetType) -> tuple[str, str]:
    """The latency as one phrase, and its basis; `no data` with the reason where there is none."""
    why = "" if isinstance(reason, msgspec.UnsetType) else f": {reason}"
    if latency is None:
        return f"no data{why}", ""
    if latency.ms is None:
        known = "" if latency.instructions is None else f"; {format_count(latency.instructions)} instructions"
        return f"no data{why}{known}", latency.basis
    if latency.low_ms is None or latency.high_ms is None:
        return f"{format_ms(latency.ms)}, no band", latency.basis
    return f"{format_ms(latency.ms)} ({format_ms(latency.low_ms)} to {format_ms(latency.high_ms)})", latency.basis


def energy_words(result: Result) -> tuple[str, str]:
    """The energy of an inference, an amount for each supply, and its basis; `no data` with the reason. Empty where the
    document says nothing of it.
    """
    found, reason = result.energy, result.energy_reason
    if isinstance(found, msgspec.UnsetType) or not found:
        return ("", "") if isinstance(reason, msgspec.UnsetType) else (f"no data: {reason}", "")
    amounts = [
        f"{format_uj(one.uj)} ({format_uj(one.low_uj)} to {format_uj(one.high_uj)}), {one.supply}" for one in found
    ]
    return "; ".join(amounts), "; ".join(dict.fromkeys(one.basis for one in found))


def precision_words(work: Arithmetic) -> str:
    """Which types the MACs are of: `int8 x int8 98 % of the MACs, int8 x int4 2 %`, activations first."""
    total = sum(each.macs for each in work.precisions)
    shares = [
        f"{each.activations} x {each.weights} {100 * each.macs / total:.3g} %" for each in work.precisions if each.macs
    ]
    return ", ".join(shares) + " of the MACs" if shares else "no MACs"


def ceiling_name(ceiling: Ceiling, work: Arithmetic) -> str:
    """What the ceiling is of, with its types where there are several."""
    several = len({(each.activations, each.weights) for each in work.ceilings}) > 1
    return f"{ceiling.name}, {ceiling.activations} x {ceiling.weights}" if several else ceiling.name


def npu_words(npu: Npu) -> str:
    """What the accelerator would take, as one phrase: time, what it leaves to the host, SRAM."""
    if npu.ms is None:
        return npu.basis
    time = format_ms(npu.ms)
    if npu.low_ms is not None and npu.high_ms is not None:
        time += f" ({format_ms(npu.low_ms)} to {format_ms(npu.high_ms)})"
    elif npu.clock_hz is not None:
        time += f" at {npu.clock_hz / 1e6:g} MHz{' (assumed)' if npu.clock_assumed else ''}"
    words = [f"{time} once compiled for {npu.accelerator}"]
    left = sum(each.place == "host" for each in npu.operators)
    if npu.operators:
        words.append(f"{len(npu.operators) - left} of {len(npu.operators)} operators on it")
    if left:
        words.append(host_words(npu))
    if npu.sram_bytes is not None:
        words.append(f"SRAM {format_bytes(npu.sram_bytes)}")
    return ", ".join(words)


def host_words(npu: Npu) -> str:
    """What the operators left to the host take: time, else instructions, else nothing is known."""
    if npu.host_ms is not None:
        return f"host {format_ms(npu.host_ms)} more"
    counts = [each.instructions for each in npu.operators if each.place == "host"]
    known = [count for count in counts if count is not None]
    return f"host {format_count(sum(known))} instructions" if len(known) == len(counts) else "host: no data"


def runs_on(runtimes: tuple[str, ...]) -> str:
    """Who can run a plan."""
    return ", ".join(runtimes) or "no runtime"


def judged(result: Result) -> bool:
    """False when there was nothing to judge against: no capacity, no budget, no error."""
    verdict = result.verdict
    return not verdict.fits or not any(finding.code == "C901" for finding in verdict.findings)


def verdict_word(result: Result) -> Piece:
    """The verdict in its accent colour. What fails for want of data is not said to be too large."""
    if not judged(result):
        return Piece("NOT JUDGED", "strong")
    if result.verdict.fits:
        return Piece("FITS", "good")
    errors = {finding.code for finding in result.verdict.findings if finding.severity == "error"}
    return Piece("NOT SHOWN TO FIT" if errors and errors <= UNPROVEN else "DOES NOT FIT", "bad")


def verdict_lines(page: Page, result: Result) -> list[Line]:
    """Verdict, model and device; the device on a line of its own where it is narrow."""
    word = verdict_word(result)
    device = result.target.device
    setting = ", ".join(filter(None, (result.target.runtime, result.target.kernels)))
    name = result.target.name
    if not isinstance(name, msgspec.UnsetType) and name != device:
        device = f"{name} ({device})" if device else name
    place = page.clean(f"on {device}") if device else "without a device"
    path = page.clean(result.model.path)
    room = page.width - len(word.text) - 2
    left = room - 1 - columns(place)
    if left >= min(columns(path), MIN_PATH):
        path = page.fit(path, left)
        shown = line(word, "  ", Piece(path, "strong"), f" {place}")
        extra = page.clean(f"  {setting}")
        return [(*shown, Piece(extra, "dim")) if columns(path) + columns(extra) <= left else shown]
    return [
        line(word, "  ", Piece(page.fit(path, room), "strong")),
        line(INDENT, page.fit(place, page.width - len(INDENT))),
    ]


def model_words(result: Result) -> str:
    """The model in a phrase."""
    model = result.model
    return (
        f"{model.format}, {model.quantization}, {model.operators} operators, "
        f"{format_count(model.macs)} MACs, sha {model.sha256[:8]}"
    )


def finding_lines(page: Page, finding: Finding) -> list[Line]:
    """The code as label, the message, and what to do about it."""
    style = {"error": "bad", "warning": "strong", "note": "dim"}[finding.severity]
    lines = prose(page, finding.code, finding.message, label_style=style)
    return lines + prose(page, "fix", finding.fix) if finding.fix else lines


def sorted_findings(result: Result) -> list[Finding]:
    """Errors first, then warnings, then notes; otherwise in the order they were found."""
    rank = {"error": 0, "warning": 1, "note": 2}
    return sorted(result.verdict.findings, key=lambda finding: rank[finding.severity])
