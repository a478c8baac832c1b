"""`mcuprof plan --split`: the memory-hungry part of the network run stripe by stripe, on the stock runtime."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcuprof.cli import output
from mcuprof.errors import McuprofError, UsageError
from mcuprof.progress import Say, silent
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import head, prose
from mcuprof.report.split_front import front_lines, regions_text
from mcuprof.units import format_bytes

if TYPE_CHECKING:
    import argparse

    from mcuprof.cli.options import Request
    from mcuprof.document import Result
    from mcuprof.graph import Graph
    from mcuprof.hardware.device import Device
    from mcuprof.planning.split_orchestrate import Limits, SplitPlanned
    from mcuprof.planning.splitting import Point
    from mcuprof.split_document import SplitFront, SplitRegion


def add_options(parser: argparse.ArgumentParser) -> None:
    """--split and its limits."""
    group = parser.add_argument_group("split")
    group.add_argument("--split", action="store_true", help="run hungry regions in stripes: exact, for some more work")
    group.add_argument("--max-ram", metavar="SIZE", help="the least work whose arena fits, such as 96K")
    group.add_argument("--max-work", metavar="PART", help="the smallest arena for so much more work (default: 5%%)")


def limits_of(options: argparse.Namespace) -> Limits | None:
    """What was asked; None without --split. Raises UsageError."""
    from mcuprof.budgets.amounts import parse_percent
    from mcuprof.planning.split_orchestrate import Limits
    from mcuprof.units import parse_size

    if not options.split:
        if options.max_ram or options.max_work:
            raise UsageError("--max-ram and --max-work are limits of a split: add --split")
        return None
    if options.emit or options.strip or options.share_arena:
        raise UsageError("--split writes a model: it goes with neither --emit, --strip nor --share-arena")
    work = None if options.max_work is None else float(parse_percent(options.max_work))
    return Limits(None if options.max_ram is None else parse_size(options.max_ram), work)


def progress(model: str, verbose: bool) -> Say:
    """Where progress goes: lines for those who asked, one line over and over on a terminal, else nowhere."""
    if verbose:
        return lambda message: output.tell(f"{model}: {message}")
    if sys.stderr is None or not sys.stderr.isatty():
        return silent
    return lambda message: output.tell_again(f"{message:<60.60}", last=not message)


def report(page: Page, found: SplitPlanned, kernels: str, device: Device | None) -> list[Line]:
    """What the split saves and costs, the front it was chosen from, what the firmware needs, and the proof."""
    before, after = found.before.min_arena_bytes, found.after.min_arena_bytes
    saved = before - after
    lines = [
        line(head("arena"), f"{before:,} B -> ", Piece(format_bytes(after), "strong")),
        line(
            head(""), Piece(f"saves {saved:,} B, {100 * saved / max(1, before):.0f} %", "good" if saved > 0 else "bad")
        ),
        *prose(page, "head", f"{found.before.head_bytes:,} B -> {found.after.head_bytes:,} B"),
    ]
    if found.base is not found.graph:
        lines += prose(page, "exact", _simplified(found))
    lines += prose(page, "split", _what(found), limit=None)
    if len(found.front) > 1:
        lines += [
            line(
                head("front"),
                Piece("arena against work (MACs, and 8 for each byte SLICE copies, beside today's)", "dim"),
            )
        ]
        chosen = next((number for number, point in enumerate(found.front) if point is found.point), None)
        lines += front_lines(page, _front(found.front, kernels, device), chosen)
    if found.added:
        lines += prose(page, "resolver", f"add {', '.join(_calls(found.added))}")
    lines += [row for step in found.steps for row in prose(page, "proof", step.text, limit=None)]
    lines += prose(page, "use", f"alignas(16) uint8_t arena[kTensorArenaSize]; kTensorArenaSize = {after}")
    return lines


def offered(result: Result, request: Request) -> Result:
    """The result with the front that splitting offers, for `analyze`. Raises ModelError."""
    import msgspec

    from mcuprof.cli.pipeline import load_target, read_model
    from mcuprof.planning import Firmware, Wishes
    from mcuprof.planning.split_orchestrate import split_front

    (path,) = request.models
    graph = read_model(path, request.input_shapes, request.reading)
    if graph.origin.format == "onnx":
        return msgspec.structs.replace(result, split=_offered_onnx(path, graph))
    device = None if result.target.device is None else load_target(result.target.device, request.clock_hz)
    library = request.kernels or (device.kernels if device else "reference")
    say = progress(path, verbose=False)
    try:
        points = split_front(graph, Firmware(library, device.core if device else None), Wishes("as-is", "none"), say)
    except McuprofError as error:
        raise type(error)(f"{path}: {error}") from None
    finally:
        say("")
    return msgspec.structs.replace(result, split=_front(points, library, device))


def _offered_onnx(path: str, graph: Graph) -> SplitFront:
    from mcuprof.cli.plan_onnx import front
    from mcuprof.planning.split_onnx import split_front_onnx

    say = progress(path, verbose=False)
    try:
        return front(split_front_onnx(graph, Path(path).read_bytes(), say))
    except McuprofError as error:
        raise type(error)(f"{path}: {error}") from None
    finally:
        say("")


def _what(found: SplitPlanned) -> str:
    if found.point is None:
        return "not split: no stripes save anything within these limits; planned as without --split"
    regions = regions_text(regions_of(found.point))
    work = f"{100 * found.point.work:+.1f} % work"
    relies = found.point.allowed.name if found.point.plan.strategy != "none" else ""
    holds = f"its plan holds for {relies} kernels and the reference's" if relies else "its plan holds for any kernels"
    return f"operators {regions} stripes, {work}; {holds}; correct without the plan too, only larger"


def _simplified(found: SplitPlanned) -> str:
    from mcuprof.ops import total_macs

    before, after = total_macs(found.graph), total_macs(found.base)
    return f"simplified first: {len(found.graph.ops)} -> {len(found.base.ops)} operators, {before:,} -> {after:,} MACs"


def _front(points: Sequence[Point], kernels: str, device: Device | None) -> SplitFront:
    from mcuprof.planning.split_time import split_time
    from mcuprof.split_document import SplitFront, SplitPoint

    times = [split_time(point.split.graph, device, kernels) for point in points]
    rows = tuple(
        SplitPoint(point.bytes, round(point.work, 6), time.copied, time.ms, regions_of(point))
        for point, time in zip(points, times, strict=True)
    )
    reason = None
    if all(time.ms is None for time in times):
        reason = f"no data: {times[0].reason}"
    elif any(time.copied for time in times):
        reason = "without the copies of SLICE, which was counted on no core"
    return SplitFront(rows, reason)


def regions_of(point: Point) -> tuple[SplitRegion, ...]:
    """What a point splits."""
    from mcuprof.split_document import SplitRegion

    return tuple(
        SplitRegion(o.region.first, o.region.last, o.stripes, "channels" if o.channels else "rows")
        for o in point.choice.options
    )


def _calls(kinds: tuple[str, ...]) -> list[str]:
    from mcuprof.runtimes.tflm.resolver import call

    return [call(kind) for kind in kinds]
