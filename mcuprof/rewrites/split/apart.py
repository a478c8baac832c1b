"""What stripes take where no tensor lies on another: slices, pieces and joints have memory of their own.

That is what a runtime makes of a split graph when it only knows tensors; `stripes.cost` is for plans with views.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcuprof.rewrites.split.regions import Outline, Region
from mcuprof.rewrites.split.rows import Ints
from mcuprof.rewrites.split.stripes import Cost, Stripes


def cost_apart(
    outline: Outline, region: Region, stripes: Stripes, scratch: Sequence[int], upward: bool = False
) -> Cost:
    """As `stripes.cost`: what is read from outside stays whole until the last stripe has read it."""
    return _Tally(outline, region, stripes, scratch, upward).run()


class _Tally:
    """One walk through a stripe, for all stripes at once. `held` are bytes by the last operator that reads them."""

    def __init__(
        self, outline: Outline, region: Region, stripes: Stripes, scratch: Sequence[int], upward: bool
    ) -> None:
        self.outline, self.region, self.stripes, self.scratch = outline, region, stripes, scratch
        self.zero = np.zeros_like(stripes.source.start)
        last = stripes.wanted[region.outputs[-1]]
        ends = last.start == 0 if upward else last.stop == outline.height(region.outputs[-1])
        self.final = ends.astype(np.int64)
        self.pieces = self.zero.copy()
        for output in region.outputs:
            span = stripes.wanted[output]
            done = outline.height(output) - span.stop if upward else span.start
            self.pieces = self.pieces + done * outline.row_bytes(output)
        self.held: list[tuple[int, Ints]] = []
        self.peak, self.macs = self.zero.copy(), self.zero.copy()
        self.copied, self.slices = self.zero.copy(), self.zero.copy()

    def run(self) -> Cost:
        graph, region, stripes = self.outline.graph, self.region, self.stripes
        ops = range(region.first, region.last + 1)
        here = {
            region.source: self.cut(
                region.source, region.first, stripes.source.rows, self.outline.height(region.source)
            )
        }
        for index in ops:
            output = graph.ops[index].outputs[0]
            row = self.outline.row_bytes(output)
            temporary = self.zero
            for (reader, tensor), span in stripes.joined.items():
                if reader == index:
                    there = here[tensor] if tensor in here else self.zero + self.outline.height(tensor)
                    sliced = self.slice(index, span.rows, there, self.outline.row_bytes(tensor), temporary)
                    temporary = temporary + sliced
            rows = stripes.extent[output].rows
            self.macs += self.outline.macs[index] * rows // self.outline.height(output)
            self.use(index, temporary + rows * row + self.scratch[index])
            if output in stripes.wanted:
                rows = self.deliver(index, output, rows, row)
            if output in stripes.crop:
                kept = stripes.crop[output].rows
                sliced = self.slice(index, kept, rows, row, rows * row)
                self.hold(output, np.where(sliced > 0, sliced, rows * row))
                here[output] = kept
            elif output not in stripes.wanted:
                self.hold(output, rows * row)
                here[output] = rows
            else:
                here[output] = rows
        self.joints()
        return Cost(self.peak, self.macs, self.copied, self.slices)

    def cut(self, tensor: int, index: int, rows: Ints, height: int) -> Ints:
        """The SLICE of the source, where a stripe takes less than all of it."""
        row = self.outline.row_bytes(tensor)
        self.hold(tensor, self.slice(index, rows, self.zero + height, row, self.zero))
        return rows

    def slice(self, index: int, rows: Ints, of: Ints, row: int, beside: Ints) -> Ints:
        """A SLICE while operator `index` is the last that ran, `beside` bytes being there too; the bytes it makes."""
        made = (rows < of) * rows * row
        self.use(index, beside + made)
        self.copied += made
        self.slices += (made > 0).astype(np.int64)
        return made

    def deliver(self, index: int, output: int, rows: Ints, row: int) -> Ints:
        """The piece of an output: the operator's own tensor, or a copy of some of its rows."""
        wanted = self.stripes.wanted[output].rows
        made = self.slice(index, wanted, rows, row, rows * row)
        self.pieces = self.pieces + wanted * row
        self.hold(output, (made > 0) * rows * row)
        return rows

    def hold(self, tensor: int, nbytes: Ints) -> None:
        readers = self.outline.graph.consumers.get(tensor, ())
        self.held.append((max((i for i in readers if i <= self.region.last), default=-1), nbytes))

    def use(self, index: int, nbytes: Ints) -> None:
        """`nbytes` more than what is there while operator `index` runs."""
        held = sum((part for last, part in self.held if last >= index), self.zero)
        np.maximum(self.peak, self.outside(index) + self.pieces + held + nbytes, out=self.peak)

    def outside(self, index: int) -> Ints:
        """What the region found when it began: all of it, but for what the final stripe needs no more."""
        graph, region = self.outline.graph, self.region
        total = self.zero
        for tensor in self.outline.live(region.first - 1):
            nbytes = graph.tensors[tensor].nbytes
            readers = [i for i in graph.consumers.get(tensor, ()) if region.first <= i <= region.last]
            gone = self.outline.last[tensor] <= region.last and (not readers or readers[-1] < index)
            total = total + (nbytes * (1 - self.final) if gone else nbytes)
        return total

    def joints(self) -> None:
        """CONCATENATION of each output, when all stripes are done: its pieces and itself."""
        graph, region = self.outline.graph, self.region
        stay = [t for t in self.outline.live(region.first - 1) if self.outline.last[t] > region.last]
        outputs = [graph.tensors[output].nbytes for output in region.outputs]
        at_once = sum(graph.tensors[tensor].nbytes for tensor in stay) + sum(outputs) + max(outputs)
        np.maximum(self.peak, at_once, out=self.peak)
