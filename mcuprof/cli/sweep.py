"""`mcuprof sweep`: many models on many devices, as one table."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Collection, Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from mcuprof.cli import output
from mcuprof.cli.options import (
    DEFAULT_RUNTIME,
    IN_PLACE,
    ORDERS,
    TIME_LIMIT,
    Parser,
    add_input_shape_option,
    as_type,
    parse_seconds,
)
from mcuprof.cli.pipeline import spare_devices, spare_models
from mcuprof.errors import EXIT_FAILED, EXIT_FITS, UsageError
from mcuprof.report.page import Line, Page, Piece, line
from mcuprof.report.pieces import INDENT, prose
from mcuprof.report.table import Column, is_squeezed, table
from mcuprof.units import format_ms, format_size, parse_clock_hz, parse_size, parse_time_ms
from mcuprof.writers.files import replace_file

if TYPE_CHECKING:
    from mcuprof.sweep import Job, Row

FORMATS = ("text", "csv", "jsonl", "parquet")
_DESCRIPTION = (
    "Every model on every device under every combination of options, one row each. -o FILE.csv, .jsonl or .parquet "
    "writes the table; a sweep with -o that was stopped goes on where it was. Exit code 1 when a row does not fit or "
    "failed; its columns say why."
)
_HEADS = (
    Column("model", flexible=14),
    Column("device", flexible=10),
    Column("options", flexible=8),
    Column("verdict"),
    Column("RAM", right=True),
    Column("flash", right=True, drop=1),
    Column("latency", right=True),
    Column("", drop=2),
)


def run(arguments: list[str]) -> int:
    """Compute all rows, write the table; exit code 0 when every row fits."""
    options = _parser().parse_intermixed_args(arguments)
    form = _format(options)
    jobs = _jobs(options)
    target = None if options.output in (None, "-") else Path(options.output)
    journal = None if target is None else target.with_name(target.name + ".partial")
    for written in (target, journal):
        if written is not None:
            spare_models(str(written), options.models)
            spare_devices(str(written), options.device)

    from mcuprof.sweep import TABLES, Journal, sweep

    rows = sweep(
        jobs,
        processes=options.jobs,
        scheduler=options.scheduler,
        journal=journal,
        progress=_progress() if sys.stderr is not None and sys.stderr.isatty() else None,
    )
    shown = [row for row in rows if row.pareto] if options.pareto else rows
    if form == "text":
        page = output.own_page()
        text = page.paint(_lines(page, shown, len(rows)))
        output.write(text) if target is None else output.write_file(str(target), text)
    elif target is not None:
        replace_file(target, TABLES[form](shown))
    else:
        output.write(TABLES[form](shown).decode())
    if journal is not None:
        Journal(journal).remove()
    return EXIT_FITS if all(row.status == "fits" for row in rows) else EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = Parser("sweep", _DESCRIPTION)
    parser.add_argument("models", nargs="+", metavar="MODEL", help=".tflite or .onnx files")
    axes = parser.add_argument_group("what to combine (each may be given more than once)")
    axes.add_argument("-d", "--device", action="append", default=[], metavar="DEVICE", help="see mcuprof devices")
    axes.add_argument(
        "--clock", action="append", default=[], type=as_type(parse_clock_hz), metavar="HZ", help="such as 80MHz"
    )
    axes.add_argument(
        "--kernels", action="append", default=[], help="kernel library (default: what the device's vendor ships)"
    )
    axes.add_argument("--order", action="append", default=[], choices=ORDERS, help="operator order (default: as-is)")
    axes.add_argument(
        "--in-place", action="append", default=[], choices=IN_PLACE, help="what may share bytes (default: none)"
    )
    fixed = parser.add_argument_group("the same for all")
    fixed.add_argument("--runtime", default=DEFAULT_RUNTIME, help=f"default: {DEFAULT_RUNTIME}")
    fixed.add_argument("--time-limit", type=as_type(parse_seconds), metavar="TIME", help=TIME_LIMIT)
    add_input_shape_option(fixed)
    fixed.add_argument("--ram", type=as_type(parse_size), metavar="SIZE", help="instead of the device's RAM")
    fixed.add_argument("--flash", type=as_type(parse_size), metavar="SIZE", help="instead of the device's flash")
    fixed.add_argument("--latency", type=as_type(parse_time_ms), metavar="TIME", help="budget, such as 50ms")
    fixed.add_argument("--reserve-ram", type=as_type(parse_size), metavar="SIZE", help="RAM the firmware keeps")
    engine = parser.add_argument_group("where to compute")
    engine.add_argument("-j", "--jobs", type=as_type(_count), metavar="N", help="processes (default: one per core)")
    engine.add_argument("--scheduler", metavar="ADDRESS", help="on the Dask cluster at tcp://HOST:PORT")
    group = parser.add_argument_group("output")
    group.add_argument("-f", "--format", choices=FORMATS, help="default: by the suffix of -o, else text")
    group.add_argument("-o", "--output", metavar="FILE", help="write to FILE; parquet needs it")
    group.add_argument("--pareto", action="store_true", help="only rows that none of their device beats")
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1024):
        raise UsageError(f"not a number of processes: {text[:20]!r}")
    return int(text)


def _format(options: argparse.Namespace) -> str:
    from mcuprof.sweep import format_of

    form: str = options.format or (format_of(options.output) if options.output else None) or "text"
    if form == "parquet":
        if options.output in (None, "-"):
            raise UsageError("parquet is not text: name a file with -o")
        if find_spec("pyarrow") is None:  # better told now than after hours
            raise UsageError("Parquet needs pyarrow: pip install 'mcuprof[parquet]'")
    return form


def _jobs(options: argparse.Namespace) -> list[Job]:
    """Model by model, so that each is read once. Raises UsageError for a device that does not exist."""
    from mcuprof.hardware import load_device
    from mcuprof.sweep import Job, build_name, file_sha256

    if not options.device:
        raise UsageError("a sweep needs devices: add -d DEVICE")
    clocks = options.clock or [None]
    devices = [load_device(name, clock) for name in dict.fromkeys(options.device) for clock in dict.fromkeys(clocks)]
    axes = (options.kernels or [None], options.order or [ORDERS[0]], options.in_place or [IN_PLACE[0]])
    choices = list(product(devices, *map(dict.fromkeys, axes)))
    shapes = tuple(sorted(dict(options.input_shape).items()))
    build = build_name()
    found = []
    for model in dict.fromkeys(options.models):
        digest = file_sha256(Path(model))
        found += [
            Job(
                model=model.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
                path=str(Path(model).absolute()),
                sha256=digest,
                device=device,
                runtime=options.runtime,
                kernels=kernels,
                order=order,
                in_place=in_place,
                time_limit=options.time_limit,
                limits=(options.ram, options.flash, options.latency, options.reserve_ram),
                input_shapes=shapes,
                build=build,
            )
            for device, kernels, order, in_place in choices
        ]
    return found


def _progress() -> Callable[[int, int, int], None]:
    """A bar on stderr, at most ten times a second."""
    start, last = time.monotonic(), 0.0

    def show(done: int, total: int, failed: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < 0.1:
            return
        last = now
        width = 24
        filled = width * done // max(1, total)
        left = (now - start) / done * (total - done) if done else 0.0
        words = f", {failed} failed" if failed else ""
        bar = "#" * filled + "-" * (width - filled)
        output.tell_again(f"sweep [{bar}] {done} of {total}{words}, {left:3.0f} s left ", last=done == total)

    return show


def _lines(page: Page, rows: Sequence[Row], total: int) -> list[Line]:
    varied = _varied(rows)
    folder = _common_folder({row.model for row in rows})
    cells = [
        [
            page.clean(row.model.removeprefix(folder)),
            page.clean(row.device),
            " ".join(str(getattr(row, name) or "") for name in varied),
            row.status,
            format_size(row.ram_bytes) if row.ram_bytes is not None else "",
            format_size(row.flash_bytes) if row.flash_bytes is not None else "",
            format_ms(row.ms) if row.ms is not None else "",
            "best" if row.pareto else "",
        ]
        for row in rows
    ]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.error:
            reasons.setdefault(f"{row.model}: {row.error}", []).append(row.device)
    failed = [
        each
        for reason, devices in reasons.items()
        for each in prose(page, "failed", page.clean(f"{reason} ({', '.join(dict.fromkeys(devices))})"))
    ]
    fitting = sum(row.status == "fits" for row in rows)
    best = sum(row.pareto for row in rows)
    count = f"{len(rows)} of {total} rows" if len(rows) < total else f"{total} rows"
    summary = f"{count}, {fitting} fit; {best} that no other on its device beats in RAM, flash and latency"
    shown = [at for at, head in enumerate(_HEADS) if varied or head.title != "options"]
    heads, body = [_HEADS[at] for at in shown], [[row[at] for at in shown] for row in cells]
    laid = _grouped(page, heads, body) if is_squeezed(page, heads, body) else table(page, heads, body)
    return [*laid, *failed, *prose(page, "in all", summary)]


def _grouped(page: Page, heads: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[Line]:
    """For a narrow page: a line for each model and device above the rest of its rows."""
    title, *body = table(page, heads[2:], [row[2:] for row in rows])
    found, before = [title], ("", "")
    for (model, device, *_), laid in zip(rows, body, strict=True):
        if (model, device) != before:
            found.append(line(INDENT, Piece(page.fit(f"{model} on {device}", page.width - len(INDENT)))))
            before = model, device
        found.append(laid)
    return found


def _common_folder(models: Collection[str]) -> str:
    """What all names begin with, up to a slash: it says nothing and takes room."""
    first = min(models, default="")
    last = max(models, default="")
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: first.rfind("/", 0, same) + 1]


def _varied(rows: Sequence[Row]) -> list[str]:
    """The options in which rows differ."""
    names = ("clock_hz", "kernels", "order", "in_place")
    by_device: dict[str, set[tuple[object, ...]]] = {name: set() for name in names}
    for row in rows:
        for name in names:
            by_device[name].add((row.device, getattr(row, name)))
    devices = len({row.device for row in rows})
    return [name for name in names if len(by_device[name]) > devices]
