"""`mcuprof plan --split`: the memory-hungry part of the network run stripe by stripe, on the stock runtime."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mcuprof.cli import output
from mcuprof.errors import McuprofError, UsageError
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import head, prose
from mcuprof.report.split_front import FrontRow, front_lines
from mcuprof.units import format_bytes

if TYPE_CHECKING:
    import argparse

    from mcuprof.graph import Graph
    from mcuprof.hardware.device import Device
    from mcuprof.planning.split_orchestrate import Limits, SplitPlanned
    from mcuprof.planning.splitting import Point


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


def progress(model: str, verbose: bool) -> Callable[[str], None]:
    """Where progress goes: lines for those who asked, one line over and over on a terminal, else nowhere."""
    if verbose:
        return lambda message: output.tell(f"{model}: {message}")
    if sys.stderr is None or not sys.stderr.isatty():
        return lambda message: None
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
    rows, note = _rows(found.front, found.point, kernels, device)
    if len(rows) > 1:
        lines += [
            line(
                head("front"),
                Piece("arena against work (MACs, and 8 for each byte SLICE copies, beside today's)", "dim"),
            )
        ]
        lines += front_lines(page, rows)
        lines += prose(page, "", note, limit=None) if note else []
    if found.added:
        lines += prose(page, "resolver", f"add {', '.join(_calls(found.added))}")
    lines += [row for step in found.steps for row in prose(page, "proof", step.text, limit=None)]
    lines += prose(page, "use", f"alignas(16) uint8_t arena[kTensorArenaSize]; kTensorArenaSize = {after}")
    return lines


def offered(page: Page, model: str, device_name: str | None, kernels: str | None) -> list[Line]:
    """The front that splitting offers for a model, for `analyze`. Raises as `plan --split` does."""
    from mcuprof.cli.pipeline import load_target, read_model
    from mcuprof.planning import Firmware, Wishes
    from mcuprof.planning.split_orchestrate import split_front

    graph = read_model(model, {})
    if graph.origin.format == "onnx":
        return _offered_onnx(page, model, graph)
    device = None if device_name is None else load_target(device_name, None)
    library = kernels or (device.kernels if device else "reference")
    firmware = Firmware(library, device.core if device else None)
    say = progress(model, verbose=False)
    try:
        points = split_front(graph, firmware, Wishes("as-is", "none"), say)
    except McuprofError as error:
        raise type(error)(f"{model}: {error}") from None
    finally:
        say("")
    rows, note = _rows(points, None, library, device)
    return [
        line(Piece("Split into stripes (mcuprof plan --split): smallest arena against work", "strong")),
        *front_lines(page, rows),
        *(prose(page, "", note, limit=None) if note else []),
    ]


def _offered_onnx(page: Page, model: str, graph: Graph) -> list[Line]:
    from mcuprof.cli.plan_onnx import front_rows
    from mcuprof.planning.split_onnx import split_front_onnx

    say = progress(model, verbose=False)
    try:
        points = split_front_onnx(graph, Path(model).read_bytes(), say)
    except McuprofError as error:
        raise type(error)(f"{model}: {error}") from None
    finally:
        say("")
    title = "Split into stripes (mcuprof plan --split): least bytes of tensors against work"
    return [line(Piece(title, "strong")), *front_lines(page, front_rows(points, None))]


def _what(found: SplitPlanned) -> str:
    if found.point is None:
        return "not split: no stripes save anything within these limits; planned as without --split"
    regions = regions_of(found.point)
    work = f"{100 * found.point.work:+.1f} % work"
    relies = found.point.allowed.name if found.point.plan.strategy != "none" else ""
    holds = f"its plan holds for {relies} kernels and the reference's" if relies else "its plan holds for any kernels"
    return f"operators {regions} stripes, {work}; {holds}; correct without the plan too, only larger"


def _simplified(found: SplitPlanned) -> str:
    from mcuprof.ops import total_macs

    before, after = total_macs(found.graph), total_macs(found.base)
    return f"simplified first: {len(found.graph.ops)} -> {len(found.base.ops)} operators, {before:,} -> {after:,} MACs"


def _rows(
    front: tuple[Point, ...], chosen: Point | None, kernels: str, device: Device | None
) -> tuple[list[FrontRow], str]:
    from mcuprof.planning.split_time import split_time

    rows, reasons, copied = [], [], False
    for point in front:
        time = split_time(point.split.graph, device, kernels)
        reasons.append(time.reason)
        copied = copied or time.copied > 0
        rows.append(FrontRow(point.bytes, point.work, time.ms, regions_of(point), point is chosen))
    if device is None:
        return rows, ""
    if all(row.ms is None for row in rows):
        return rows, f"ms: no data: {reasons[0]}"
    return rows, "ms without the copies of SLICE, which was counted on no core" if copied else ""


def regions_of(point: Point) -> str:
    """What a point splits: operators × stripes."""
    parts = [
        f"{option.region.first}-{option.region.last}×{option.stripes}{'c' if option.channels else ''}"
        if option.region.first != option.region.last
        else f"{option.region.first}×{option.stripes}"
        for option in point.choice.options
    ]
    return ", ".join(parts) or "as it is"


def _calls(kinds: tuple[str, ...]) -> list[str]:
    from mcuprof.runtimes.tflm.resolver import call

    return [call(kind) for kind in kinds]
