"""The TOML files of `device_db/` as typed records, and the problems their authors are told about.

A record holds what was written: sizes and clocks are still text with a unit. `resolve.py` makes devices of them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from mcuprof.errors import DeviceError, UsageError
from mcuprof.hardware.device import RegionKind
from mcuprof.hardware.npu import ArrayTiles, EthosU
from mcuprof.units import parse_clock_hz, parse_size

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Record = TypeVar("Record")


class RegionEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of `regions`; see `Region` for the meaning of the keys."""

    name: str
    kind: RegionKind
    size: str
    address: int | None = None
    bus: str | None = None
    alias: str | None = None
    arena: bool = True
    merge: bool = True
    reserve: str | None = None


class NpuEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `npu`; see `NpuSetting` for the meaning of the keys."""

    system: str | None = None
    mode: str | None = None
    clock: str | None = None


class CalibrationEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `calibration`, which `mcuprof calibrate` writes; see `Calibration` for the meaning of the keys."""

    core: str
    kernels: str
    clock: str
    cpi: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    instructions_per_operator: Annotated[float, msgspec.Meta(ge=0, le=1e9)]
    band: Annotated[float, msgspec.Meta(ge=1, le=1000)]
    band_elsewhere: Annotated[float, msgspec.Meta(ge=1, le=1000)]
    rows: Annotated[int, msgspec.Meta(ge=1)]
    models: Annotated[int, msgspec.Meta(ge=1)]
    source: str
    runtime: str = "tflm"
    error_median: float | None = None
    error_worst: float | None = None
    factors: Mapping[str, Annotated[float, msgspec.Meta(gt=0, le=1000)]] = {}


class DeviceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of `devices/`. `cores` starts with the one an application runs on; its options are `fpu` and `dsp`."""

    name: str
    vendor: str
    part: str
    boards: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    cores: tuple[str, ...] = ()
    clock: str | None = None
    fpu: Literal["none", "single", "double"] | None = None
    dsp: bool | None = None
    flash_wait_states: int | None = None
    flash_accelerator: str | None = None
    bytes_per_cycle: float | None = None
    icache: str | None = None
    dcache: str | None = None
    ram_total: str | None = None
    reserve: str | None = None
    accelerators: tuple[str, ...] = ()
    runtime: str = "tflm"
    kernels: str | None = None
    notes: str = ""
    regions: tuple[RegionEntry, ...] = ()
    sources: Mapping[str, str] = {}
    doubts: Mapping[str, str] = {}
    npu: NpuEntry | None = None
    calibration: CalibrationEntry | None = None


class CoreFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of `cores/`; the file name is the id."""

    name: str
    isa: str
    word_bytes: Literal[2, 4, 8] = 4
    dsp: bool = False
    mve: bool = False
    fpu: Literal["none", "single", "double"] | None = None
    pipeline: str | None = None
    issue: str | None = None
    mac_i8_per_cycle: float | None = None
    mac_i16_per_cycle: float | None = None
    mac_f32_per_cycle: float | None = None
    dmips_per_mhz: float | None = None
    coremark_per_mhz: float | None = None
    notes: str = ""
    sources: Mapping[str, str] = {}
    doubts: Mapping[str, str] = {}


class AcceleratorFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of `accelerators/`; the file name is the id."""

    name: str
    vendor: str
    mac_i8_per_cycle: float | None = None
    clock: str | None = None
    operators: str = ""
    bit_widths: str = ""
    local_memory: str = ""
    power: str = ""
    notes: str = ""
    sources: Mapping[str, str] = {}
    doubts: Mapping[str, str] = {}
    ethos_u: EthosU | None = None
    array: ArrayTiles | None = None


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with one key of one file. `line` counts from 1; None where the key stands nowhere."""

    path: Path
    key: str
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        text = f"{place}: {self.key}: {self.reason}" if self.key else f"{place}: {self.reason}"
        return "".join(sign if sign.isprintable() else "?" for sign in text)


class FileError(DeviceError):
    """A data file that cannot be used; `problem` says why, and is the message."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Source(msgspec.Struct, frozen=True):
    """The text a record was read from, to tell where in it a key stands."""

    path: Path
    text: str

    def problem(self, key: str, reason: str) -> Problem:
        """`key` is written as msgspec does: `clock`, `sources.clock`, `regions[2].size`."""
        return Problem(self.path, key, reason, self._line(key))

    def _line(self, key: str) -> int | None:
        """The line where the key stands in its table; for the n-th region, where the n-th one says its name."""
        lines = self.text.splitlines()
        if entry := re.match(r"regions\[(\d+)\]", key):
            table, name, nth = "regions", "name", int(entry[1])
        else:
            table, name, nth = "", key, 0
            if key.startswith(("sources.", "doubts.", "calibration.")):
                table, name = key.split(".", 1)
        begin = rf"\s*({table}\s*=|\[+{table}\])" if table else ""
        wanted = rf"(^|[{{\s])\"?{re.escape(name)}\"?\s*="
        start = next((number for number, line in enumerate(lines, 1) if re.match(begin, line)), 1)
        hits = [number for number, line in enumerate(lines, 1) if number >= start and re.search(wanted, line)]
        return hits[nth] if nth < len(hits) else None


def read(path: Path, record: type[Record]) -> tuple[Record, Source]:
    """The record in the TOML file at `path`. Raises FileError with file, line, key and reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileError(Problem(path, "", f"cannot be read: {error.strerror}")) from None
    except ValueError as error:  # not UTF-8, or a path that no file system has
        raise FileError(Problem(path, "", f"cannot be read: {error}")) from None
    return parse(path, text, record)


def parse(path: Path, text: str, record: type[Record]) -> tuple[Record, Source]:
    """The record in `text`, the content of the TOML file at `path`. Raises FileError as `read` does."""
    source = Source(path, text)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # besides TOMLDecodeError: endless numbers, endless nesting
        raise FileError(Problem(path, "", f"is not TOML: {error}")) from None
    try:
        return msgspec.convert(content, record), source
    except msgspec.ValidationError as error:
        raise FileError(_schema_problem(source, str(error))) from None


def _schema_problem(source: Source, message: str) -> Problem:
    """msgspec says `Object contains unknown field `x` - at `$.regions[0]``; turn it into key and reason."""
    reason, _, path = message.partition(" - at ")
    key = path.strip("`").removeprefix("$").removeprefix(".")
    if unknown := re.search(r"unknown field `(.+)`", reason):
        return source.problem(".".join(filter(None, (key, unknown[1]))), "unknown key")
    if missing := re.search(r"missing required field `(.+)`", reason):
        return source.problem(key, f"the key {missing[1]!r} is missing")
    return source.problem(key, reason.replace("`", ""))


def size_bytes(text: str) -> int:
    """Bytes in a size of a device file; the unit is required there. Raises UsageError with the reason."""
    return _with_unit(text, parse_size, "a size, such as 640K or 512B")


def clock_hertz(text: str) -> int:
    """Hertz in a clock of a device file; the unit is required there. Raises UsageError with the reason."""
    return _with_unit(text, parse_clock_hz, "a clock, such as 120MHz")


def _with_unit(text: str, parse: Callable[[str], int], example: str) -> int:
    if re.fullmatch(r"[\d.\s]+", text):
        raise UsageError(f"{text!r} has no unit; write {example}")
    value = parse(text)
    if value <= 0:
        raise UsageError(f"{text!r} is not positive; write {example}")
    return value


def given_keys(record: DeviceFile | CoreFile | AcceleratorFile) -> set[str]:
    """The keys a file gave another value than the one they have when left out."""
    return {
        field.name
        for field in msgspec.structs.fields(record)
        if getattr(record, field.name) != (field.default if field.default_factory is msgspec.NODEFAULT else {})
    }
