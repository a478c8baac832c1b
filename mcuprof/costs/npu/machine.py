"""An Ethos-U with the memories around it, ready to calculate with, from its accelerator file and `npu/systems.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcuprof.costs.npu.work import Shape
from mcuprof.hardware import EthosU, load_npu_systems
from mcuprof.units import parse_clock_hz, parse_size

# Sizes up to this are said to fit where no cache limits the SRAM: the address range (Vela clamps it to 1 GiB).
_NO_LIMIT = 1 << 30


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory as the NPU sees it: bytes per cycle, latencies in cycles, the longest burst in bytes."""

    name: str
    bandwidth: float
    burst: int
    read_latency: int
    write_latency: int
    ports: int
    max_reads: int
    max_writes: int


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """`staging` is the SRAM, `weights` and `maps` where these are stored; `limit` is how much of the SRAM there is."""

    chip: EthosU
    system: str
    mode: str
    clock_hz: int
    staging: Memory
    weights: Memory
    maps: Memory
    limit: int
    micro: tuple[Shape, ...]

    @property
    def u85(self) -> bool:
        """True for the third generation, which allots its RAM and chains operations in another way."""
        return self.chip.generation == "u85"

    @property
    def spills(self) -> bool:
        """True where feature maps are stored elsewhere and the SRAM is a cache for them."""
        return self.staging.name != self.maps.name

    def ram(self, name: str) -> int:
        """Bytes of one of the U85's RAMs: `input`, `accumulator`, `chaining` or `output`."""
        text = getattr(self.chip, f"{name}_ram")
        return parse_size(text) if text else 0


def machine(chip: EthosU, system: str | None = None, mode: str | None = None, clock_hz: int | None = None) -> Machine:
    """The NPU in a named system and memory mode; those of its generation in a microcontroller where none is named.

    Another clock than the system's leaves the memories as many of its cycles as they were.

    Raises KeyError for a name that `npu/systems.toml` does not hold.
    """
    data = load_npu_systems()
    usual_system, usual_mode = data.defaults[chip.generation]
    system, mode = system or usual_system, mode or usual_mode
    around, places = data.systems[system], data.modes[mode]
    memories: Mapping[str, Memory] = {
        name: Memory(
            name,
            chip.axi_bytes_per_cycle * each.ports * each.clock_scale,
            each.burst,
            each.read_latency,
            each.write_latency,
            each.ports,
            max(1, each.max_reads),
            max(1, each.max_writes),
        )
        for name, each in around.memories.items()
    }
    ports = {"axi0": memories["sram"], "axi1": memories[around.axi1]}
    weights = ports[places.weights]
    if places.weights == places.maps == "axi0":
        # One SRAM for all: its part that holds the weights is counted apart, as read-only memory of the same speed.
        weights = Memory("on-chip flash", *(getattr(weights, name) for name in Memory.__slots__[1:]))
    return Machine(
        chip,
        system,
        mode,
        clock_hz or parse_clock_hz(around.clock),
        memories["sram"],
        weights,
        ports[places.maps],
        parse_size(places.cache) if places.cache else _NO_LIMIT,
        tuple(Shape(*extent) for extent in chip.microblocks),
    )
