"""What an NPU's estimate needs to know of the silicon: the tables `ethos_u` and `array` of an accelerator's file.

Sizes of feature maps and blocks are (height, width, channels). Cycles are per element of the output. The memories
beside an Ethos-U are those of a system: `device_db/npu/systems.toml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
Rate = Annotated[float, msgspec.Meta(ge=0, le=1000)]
Extent = tuple[Positive, Positive, Positive]
MemoryName = Literal["sram", "dram", "on-chip flash", "off-chip flash"]


class EthosU(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One configuration of an Ethos-U. U55 and U65 share one RAM by banks (`shram_*`), the U85 has a RAM per use.

    `macs` are those of one core, `cores` the cores of a U65 and the weight decoders of a U85. `microblocks` is what the
    MACs compute at once. `granules` are the banks that inputs and accumulators come in, by width in bits.
    `output_cycles` and `activation_cycles` are cycles per element by what the output stage does.
    """

    generation: Literal["u55", "u65", "u85"]
    macs: Positive
    cores: Positive
    microblocks: tuple[Extent, ...]
    axi_bytes_per_cycle: Positive
    output_cycles: Mapping[str, Rate]
    activation_cycles: Mapping[str, Rate]
    resize_cycles: Mapping[str, Rate] = {}
    shram_banks: int = 0
    granules: Mapping[str, Positive] = {}
    input_ram: str | None = None
    accumulator_ram: str | None = None
    chaining_ram: str | None = None
    output_ram: str | None = None
    read_buffers: Mapping[str, Positive] = {}


class ArrayTiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In-memory computing: `arrays` arrays of `rows` inputs by `columns` weights that each multiply in one conversion.

    One conversion takes `conversion_cycles`, and an activation of `input_bits` needs ⌈input_bits / bits_per_conversion⌉
    of them. A weight takes ⌈weight_bits / cell_bits⌉ columns. Columns share converters: `columns_per_converter` of them
    wait for one another. `load_cycles_per_row` is what rewriting a row of weights takes, 0 for arrays that keep them.
    `clock` drives the conversions.
    """

    rows: Positive
    columns: Positive
    arrays: Positive
    conversion_cycles: Annotated[float, msgspec.Meta(gt=0, le=1e9)]
    clock: str
    weight_bits: Positive = 8
    cell_bits: Positive = 8
    input_bits: Positive = 8
    bits_per_conversion: Positive = 8
    columns_per_converter: Positive = 1
    load_cycles_per_row: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0


class NpuMemory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A memory as the NPU sees it: latencies in NPU cycles, `burst` in bytes, its clock as a share of the NPU's."""

    clock_scale: Annotated[float, msgspec.Meta(gt=0, le=100)]
    burst: Positive
    read_latency: Annotated[int, msgspec.Meta(ge=0)]
    write_latency: Annotated[int, msgspec.Meta(ge=0)]
    ports: Positive = 1
    max_reads: Annotated[int, msgspec.Meta(ge=0)] = 1
    max_writes: Annotated[int, msgspec.Meta(ge=0)] = 1


class NpuSystem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Clock and memories around an NPU; `axi1` names what the second port leads to."""

    clock: str
    axi1: MemoryName
    memories: Mapping[str, NpuMemory]


class MemoryMode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where weights, feature maps and the cache lie: at port `axi0` (SRAM) or `axi1`. `cache` limits the SRAM."""

    weights: Literal["axi0", "axi1"]
    maps: Literal["axi0", "axi1"]
    cache: str | None = None


class NpuSystems(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `npu/systems.toml`."""

    source: str
    defaults: Mapping[str, tuple[str, str]]
    systems: Mapping[str, NpuSystem]
    modes: Mapping[str, MemoryMode]
