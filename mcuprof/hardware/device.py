"""What a device is: the typed form of one file of `device_db/`.

Sizes are bytes, clocks hertz. `sources` maps every key that carries a fact (`core.clock_hz`, `regions`, …) to where it
was read; `doubts` maps keys to what is uncertain about them. Absent facts are None, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

RegionKind = Literal["ram", "flash", "external-ram", "external-flash"]


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One contiguous block of memory. `alias` names the region whose bytes it shows again (counted once).

    `arena` is false for memory that cannot hold a tensor arena (instruction-only, backup, retention RAM).
    """

    name: str
    kind: RegionKind
    bytes: int
    address: int | None = None
    bus: str | None = None
    alias: str | None = None
    arena: bool = True


class Core(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A CPU core type of `device_db/cores/`. `kernels` is the instruction-set variant of kernel libraries it runs."""

    id: str
    name: str
    isa: str
    word_bytes: int = 4
    dsp: bool = False
    mve: bool = False
    fpu: str | None = None
    sources: Mapping[str, str] = {}
    notes: str = ""


class Device(msgspec.Struct, frozen=True):
    """A part or board, resolved: the core record is inside, the regions are as the linker sees them."""

    id: str
    name: str
    vendor: str
    part: str
    boards: tuple[str, ...]
    core: Core
    core_count: int
    clock_hz: int | None
    regions: tuple[Region, ...]
    reserve_bytes: int
    runtime: str
    kernels: str
    accelerator: str | None
    flash_wait_states: int | None
    icache_bytes: int | None
    dcache_bytes: int | None
    sources: Mapping[str, str]
    doubts: Mapping[str, str] = {}
    notes: str = ""
