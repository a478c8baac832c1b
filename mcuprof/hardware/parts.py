"""`parts.csv`: thousands of part numbers with core and memory map, for devices nobody wrote a file for.

The table is read only when a name is neither an id nor in the index. It has no clocks and no board facts.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

from mcuprof.errors import DeviceError
from mcuprof.hardware.device import Core, Device, Region, RegionKind
from mcuprof.hardware.names import normalize
from mcuprof.hardware.resolve import NO_RESERVE, UNKNOWN_CORE, default_kernels
from mcuprof.units import parse_size

Row = dict[str, str]

_SOURCES = {
    "probe-rs:": "probe-rs/probe-rs:probe-rs/targets/",
    "stm32-data:": "embassy-rs/stm32-data-generated:data/chips/",
}


def read_parts(path: Path) -> Iterator[Row]:
    """The rows of a `parts.csv`, one per part."""
    return _rows(path.read_text(encoding="utf-8").splitlines())


def find_part(name: str, path: Path) -> Row | None:
    """The part of that name, or the one that lists it as an order code (whose `x` stands for any digit)."""
    key = normalize(name)
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    ordered: Row | None = None
    # Parsing all lines would take most of the time; a part and its order codes start with the same letters.
    alike = (line for line in lines if line[:9].replace("-", "").lower().startswith(key[:6]))
    for row in _rows([head, *alike]):
        if normalize(row["part"]) == key:
            return row
        if ordered is None and any(_is_order_code(key, normalize(code)) for code in row["order_codes"].split()):
            ordered = row
    return ordered


def device_of_part(row: Row, load_core: Callable[[str], Core]) -> Device:
    """The device of one row: cores and memory are known, clock, caches and the firmware's share are not."""
    cores = tuple(row["cores"].split("+")) if row["cores"] else ()
    core = load_core(cores[0]) if cores else UNKNOWN_CORE
    doubts = {"reserve": NO_RESERVE, "clock": "not in the part map"}
    if row["doubt"]:
        doubts["regions"] = row["doubt"]
    source = row["source"]
    for short, full in _SOURCES.items():
        source = source.replace(short, full) if source.startswith(short) else source
    return Device(
        id=normalize(row["part"]),
        name=row["part"],
        vendor=row["vendor"],
        part=row["part"],
        boards=(),
        core=core,
        core_count=int(row["core_count"] or max(1, len(cores))),
        clock_hz=None,
        regions=(*regions_of(row["ram"], "ram"), *regions_of(row["flash"], "flash")),
        reserve_bytes=0,
        runtime="tflm",
        kernels=default_kernels(row["vendor"], core.id),
        accelerator=None,
        flash_wait_states=None,
        icache_bytes=None,
        dcache_bytes=None,
        sources={"cores": source, "regions": source},
        doubts=doubts,
        cores=cores,
    )


def regions_of(cell: str, kind: RegionKind) -> tuple[Region, ...]:
    """The regions in a cell such as `SRAM1:240K@0x20010000;SRAM2:16K@0x2004c000|`: name, size, address.

    `!` marks memory that cannot hold an arena, `|` a border that no object may cross (`Region.merge` is false).
    """
    return tuple(_region(text, kind) for text in cell.split(";") if text)


def _region(text: str, kind: RegionKind) -> Region:
    name, _, place = text.rpartition(":")
    size, _, address = place.rstrip("!|").partition("@")
    flags = place[len(place.rstrip("!|")) :]
    try:
        start = int(address, 16) if address else None
    except ValueError:
        raise DeviceError(f"parts.csv: not a region: {text!r}") from None
    return Region(name, kind, parse_size(size), start, arena="!" not in flags, merge="|" not in flags)


def _rows(lines: list[str]) -> Iterator[Row]:
    return iter(csv.DictReader(lines))


def _is_order_code(key: str, code: str) -> bool:
    if len(key) != len(code) or key[:6] != code[:6]:
        return False
    return all(mine == theirs or (theirs == "x" and mine.isdigit()) for mine, theirs in zip(key, code, strict=True))
