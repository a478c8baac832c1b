"""What every format yields: regions as somebody declared them, and of which kind each is."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from mcuprof.errors import DeviceError
from mcuprof.hardware.device import RegionKind
from mcuprof.hardware.files import FileError, Problem

# In names, words that tell the kind of memory. External memory is slower, so it must not pass for the chip's own.
_EXTERNAL_RAM = re.compile(r"SDRAM|PSRAM|HYPERRAM|HRAM|EXT_?RAM|XRAM", re.IGNORECASE)
_EXTERNAL_FLASH = re.compile(r"[QO]U?A?D?SPI|OCTOSPI|XSPI|FLEXSPI|XIP|EXT_?FLASH|SPIFI", re.IGNORECASE)
_FLASH = re.compile(r"FLASH|MRAM|RRAM|EEPROM|(?<!P)ROM\b|I?ROM\d|^[ID]?ROM|NVM|BOOT", re.IGNORECASE)
_RAM = re.compile(r"RAM|[ID]?TCM|CCM|OCRAM|HEAP|STACK|BKP", re.IGNORECASE)
_INSTRUCTIONS = re.compile(r"ITCM|^IRAM(?!\d?$)|INSTR", re.IGNORECASE)
_RETAINED = re.compile(r"BACKUP|BKP|RETENTION|RTC", re.IGNORECASE)
MAX_BYTES = 1 << 32


class Declared(msgspec.Struct, frozen=True):
    """One region as a file declares it. `attributes` are a linker's letters (r w x), None where none are given."""

    name: str
    attributes: str | None
    address: int
    bytes: int
    line: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.bytes

    @property
    def writable(self) -> bool | None:
        """Whether the file says that it may be written; None where it does not say. `!w` is said, too."""
        if self.attributes is None:
            return None
        allowed = re.sub(r"![a-z]+", "", self.attributes.lower())
        return "w" in allowed


def kind_of(region: Declared, path: Path) -> RegionKind:
    """RAM or flash, on the chip or not. Names count for more than letters, and what can be flash is no RAM.

    Raises FileError where neither tells.
    """
    name, writable = region.name, region.writable
    if _EXTERNAL_RAM.search(name):
        return "external-ram"
    if _EXTERNAL_FLASH.search(name):
        return "external-flash"
    if _FLASH.search(name):
        return "flash"
    if _RAM.search(name) or writable:
        return "ram"
    if writable is False:
        return "flash"
    reason = f"is {name} RAM or flash? Write its attributes: {name} (rwx) or {name} (rx)"
    raise FileError(Problem(path, "", reason, region.line))


def holds_arena(region: Declared) -> bool:
    """False for memory that only instructions are read from, and for what a reset or sleep keeps."""
    return not _INSTRUCTIONS.search(region.name) and not _RETAINED.search(region.name) and region.writable is not False


def read_text(path: Path) -> str:
    """The content of a text file, whatever its encoding. Raises DeviceError."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise DeviceError(f"{path}: cannot be read: {reason}") from None
