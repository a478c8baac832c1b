"""When weights are copied into the SRAM before an operation needs them, in which slices, and what each operation takes.

Operations run one after another. The DMA may copy weights during the operation before (the slack), and the next slice
of output channels while one is computed (double buffering). An operation takes as long as the busiest of the MACs, the
output stage and its memories. Source: Arm Vela 5.2 (Apache-2.0), regor/compiler/scheduler.cpp (ProposeWeightBuffering,
EstimateSlicedOpPerformance) and network_performance.cpp. Not modelled: cascades, in which several operations share the
SRAM stripe by stripe when it is smaller than the feature maps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor

from mcuprof.costs.npu.blocks import SPLIT_DEPTH, Block, choose
from mcuprof.costs.npu.cycles import Places, compute_cycles
from mcuprof.costs.npu.machine import Machine, Memory
from mcuprof.costs.npu.traffic import (
    Channel,
    Moved,
    burst_bytes,
    copy_cycles,
    elements_moved,
    input_channel,
    read_cycles,
)
from mcuprof.costs.npu.weights import Coded, Coder
from mcuprof.costs.npu.work import Buffer, Work, round_up

# Delays below this count as none when slices are compared, and as worth waiting for at the start.
_STARTUP = 1000
# A look-up table of 8-bit values.
_TABLE_BYTES = 256


@dataclass(slots=True)
class Step:
    """One operation in the schedule. `parts` are the bytes of its weight buffers, none when it reads them in place.

    `working` is what its arithmetic takes where its maps lie, without waiting for weights.
    """

    work: Work
    block: Block | None = None
    coded: Coded | None = None
    parts: tuple[int, ...] = ()
    prefetched: bool = False
    full_transfer: int = 0
    slack: int = 0
    compute: int = 0
    working: int = 0
    npu: int = 0
    busy: dict[str, int] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        """Cycles until the next operation starts: of the NPU, or of the busiest memory."""
        return max(self.npu, *self.busy.values(), 0)


class Scheduler:
    """Schedules the operations of one graph on one machine."""

    def __init__(self, machine: Machine, buffers: tuple[Buffer, ...], coder: Coder) -> None:
        self.machine, self.buffers, self.coder = machine, buffers, coder
        # Buffers in the SRAM though feature maps are stored elsewhere.
        self.staged: set[int] = set()

    def plan(self, works: tuple[Work, ...], used: list[int]) -> list[Step]:
        """Blocks and weight buffers of all operations. `used` is the SRAM that feature maps take at each."""
        steps: list[Step] = []
        for index, work in enumerate(works):
            before = steps[-1] if steps else None
            step = Step(work)
            if work.engine not in {"cpu", "dma"}:
                step.block, step.compute = self._best_block(work)
                step.slack = step.compute
            if work.weights is not None and step.block is not None:
                room = max(self.machine.limit - used[index], 0)
                earlier = max(self.machine.limit - used[index - 1], 0) if index else room
                step.coded = self.coder.coded(work, step.block, (0, work.output.shape.c))
                self._buffer(step, before, room, earlier, first=index == 0)
            steps.append(step)
        return steps

    def measure(self, steps: list[Step]) -> None:
        """Fills in what each operation takes, once it is settled which maps are in the SRAM."""
        slack = 0
        for step in steps:
            if step.block is not None:
                self._measure(step, slack)
            elif step.work.engine == "dma":
                self._permute(step)
            slack = step.slack

    def _best_block(self, work: Work) -> tuple[Block, int]:
        """The block and its cycles; the U85 multiplies sparse weights as such where that is no slower."""
        places = self._places(work, False)
        block = choose(work, self.machine)
        cycles = compute_cycles(work, block, self.machine, places)
        if self.machine.u85 and work.engine == "convolution" and work.weights is not None and work.weights.sparse:
            thin = choose(work, self.machine, sparse=True)
            fewer = compute_cycles(work, thin, self.machine, places)
            if fewer <= cycles:
                return thin, fewer
        return block, cycles

    # Memories

    def _memory(self, buffer: int) -> Memory:
        if self.buffers[buffer].constant:
            return self.machine.weights
        return self.machine.staging if buffer in self.staged else self.machine.maps

    def _places(self, work: Work, buffered: bool) -> Places:
        return Places(
            tuple(self._memory(each.buffer) for each in work.inputs),
            self._memory(work.output.buffer),
            self.machine.staging if buffered else self.machine.weights,
            (*(self.buffers[each.buffer].linear for each in work.inputs), self.buffers[work.output.buffer].linear),
        )

    # What an operation takes

    def _measure(self, step: Step, slack: int) -> None:
        work, block, machine = step.work, step.block, self.machine
        assert block is not None
        places = self._places(work, bool(step.parts))
        step.npu = step.working = compute_cycles(work, block, machine, places)
        if step.parts and step.coded is not None:
            first = copy_cycles(machine, machine.weights, machine.staging, step.coded.slices[0])
            visible = max(first - slack, 0)
            step.npu = max(step.full_transfer - slack + step.slack, step.npu + visible)
        if work.name == "TABLE":
            step.npu += max(copy_cycles(machine, machine.weights, machine.staging, _TABLE_BYTES) - slack, 0)
        moved = self._moved(step, places)
        step.busy = moved.cycles(machine)
        step.moved = moved.bytes_by_memory()
        if step.parts and step.coded is not None and step.prefetched:
            # What was fetched ahead is moved too, but not while this operation waits.
            ahead = min(step.coded.slices[0], step.coded.weights)
            for memory in (machine.weights, machine.staging):
                step.moved[memory.name] = step.moved.get(memory.name, 0) + ahead

    def _permute(self, step: Step) -> None:
        """Copying in another order: what is read comes in bursts half of which are of use."""
        source, target = self._memory(step.work.inputs[0].buffer), self._memory(step.work.output.buffer)
        size = step.work.output.shape.elements * step.work.output.bits // 8
        read, written = int(2 * size / source.bandwidth), int(size / target.bandwidth)
        step.npu = max(read + source.read_latency, written + target.write_latency)
        step.busy[source.name] = read
        step.busy[target.name] = step.busy.get(target.name, 0) + written
        step.moved[source.name] = size
        step.moved[target.name] = step.moved.get(target.name, 0) + size

    def _moved(self, step: Step, places: Places) -> Moved:
        work, block, machine = step.work, step.block, self.machine
        assert block is not None
        counted = elements_moved(work, block, machine, places.linear)
        maps: list[tuple[Memory, Channel, int]] = []
        for position, (each, count) in enumerate(zip(work.inputs, counted.read, strict=False)):
            memory, linear = places.inputs[position], places.linear[position]
            size = burst_bytes(machine, memory, linear, each.bits, block.input, each.shape, count, True)
            maps.append((memory, input_channel(work, position), size))
        for link in work.links:
            if link.extra is not None and not link.extra.scalar:
                own = self.buffers[link.extra.buffer]
                count = link.extra.shape.area * (link.extra.shape.c if own.linear else round_up(link.extra.shape.c, 16))
                memory = self._memory(link.extra.buffer)
                size = burst_bytes(
                    machine, memory, own.linear, link.extra.bits, block.input, link.extra.shape, count, True
                )
                maps.append((memory, "input_stream", size))
        bits, shape = work.output.bits, work.output.shape
        size = burst_bytes(machine, places.output, places.linear[-1], bits, block.output, shape, counted.written, False)
        maps.append((places.output, "write", size))
        return Moved(tuple(maps), tuple(self._weights_moved(step, counted.fetches)))

    def _weights_moved(self, step: Step, fetches: int) -> list[tuple[Memory, Channel, int]]:
        coded, machine = step.coded, self.machine
        if coded is None:
            return []
        stored, scales = machine.weights, coded.total - coded.weights
        found: list[tuple[Memory, Channel, int]] = [(stored, "scale", fetches * scales)]
        if not step.parts:
            return [*found, (stored, "weight", fetches * coded.weights)]
        rest = max(coded.weights - (coded.slices[0] if step.prefetched else 0), 0)
        found += [(stored, "mem2mem", rest), (machine.staging, "write", rest)]
        return [*found, (machine.staging, "weight", fetches * coded.weights)]

    # Weight buffers

    def _buffer(self, step: Step, before: Step | None, room: int, earlier: int, first: bool) -> None:
        """Decides whether the weights are copied to the SRAM, and in which slices."""
        work, block, machine, coded = step.work, step.block, self.machine, step.coded
        assert block is not None and coded is not None
        stored, staging = machine.weights, machine.staging
        step.full_transfer = copy_cycles(machine, stored, staging, coded.total)
        fetches = elements_moved(work, block, machine, self._places(work, False).linear).fetches
        unmoved = int(read_cycles(machine, stored, "weight", coded.total)) * fetches
        buffered = int(read_cycles(machine, staging, "weight", coded.total)) * fetches
        if stored.name == staging.name or buffered >= unmoved:
            return
        depth = work.output.shape.c
        slack = before.slack if before is not None else 0
        least = int(step.full_transfer * min(depth, SPLIT_DEPTH) / depth)
        alone = before is None or before.work.engine == "cpu"
        at_start = alone and fetches > 1 and (least < unmoved / 10 or least <= _STARTUP)
        bound = step.compute > unmoved
        visible = max(step.full_transfer - slack, 0)
        worth = at_start or buffered + visible < unmoved or depth // block.output.c > 2
        if not worth and not (not first and least < slack and fetches > 1):
            return
        cuts = self._cuts(step, slack, room, bound)
        if cuts is None:
            return
        sliced = self.coder.coded(work, block, cuts)
        parts = _parts(sliced, room)
        if not parts:
            return
        usable = slack if not first and parts[0] < earlier else _STARTUP if at_start else 0
        full, last, waiting = self._sliced(step, cuts, sliced, usable, double=len(parts) == 2)
        ifm = self._input_cycles(work, block, staged=False)
        size = work.inputs[0].shape.elements * work.inputs[0].bits // 8
        if machine.spills and not self.buffers[work.inputs[0].buffer].host and size + sum(parts) <= room:
            ifm = self._input_cycles(work, block, staged=True)
        reading = self._weight_cycles(sliced, fetches, staging)
        now = max(step.compute, self._weight_cycles(coded, fetches, stored), ifm)
        then = max(full, reading, ifm)
        slices = len(cuts) - 1
        if bound:
            if waiting // slices < _STARTUP:
                then -= waiting
            if slices > 1 and full == then and at_start:
                then -= slices * (_STARTUP // 2)
        if now < then or (fetches == 1 and step.full_transfer + reading > now):
            return
        step.coded, step.parts = sliced, parts
        step.prefetched = not first and parts[0] < earlier
        step.slack = last

    def _cuts(self, step: Step, slack: int, room: int, bound: bool) -> tuple[int, ...] | None:
        """Where the output channels are cut: what fits the slack first, then what is copied while a slice runs."""
        work, block, coded = step.work, step.block, step.coded
        assert block is not None and coded is not None
        depth, half = work.output.shape.c, room // 2
        smallest = min(SPLIT_DEPTH / depth, 1.0)
        hidden = min(slack / step.full_transfer, 1.0)
        aligned = floor(hidden / smallest) * smallest
        ratio = 1.0 if 1.0 - aligned < smallest / 2 else hidden
        if bound and 0.5 < ratio < 1.0:
            ratio = min(max(round_up(floor(depth * 0.5), SPLIT_DEPTH) / depth, 0.5), 1.0)
        ratio = min(max(ratio, smallest), min(half / coded.total, 1.0))
        if ratio >= 1.0:
            return (0, depth)
        granule = block.output.c
        minimum = block.micro.c if self.machine.u85 and block.micro.c > SPLIT_DEPTH else SPLIT_DEPTH
        ahead = max(int(depth * ratio) // minimum * minimum, SPLIT_DEPTH)
        if ahead >= depth:
            return (0, depth)
        running = compute_cycles(
            work, block, self.machine, self._places(work, True), depth=ahead, first=True, last=False
        )
        size = round_up(max(depth * running // step.full_transfer, SPLIT_DEPTH), granule)
        if int(size / depth * coded.total) > half:
            size = int(half / coded.total * depth)
        while True:
            size = size // (granule if size > granule else minimum) * (granule if size > granule else minimum)
            size = max(size, minimum)
            cuts = (0, *range(ahead, depth, size), depth)
            largest = self.coder.coded(work, block, cuts).largest
            if largest <= half or (ahead == SPLIT_DEPTH and size == minimum):
                break
            if size > ahead:
                size = round_up(size // 2, minimum)
            else:
                ahead = round_up(ahead // 2, SPLIT_DEPTH)
        if len(cuts) > 3 and size / round_up(size, granule) < 0.3 and bound:
            return None
        return cuts

    def _sliced(
        self, step: Step, cuts: tuple[int, ...], coded: Coded, slack: int, double: bool
    ) -> tuple[int, int, int]:
        """Cycles of all slices with waiting for weights, of the last slice, and of waiting alone."""
        work, block, machine = step.work, step.block, self.machine
        assert block is not None
        places = self._places(work, True)
        count = len(cuts) - 1
        total = waiting = last = 0
        for position in range(count):
            depth = cuts[position + 1] - cuts[position]
            first, final = position == 0, position == count - 1
            last = compute_cycles(work, block, machine, places, depth, first, final)
            transfer = copy_cycles(machine, machine.weights, machine.staging, coded.slices[position])
            waiting += max(transfer - slack, 0)
            total += last
            slack = last if double else 0
        return total + waiting, last, waiting

    def _weight_cycles(self, coded: Coded, fetches: int, memory: Memory) -> int:
        """Cycles to read all weights as often as they are fetched, slice by slice."""
        times = fetches * len(coded.slices)
        return int(read_cycles(self.machine, memory, "weight", coded.total * fetches // max(1, times))) * times

    def _input_cycles(self, work: Work, block: Block, staged: bool) -> int:
        linear = self._places(work, False).linear
        count = elements_moved(work, block, self.machine, linear).read[0] * work.inputs[0].bits // 8
        memory = self.machine.staging if staged else self._memory(work.inputs[0].buffer)
        return int(read_cycles(self.machine, memory, "input", count))


def _parts(coded: Coded, room: int) -> tuple[int, ...]:
    """Two buffers where slices alternate between them, one where all weights or one slice fits, none otherwise."""
    even, odd = max(coded.slices[0::2]), max(coded.slices[1::2], default=0)
    if even + odd <= room and coded.largest < coded.total:
        return even, odd
    return (coded.largest,) if coded.largest <= room else ()
