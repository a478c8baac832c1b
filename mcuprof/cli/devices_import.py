"""`mcuprof devices import`: a device file from a firmware's linker script and map."""

from __future__ import annotations

import re
from pathlib import Path

from mcuprof.cli import output
from mcuprof.cli.options import Parser, as_type
from mcuprof.cli.pipeline import spare, spare_devices
from mcuprof.errors import EXIT_FITS, UsageError
from mcuprof.hardware import load_core, load_device
from mcuprof.hardware.firmware import Identity, describe
from mcuprof.units import parse_clock_hz


def run(arguments: list[str]) -> int:
    """Write the device file to standard output or -o; what the user should know goes to stderr."""
    parser = Parser("devices import", "A device file from a firmware: its memory regions, and what it takes of them.")
    parser.add_argument("memory", metavar="FIRMWARE.ld", help="linker script; also .map, .sct and .pdsc")
    parser.add_argument("--map", metavar="FIRMWARE.map", help="map file of GNU ld: what the firmware itself takes")
    parser.add_argument("--name", help="name of the device (.pdsc: of the part); default: the file's name")
    parser.add_argument("--like", metavar="DEVICE", help="take core, clock and caches from this device")
    parser.add_argument("--core", help="core id, such as cortex-m4 (default: that of --like)")
    parser.add_argument("--clock", type=as_type(_clock), metavar="HZ", help="such as 80MHz")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE.toml instead of standard output")
    options = parser.parse_intermixed_args(arguments)
    memory = Path(options.memory)
    target = options.output
    if target not in (None, "-") and not target.endswith(".toml"):
        raise UsageError(f"-o {target}: the name of a device file ends in .toml")
    spare(target, [memory] if options.map is None else [memory, options.map], "the firmware's file")
    spare_devices(target, [options.like])
    core = None if options.core is None else load_core(options.core).id
    identity = Identity(
        name=options.name or memory.stem or "imported",
        like=None if options.like is None else load_device(options.like),
        core=core,
        clock=options.clock,
    )
    map_path = None if options.map is None else Path(options.map)
    text, notes = describe(memory, map_path, identity, Path(target or "imported.toml"))
    for note in notes:
        output.tell(f"mcuprof: note: {note}")
    if core is None and identity.like is None:
        output.tell("mcuprof: note: the core is not stated: add --core or --like for kernels and latency")
    if target is None or target == "-":
        output.write(text)
    else:
        output.write_file(target, text)
    return EXIT_FITS


def _clock(text: str) -> str:
    """The text of a clock with its unit, as device files want it."""
    hertz = parse_clock_hz(text)
    return f"{hertz}Hz" if re.fullmatch(r"[\d.\s]+", text) else text.strip()
