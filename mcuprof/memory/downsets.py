"""Downsets of the step order: the sets of steps that may have run at some moment, and the bytes that live then.

A downset is an int with bit s set when step s has run. `live` is submodular over downsets (a buffer costs its bytes
from its producer on, and stops when the last of its consumers is in), so the least live bytes between two downsets are
a minimum cut. Bounds and search both rest on this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mcuprof.memory.flow import Network
from mcuprof.memory.liveness import saved_bytes
from mcuprof.memory.problem import Problem


def bits(mask: int) -> Iterator[int]:
    """Indices of the set bits of `mask`, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


class Downsets:
    """Precedence and live bytes of a problem, on bit masks of steps.

    `before`/`behind` hold direct neighbours, `ancestors`/`descendants` all of them; `readers` the steps that read each
    buffer, with a bit beyond all steps for the caller when the buffer leaves. `work` counts the arcs of cuts.
    """

    def __init__(self, problem: Problem) -> None:
        count = len(problem.steps)
        self.problem = problem
        self.work = 0
        self.all = (1 << count) - 1
        self.before = [sum(1 << other for other in step.after) for step in problem.steps]
        self.behind = [0] * count
        self.ancestors = [0] * count
        self.descendants = [0] * count
        for number, mask in enumerate(self.before):
            for other in bits(mask):
                self.behind[other] |= 1 << number
                self.ancestors[number] |= self.ancestors[other] | 1 << other
        for number in reversed(range(count)):
            for other in bits(self.behind[number]):
                self.descendants[number] |= self.descendants[other] | 1 << other
        self.readers = [
            sum(1 << step for step in buffer.consumers) | (buffer.leaves << count) for buffer in problem.buffers
        ]

    def live(self, done: int) -> int:
        """Bytes that must be kept after exactly the steps of the downset `done`."""
        return sum(
            buffer.bytes
            for buffer, readers in zip(self.problem.buffers, self.readers, strict=True)
            if done >> buffer.producer & 1 and readers & ~done
        )

    def effect(self, steps: Sequence[int], done: int) -> tuple[int, int]:
        """Footprint above the live bytes, and change of live bytes, when `steps` run in a row after `done`."""
        buffers = self.problem.buffers
        rise, net = 0, 0
        for number in steps:
            step = self.problem.steps[number]
            done |= 1 << number
            dying = [source for source in step.inputs if not self.readers[source] & ~done]
            written = sum(buffers[output].bytes for output in step.outputs)
            rise = max(rise, net + written + sum(step.scratch) - saved_bytes(self.problem, step, dying))
            net += sum(buffers[output].bytes for output in step.outputs if self.readers[output])
            net -= sum(buffers[source].bytes for source in dying)
        return rise, net

    def least_live(self, inside: int, outside: int) -> int:
        """The least `live` of any downset that contains the downset `inside` and nothing of the upset `outside`."""
        network = Network()
        free = self.all & ~inside & ~outside
        node = {step: network.node() for step in bits(free)}
        for step in node:
            for other in bits(self.before[step] & free):
                network.connect(node[step], node[other])
        fixed = 0
        for buffer, readers in zip(self.problem.buffers, self.readers, strict=True):
            waiting = readers & ~inside
            if outside >> buffer.producer & 1 or not waiting:
                continue
            tail = node.get(buffer.producer, Network.SOURCE)
            if not waiting & ~free:
                self._wait(network, tail, [node[step] for step in bits(waiting)], buffer.bytes)
            elif tail == Network.SOURCE:
                fixed += buffer.bytes
            else:
                network.connect(tail, Network.SINK, buffer.bytes)
        least = fixed + network.flow()
        self.work += network.work
        return least

    @staticmethod
    def _wait(network: Network, tail: int, readers: list[int], size: int) -> None:
        """Charge `size` when `tail` has run and any of `readers` has not."""
        if len(readers) == 1:
            network.connect(tail, readers[0], size)
            return
        kept = network.node()
        network.connect(tail, kept, size)
        for reader in readers:
            network.connect(kept, reader)
