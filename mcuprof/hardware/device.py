"""What a device is: the typed form of one file of `device_db/`.

Sizes are bytes, clocks hertz. `sources` maps every key that carries a fact (`clock`, `regions`, …) to where it was
read; `doubts` maps keys to what is uncertain about them. Absent facts are None, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from mcuprof.hardware.npu import ArrayTiles, EthosU

RegionKind = Literal["ram", "flash", "external-ram", "external-flash"]


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One contiguous block of memory. `alias` names the region whose bytes it shows again (counted once).

    `arena` is false for memory that cannot hold a tensor arena (instruction-only, backup, retention RAM).
    `merge` is false where no single object may cross the border to the region that ends at this address.
    `reserve_bytes` of it are the firmware's, known to lie in this region.
    """

    name: str
    kind: RegionKind
    bytes: int
    address: int | None = None
    bus: str | None = None
    alias: str | None = None
    arena: bool = True
    merge: bool = True
    reserve_bytes: int = 0


class Block(msgspec.Struct, frozen=True):
    """One stretch of addresses that a single array may fill: a region, or several that touch.

    `reserve_bytes` of it are the firmware's.
    """

    regions: tuple[str, ...]
    bytes: int
    address: int | None
    reserve_bytes: int = 0

    @property
    def free_bytes(self) -> int:
        """What the firmware leaves."""
        return self.bytes - self.reserve_bytes

    @property
    def name(self) -> str:
        """`AXISRAM`, or `SRAM1+SRAM2+SRAM3` for regions that touch."""
        return "+".join(self.regions)


class Core(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A CPU core type of `device_db/cores/`, with the options its device was built with.

    `fpu` is "none", "single", "double", or None where no source says. MAC rates are upper bounds per cycle.
    """

    id: str
    name: str
    isa: str
    word_bytes: int = 4
    dsp: bool = False
    mve: bool = False
    fpu: str | None = None
    sources: Mapping[str, str] = {}
    notes: str = ""
    doubts: Mapping[str, str] = {}
    pipeline: str | None = None
    issue: str | None = None
    mac_i8_per_cycle: float | None = None
    mac_i16_per_cycle: float | None = None
    mac_f32_per_cycle: float | None = None
    dmips_per_mhz: float | None = None
    coremark_per_mhz: float | None = None


class Accelerator(msgspec.Struct, frozen=True):
    """An NPU or vector unit of `device_db/accelerators/`; `clock_hz` is its fastest sourced clock."""

    id: str
    name: str
    vendor: str
    mac_i8_per_cycle: float | None = None
    clock_hz: int | None = None
    operators: str = ""
    bit_widths: str = ""
    local_memory: str = ""
    power: str = ""
    sources: Mapping[str, str] = {}
    doubts: Mapping[str, str] = {}
    notes: str = ""
    ethos_u: EthosU | None = None
    array: ArrayTiles | None = None


class Calibration(msgspec.Struct, frozen=True):
    """Cycles per instruction from the user's own runs, for one core, kernel set, runtime and clock.

    cycles = cpi · Σ factor(kernel class) · (instructions + instructions_per_operator); a class without a factor has 1.
    `band` is the factor that new models are expected within (90 %), `band_elsewhere` the same at another clock. Errors
    are those of models that the fit had not seen, None where there was one model only.
    """

    core: str
    kernels: str
    runtime: str
    clock_hz: int
    cpi: float
    instructions_per_operator: float
    band: float
    band_elsewhere: float
    rows: int
    models: int
    source: str
    error_median: float | None = None
    error_worst: float | None = None
    factors: Mapping[str, float] = {}


class NpuSetting(msgspec.Struct, frozen=True):
    """How a device has its Ethos-U: the names of a system and memory mode of `npu/systems.toml`, and the NPU's clock.

    None: what is usual for its generation is assumed.
    """

    system: str | None = None
    mode: str | None = None
    clock_hz: int | None = None


class Device(msgspec.Struct, frozen=True):
    """A part or board, resolved: the core record is inside, the regions are as the linker sees them.

    `core` is the fastest core an application can use, `cores` all of them by id. `clock_hz` belongs to `core`.
    `ram_total_bytes` is what the vendor counts where that is not the sum of the regions, or no region is known.
    `accelerator` is the one beside `core`, the first of `accelerators`. `bytes_per_cycle` is what `core` reads at
    most of the memories that weights and arena lie in.
    """

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
    cores: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    ram_total_bytes: int | None = None
    flash_accelerator: str | None = None
    bytes_per_cycle: float | None = None
    calibration: Calibration | None = None
    npu: NpuSetting | None = None

    @property
    def ram_bytes(self) -> int | None:
        """On-chip RAM in bytes, whether or not an arena may use it; None where nothing is known."""
        return self.ram_total_bytes if self.ram_total_bytes is not None else self.total_bytes("ram")

    @property
    def flash_bytes(self) -> int | None:
        """On-chip flash (MRAM, RRAM) in bytes; None where there is none or its size is not known."""
        return self.total_bytes("flash")

    def total_bytes(self, kind: RegionKind) -> int | None:
        """Sum of all regions of `kind`, aliases counted once; None where there is none."""
        sizes = [region.bytes for region in self.regions if region.kind == kind and not region.alias]
        return sum(sizes) if sizes else None

    def arena_blocks(self, kind: RegionKind = "ram") -> tuple[Block, ...]:
        """The blocks of `kind` that could each hold an arena, most room first; empty where the layout is not known.

        Regions whose addresses touch count as one block, unless one of them says otherwise. Aliases, and memory that
        cannot hold an arena, are left out. An arena fits a device only if it fits one of these blocks.
        """
        usable = [region for region in self.regions if region.kind == kind and region.arena and not region.alias]
        blocks: list[Block] = []
        for region in sorted(usable, key=lambda region: (region.address is None, region.address or 0)):
            below = blocks[-1] if blocks else None
            touches = below is not None and below.address is not None and region.address == below.address + below.bytes
            if below is not None and touches and region.merge:
                reserve = below.reserve_bytes + region.reserve_bytes
                names, size = (*below.regions, region.name), below.bytes + region.bytes
                blocks[-1] = Block(names, size, below.address, reserve)
            else:
                blocks.append(Block((region.name,), region.bytes, region.address, region.reserve_bytes))
        return tuple(sorted(blocks, key=lambda block: (-block.free_bytes, block.address or 0)))

    def arena_capacity(self, reserve_bytes: int | None = None) -> int | None:
        """Bytes the largest possible arena has, with `reserve_bytes` (default: the device's own) left to the firmware.

        The firmware's share goes to other blocks first, and to the arena's own only where they are too small:
        min(most free block, all free blocks - reserve). None where the RAM layout is not known.
        """
        blocks = self.arena_blocks()
        if not blocks:
            return None
        reserve = self.reserve_bytes if reserve_bytes is None else reserve_bytes
        return max(0, min(blocks[0].free_bytes, sum(block.free_bytes for block in blocks) - reserve))
