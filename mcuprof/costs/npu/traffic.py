"""What one operation moves between an Ethos-U and its memories, and the cycles that takes.

Rows shorter than a burst waste the rest of it. On the U85 a channel (input, weights, output …) is also bounded by how
many transfers it may have under way. Source: Arm Vela 5.2 (Apache-2.0), ethos_u55_performance.cpp and
ethos_u85_performance.cpp, EstimateMemoryTransfer, MeasureElementAccess, MeasureAccessCycles, ChannelBW.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mcuprof.costs.npu.blocks import PIECE, Block
from mcuprof.costs.npu.machine import Machine, Memory
from mcuprof.costs.npu.work import Shape, Work, ceil_div, round_up

Channel = Literal["mem2mem", "input_stream", "weight", "fast_weight", "input", "scale", "write"]
# Transfers under way keep a channel busy to this share, and reach this share of the resulting rate.
_BUSY = 0.8


@dataclass(frozen=True, slots=True)
class Elements:
    """Elements moved: inputs read, outputs written, and how often all weights are fetched."""

    read: tuple[int, ...]
    written: int
    fetches: int


def burst_bytes(
    machine: Machine, memory: Memory, linear: bool, bits: int, block: Shape, shape: Shape, elements: int, reading: bool
) -> int:
    """Bytes on the bus for so many elements, with what short bursts waste."""
    cores = 1 if machine.u85 else machine.chip.cores
    whole_row = bits * block.w * block.c
    if linear:
        same = shape.c * bits // 8 == block.c
        if reading:
            burst = whole_row if same else bits * block.c
        elif block.c <= 16 and same:
            burst = whole_row
        else:
            burst = min(64 * 8, 16 * bits * cores, block.c * bits)
    elif shape.w * bits * 16 // 8 == block.c:
        burst = whole_row
    else:
        burst = 16 * bits * block.w * (1 if reading else cores)
    length = max(1, min(memory.burst, burst // 8))
    return elements * bits // 8 * memory.burst // length


def elements_moved(work: Work, block: Block, machine: Machine, linear: tuple[bool, ...], depth: int = 0) -> Elements:
    """What `work` reads and writes; `depth` output channels of it only, where one is given."""
    shape = work.output.shape if not depth else Shape(work.output.shape.h, work.output.shape.w, depth)
    if work.engine in {"cpu", "dma"}:
        return Elements(tuple(each.shape.elements for each in work.inputs), shape.elements, 0)
    written = _stored(shape, linear[-1])
    if work.engine == "resize":
        return Elements((_stored(work.inputs[0].shape, linear[0]),), written, 0)
    if work.engine == "elementwise":
        read = _operands_u85(work, linear) if machine.u85 else _operands(work, shape, linear)
        return Elements(read, written, 0)
    one, part = shape.clipped(block.output), work.inputs[0].shape.clipped(block.input)
    blocks = shape.over(one)
    if work.engine in {"depthwise", "pool"}:
        blocks = Shape(blocks.h, blocks.w, 1)
    pieces = ceil_div(work.kernel.h, PIECE) * ceil_div(work.kernel.w, PIECE)
    deep = work.inputs[0].shape.c if linear[0] else round_up(work.inputs[0].shape.c, 16)
    fetches = blocks.area if work.weights is not None else 0
    return Elements((part.area * deep * pieces * blocks.elements,), written, fetches)


def _stored(shape: Shape, linear: bool) -> int:
    return shape.elements if linear else shape.area * round_up(shape.c, 16)


def _operands(work: Work, shape: Shape, linear: tuple[bool, ...]) -> tuple[int, ...]:
    """U55, U65: an 8-bit scalar is part of the command, every other operand is read for each output."""
    first, rest = work.inputs[0], work.inputs[1:]
    whole = _stored(shape, linear[0])
    if first.scalar:
        own = 1 if first.bits > 8 else 0
        return (own, *((0 if own else whole) for _ in rest))
    one = 1 if linear[0] else 16
    return (whole, *(whole if not each.scalar else one * (each.bits > 8) for each in rest))


def _operands_u85(work: Work, linear: tuple[bool, ...]) -> tuple[int, ...]:
    """U85: one scalar is part of the command, the rest is read once."""
    encoded, found = False, []
    for each, flat in zip(work.inputs, linear, strict=False):
        read = encoded or not each.scalar
        found.append(_stored(each.shape, flat) if read else 0)
        encoded = encoded or each.scalar
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes on the bus: feature maps by memory and channel, and weights and scales, which are named apart."""

    maps: tuple[tuple[Memory, Channel, int], ...]
    weights: tuple[tuple[Memory, Channel, int], ...] = ()

    def cycles(self, machine: Machine) -> dict[str, int]:
        """Memory name → cycles its port is busy."""
        channels: dict[str, dict[str, int]] = {}
        memories: dict[str, Memory] = {}
        for memory, channel, count in (*self.maps, *self.weights):
            memories[memory.name] = memory
            own = channels.setdefault(memory.name, {})
            own[channel] = own.get(channel, 0) + count
        found = {}
        for name, own in channels.items():
            busy = int(sum(own.values()) / memories[name].bandwidth)
            if machine.u85:
                busy = max(busy, *(int(n / channel_bandwidth(machine, memories[name], c)) for c, n in own.items()))
            found[name] = busy
        return found

    def bytes_by_memory(self) -> dict[str, int]:
        """Memory name → bytes."""
        found: dict[str, int] = {}
        for memory, _, count in (*self.maps, *self.weights):
            found[memory.name] = found.get(memory.name, 0) + count
        return found


def channel_bandwidth(machine: Machine, memory: Memory, channel: str) -> float:
    """Bytes per cycle that one channel of the U85 gets out of a memory; the memory's own for the others."""
    if not machine.u85:
        return memory.bandwidth
    latency = memory.write_latency if channel == "write" else memory.read_latency
    outstanding = (memory.max_writes if channel == "write" else memory.max_reads) * memory.ports * _BUSY
    if channel != "write":
        words = max(memory.burst // 16, 1)
        outstanding = min(outstanding, machine.chip.read_buffers[channel] / words)
    if latency == 0:
        return memory.bandwidth
    return min(memory.bandwidth, memory.burst * outstanding / latency * _BUSY)


def read_cycles(machine: Machine, memory: Memory, channel: Channel, count: float) -> float:
    """Cycles to read so many bytes, latency included."""
    return count / channel_bandwidth(machine, memory, channel) + memory.read_latency


def copy_cycles(machine: Machine, source: Memory, target: Memory, count: int) -> int:
    """Cycles that the DMA takes to copy so many bytes."""
    reading = int(count / channel_bandwidth(machine, source, "mem2mem")) + source.read_latency
    writing = int(count / channel_bandwidth(machine, target, "write")) + target.write_latency
    return max(reading, writing)


def input_channel(work: Work, position: int) -> Channel:
    """The channel that an operand comes through."""
    return "input_stream" if work.engine in {"elementwise", "resize"} else "input"
