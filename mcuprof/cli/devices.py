"""`mcuprof devices`: the database, with the source of every number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from mcuprof.cli import output
from mcuprof.cli.options import Parser
from mcuprof.errors import EXIT_FAILED, EXIT_FITS
from mcuprof.hardware import Device, list_devices, load_device
from mcuprof.report.page import Line, Page, Piece, columns, line
from mcuprof.report.pieces import INDENT, prose
from mcuprof.report.table import Column, table
from mcuprof.units import format_bytes, format_size, parse_size


def run(arguments: list[str]) -> int:
    """List (the default), show one, validate or import."""
    if arguments[:1] == ["import"]:
        from mcuprof.cli.devices_import import run as run_import

        return run_import(arguments[1:])
    parser = Parser("devices", "The device database.")
    parser.add_argument("action", nargs="?", choices=("list", "show", "validate", "import"), default="list")
    parser.add_argument("name", nargs="?", metavar="DEVICE", help="show: a device; validate: a file (default: all)")
    filters = parser.add_argument_group("list only")
    filters.add_argument("--vendor", help="part of the vendor's name")
    filters.add_argument("--core", help="part of the core's id, such as m4")
    filters.add_argument("--min-ram", metavar="SIZE", help="at least this much on-chip RAM")
    parser.add_argument("-f", "--format", choices=("text", "json"), default="text", help="default: text")
    options = parser.parse_intermixed_args(arguments)
    if options.action == "import":
        parser.error("import goes first: mcuprof devices import FIRMWARE.ld")
    if options.action == "validate":
        return _validate(options.name)
    if (options.action == "show") != (options.name is not None):
        parser.error("show needs a device" if options.action == "show" else "list takes no device: did you mean show?")
    page = output.own_page()
    found: Device | list[Device]
    if options.action == "show":
        found = load_device(options.name)
        lines = _shown(page, found)
    else:
        minimum = None if options.min_ram is None else parse_size(options.min_ram)
        found = list_devices(vendor=options.vendor, core=options.core, min_ram_bytes=minimum)
        lines = _listed(page, found)
    output.write(_json(found) if options.format == "json" else page.paint(lines))
    return EXIT_FITS


def _json(found: Device | list[Device]) -> str:
    return msgspec.json.format(msgspec.json.encode(found, order="sorted"), indent=2).decode() + "\n"


def _validate(name: str | None) -> int:
    from mcuprof.hardware.validation import validate

    problems = validate(None if name is None else Path(name))
    for problem in problems:
        output.write(output.own_page().clean(str(problem)) + "\n")
    if not problems:
        output.write("no problems\n")
    return EXIT_FAILED if problems else EXIT_FITS


def _listed(page: Page, devices: list[Device]) -> list[Line]:
    heads = (
        Column("device"),
        Column("core", drop=3),
        Column("clock", right=True, drop=4),
        Column("RAM", right=True),
        Column("flash", right=True, drop=1),
        Column("name", flexible=12, drop=2),
    )
    rows = [
        (
            page.clean(device.id),
            page.clean(device.core.id),
            _clock(device.clock_hz),
            _size(device.ram_bytes),
            _size(device.flash_bytes),
            page.clean(device.name),
        )
        for device in devices
    ]
    return table(page, heads, rows)


def _shown(page: Page, device: Device) -> list[Line]:
    caches = [
        f"{format_bytes(size)} {what}"
        for size, what in ((device.icache_bytes, "instructions"), (device.dcache_bytes, "data"))
        if size is not None
    ]
    facts = {
        "part": f"{device.vendor} {device.part}",
        "boards": ", ".join(device.boards),
        "core": device.core.name,
        "cores": ", ".join(device.cores) if len(device.cores) > 1 else "",
        "clock": _clock(device.clock_hz),
        "RAM": "no data" if device.ram_bytes is None else format_bytes(device.ram_bytes),
        "flash": "no data" if device.flash_bytes is None else format_bytes(device.flash_bytes),
        "caches": ", ".join(caches) or "no data",
        "reserve": f"{format_bytes(device.reserve_bytes)} of RAM for the firmware",
        "runtime": f"{device.runtime}, {device.kernels} kernels",
        "NPU": ", ".join(device.accelerators),
        "notes": device.notes,
    }
    lines = [line(Piece(page.clean(device.id), "strong"), f"  {page.clean(device.name)}")]
    lines += [row for label, words in facts.items() if words for row in prose(page, label, words, limit=None)]
    lines += _regions(page, device)
    lines += _notes(page, "Sources", {**device.core.sources, **device.sources})
    return lines + _notes(page, "Doubts", {**device.core.doubts, **device.doubts})


def _regions(page: Page, device: Device) -> list[Line]:
    heads = (
        Column("region", flexible=18),
        Column("kind"),
        Column("bytes", right=True),
        Column("address", right=True, drop=1),
        Column("", drop=2),
    )
    rows = [
        (
            page.clean(region.name),
            region.kind,
            f"{region.bytes:,}",
            "" if region.address is None else f"0x{region.address:08x}",
            f"same as {page.clean(region.alias)}" if region.alias else "" if region.arena else "no arena",
        )
        for region in device.regions
    ]
    return [line(), line(Piece("Regions", "strong")), *table(page, heads, rows)] if rows else []


def _notes(page: Page, title: str, notes: Mapping[str, str]) -> list[Line]:
    if not notes:
        return []
    keys = {key: page.fit(page.clean(key), page.width // 3) for key in sorted(notes)}
    label = max(map(columns, keys.values()))
    width = page.width - len(INDENT) - label - 2
    lines = [line(), line(Piece(title, "strong"))]
    for key, shown in keys.items():
        for index, words in enumerate(page.wrap(page.clean(notes[key]), width, width)):
            lines.append(line(INDENT, Piece(page.pad("" if index else shown, label), "dim"), f"  {words}"))
    return lines


def _clock(clock_hz: int | None) -> str:
    return "no data" if clock_hz is None else f"{clock_hz / 1e6:g} MHz"


def _size(count: int | None) -> str:
    return "no data" if count is None else format_size(count)
