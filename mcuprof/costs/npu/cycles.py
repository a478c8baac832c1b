"""Cycles that one operation takes inside an Ethos-U: MACs, the output stage, and the issue of block commands.

A block's MAC cycles and output cycles overlap with those of the next one, so an operation takes the larger of both per
block, and the other once. Source: Arm Vela 5.2 (Apache-2.0), ethos_u55_performance.cpp and ethos_u85_performance.cpp,
EstimateMacCyclesPerBlock, EstimateMacOpCycles, EstimateElementwiseCycles, EstimateAOCyclesPerElement.
"""

from __future__ import annotations

from math import ceil

from mcuprof.costs.npu.blocks import PIECE, Block
from mcuprof.costs.npu.blocks_u55 import line_microblock
from mcuprof.costs.npu.machine import Machine, Memory
from mcuprof.costs.npu.traffic import burst_bytes
from mcuprof.costs.npu.work import Map, Shape, Work, ceil_div, round_up


class Places:
    """Where the maps of one operation lie; by default all in one memory."""

    def __init__(self, inputs: tuple[Memory, ...], output: Memory, weights: Memory, linear: tuple[bool, ...]) -> None:
        self.inputs, self.output, self.weights = inputs, output, weights
        # `linear` of the inputs, then of the output.
        self.linear = linear


def compute_cycles(
    work: Work, block: Block, machine: Machine, places: Places, depth: int = 0, first: bool = True, last: bool = True
) -> int:
    """Cycles without waiting for memory. `depth` output channels of it only, where one is given; a slice of an
    operation pays the start only when it is the `first` and the end only when it is the `last`.
    """
    shape = work.output.shape
    if depth:
        shape = Shape(shape.h, shape.w, depth)
    if work.engine in {"dma", "cpu"}:
        return 0
    if work.engine in {"elementwise", "resize"}:
        return _elementwise(work, block, machine, places, shape)
    return _macs(work, block, machine, places, shape, first, last)


def _macs(work: Work, block: Block, machine: Machine, places: Places, shape: Shape, first: bool, last: bool) -> int:
    one = shape.clipped(block.output)
    micro = line_microblock(machine, work, block.micro)
    blocks = shape.over(micro).elements / one.over(micro).elements
    output: float = ceil(element_cycles(work, block, machine) * one.elements)
    if work.weights is not None:
        output = max(output, 10 * one.c * places.weights.read_latency / 256)
    macs = mac_cycles(work, block, machine, micro, one)
    loading, storing = _input_cycles(work, block, machine, places), _output_cycles(work, block, machine, places, shape)
    issue = ((abs(storing - loading) if blocks > 1 else 0) + macs + output) / 4
    by_macs, by_output = max(float(macs), issue), max(float(output), issue)
    if by_macs > by_output:
        total = int(by_macs * blocks)
        if last:
            total += int(by_output)
    else:
        total = int(by_output * blocks + by_macs)
    return total + (storing if last else 0) + (loading if first else 0)


def mac_cycles(work: Work, block: Block, machine: Machine, micro: Shape, one: Shape) -> int:
    """Cycles of the MACs for one block of `one` outputs, in microblocks."""
    chip, bits = machine.chip, work.inputs[0].bits
    grid = one.over(micro)
    depth = work.inputs[0].shape.clipped(block.input).c
    wide = block.accumulator_bits > 32
    decode = 32 * micro.c // (8 * (chip.cores if machine.u85 else 1))
    delay = _delay(machine, wide)
    total = 0
    for x in range(0, work.kernel.w, PIECE):
        for y in range(0, work.kernel.h, PIECE):
            taps = min(work.kernel.h - y, PIECE) * min(work.kernel.w - x, PIECE)
            steps = taps
            if work.engine == "pool":
                steps = 1
                cycles = max(4, taps) * grid.elements
                if machine.u85 or chip.macs > 32:
                    cycles *= bits // 2
            elif work.engine == "depthwise":
                steps = ceil_div(taps, 4)
                cycles = max(decode, 4 * grid.area * (bits // 8)) * steps * grid.c
            elif block.traversal == "part-kernel":
                steps = ceil_div(taps, 2 if bits == 16 else 4)
                cycles = max(decode, 4 * grid.area) * steps * grid.c * ceil_div(depth, 8)
            elif machine.u85:
                cycles = max(decode, depth // 8 * grid.area) * taps * grid.c * (bits // 8)
            else:
                cycles = max(decode, 4 * grid.area) * taps * grid.c
            cycles //= 2 if block.sparse else 1
            stall = 0
            if grid.area == 1 and grid.c == 1:
                stall = delay * steps
            elif grid.area == 1 and steps > 1:
                stall = delay * (steps - 1) * grid.c
            if not machine.u85 and chip.macs == 32 and wide and grid.c > 1 and 1 in (grid.w, grid.h):
                stall += delay * grid.c
            if block.traversal == "part-kernel":
                stall *= ceil_div(depth, 8)
            total += cycles + stall
    if work.engine in {"convolution", "reduce"}:
        total *= ceil_div(work.inputs[0].shape.c, max(1, depth))
    return total if machine.u85 else total // chip.cores


def _delay(machine: Machine, wide: bool) -> int:
    """Cycles between dependent steps of one microblock."""
    if not machine.u85 and machine.chip.macs == 32:
        return 7 if wide else 3
    return 3 if wide and machine.chip.macs <= 128 else 2


def _elementwise(work: Work, block: Block, machine: Machine, places: Places, shape: Shape) -> int:
    elements = shape.elements if places.linear[-1] else shape.area * round_up(shape.c, 16)
    per_element = element_cycles(work, block, machine)
    both = max(_output_cycles(work, block, machine, places, shape), _input_cycles(work, block, machine, places))
    issue = (both / block.output.elements + per_element) / 4
    return max(ceil(issue * elements), ceil(per_element * elements))


def element_cycles(work: Work, block: Block, machine: Machine) -> float:
    """Cycles per element in the output stage, activation included."""
    if machine.u85:
        return _element_cycles_u85(work, machine)
    rates, bits = machine.chip.output_cycles, work.inputs[0].bits
    if work.engine == "elementwise" and bits == 32:
        rate = rates["binary32"] if len(work.inputs) > 1 else rates["unary32"]
    elif work.name == "MUL" and work.output.bits == 32:
        rate = rates["mul_to_32"]
    elif work.name == "MUL" or (work.engine != "elementwise" and block.accumulator_bits == 40):
        rate = rates["mul"]
    elif work.name in {"ADD", "SUB"}:
        rate = rates["add"]
    elif work.name == "MAX_POOL":
        rate = rates["max_pool"]
    else:
        rate = rates["other"]
    activation = machine.chip.activation_cycles
    if work.name == "TABLE":  # the table is the operation, not what follows one
        return rate
    return max(rate, activation["table"] if work.table else activation["clamp"] if work.clamp else 0.0)


def _element_cycles_u85(work: Work, machine: Machine) -> float:
    chained = bool(work.links)
    total = _output_rate(machine, work, work.inputs[0].bits, work.bits_before_links, chained, len(work.inputs) > 1)
    if work.table or work.clamp:
        total = max(total, machine.chip.activation_cycles["plain"])
    if work.name == "TRANSPOSE":
        # Outputs leave by bricks of 16 along the new depth, at half the rate.
        total = machine.chip.activation_cycles["swapped"] * round_up(work.output.shape.c, 16) / work.output.shape.c
    for position, link in enumerate(work.links):
        more = position + 1 < len(work.links)
        total += _output_rate(machine, work, link.input_bits, link.output_bits, more, link.extra is not None, link=True)
    return total


def _output_rate(
    machine: Machine, work: Work, bits: int, out: int, chained: bool, binary: bool, link: bool = False
) -> float:
    rates = machine.chip.output_cycles
    if work.engine == "resize" and not link:
        ratio = min(
            (work.output.shape.w + work.inputs[0].shape.w // 2) // work.inputs[0].shape.w,
            (work.output.shape.h + work.inputs[0].shape.h // 2) // work.inputs[0].shape.h,
        )
        kind = "high" if ratio >= machine.chip.macs // 512 else "low"
        return machine.chip.resize_cycles[f"{kind}{8 if bits == 8 else 16}"]
    if chained and 32 in (bits, out):
        return rates["mixed32"]
    if binary and bits == 32 and (link or work.engine == "elementwise"):
        return rates["binary32"] if out == 32 else rates["mixed32"]
    return rates.get(f"bits{out}", rates["bits64"])


def _input_cycles(work: Work, block: Block, machine: Machine, places: Places) -> int:
    """Cycles until the first block's input is there."""
    return max(
        memory.read_latency
        + int(_transfer(each, block.input, each.shape, machine, memory, linear, reading=True) / memory.bandwidth)
        for each, memory, linear in zip(work.inputs, places.inputs, places.linear, strict=False)
    )


def _output_cycles(work: Work, block: Block, machine: Machine, places: Places, shape: Shape) -> int:
    """Cycles until the last block's output is away."""
    memory = places.output
    bytes_ = _transfer(work.output, block.output, shape, machine, memory, places.linear[-1], reading=False)
    return memory.write_latency + int(bytes_ / memory.bandwidth)


def _transfer(
    each: Map, block: Shape, shape: Shape, machine: Machine, memory: Memory, linear: bool, reading: bool
) -> int:
    elements = shape.clipped(block).elements
    return burst_bytes(machine, memory, linear, each.bits, block, shape, elements, reading)
